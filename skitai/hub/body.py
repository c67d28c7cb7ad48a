"""The body of a request that is larger than what is read before its app is called."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.event import Event

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes held for an app that reads slower than its client sends; above it the connection is not read.
HIGH_WATER = 256 * 1024


#: Bytes up to which parts of a body are joined: two bytes of content by themselves take 60 of memory.
_JOINED = 4096


def add_part(parts: list[bytes] | deque[bytes], data: bytes) -> None:
    """Put ``data`` behind the parts of a body that are held already."""
    if parts and len(parts[-1]) + len(data) <= _JOINED:
        parts[-1] += data
    else:
        parts.append(data)


class StreamedBody(io.RawIOBase):
    """Bytes on their way from the connection, in the hub, to the app, in its greenlet.

    Args:
        on_read: called before a read would wait; asks the connection to go on (and the client, by ``100 Continue``).
        on_taken: called with the number of bytes that a read took.
    """

    def __init__(self, on_read: Callable[[], None], on_taken: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._on_read = on_read
        self._on_taken = on_taken
        self._changed = Event()
        self._error: Exception | None = None
        self.has_ended = False

    # What the connection calls.

    def put(self, data: bytes) -> None:
        """Hand over some bytes."""
        add_part(self._parts, data)
        self._held += len(data)
        self._changed.set()

    def end(self) -> None:
        """There are no more bytes."""
        self.has_ended = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """The rest will never come; reads raise ``error``."""
        self._error = error
        self.has_ended = True
        self._changed.set()

    @property
    def held(self) -> int:
        """Bytes that no read has taken."""
        return self._held

    @property
    def is_full(self) -> bool:
        """Whether the connection should stop reading."""
        return self._held >= HIGH_WATER

    # What the app calls, through a BufferedReader.

    def readable(self) -> bool:
        """See :class:`io.RawIOBase`."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Wait for bytes and copy some; 0 at the end. Raises the error that ended the body early."""
        view: memoryview[Any] = memoryview(buffer).cast("B")
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.has_ended:
                return 0
            self._changed.clear()
            self._on_read()
            self._changed.wait()
        part = self._parts[0]
        count = min(len(part), len(view))
        view[:count] = part[:count]
        if count == len(part):
            self._parts.popleft()
        else:
            self._parts[0] = part[count:]
        self._held -= count
        if self._on_taken is not None:
            self._on_taken(count)
        return count
