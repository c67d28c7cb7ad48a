"""A channel with the methods of a socket, for libraries that read and write one as if they blocked.

Waiting lets the hub run, whether the process is patched or not; so does TLS.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub

from skitai.net import descriptors
from skitai.net.connect import READ, WRITE, wait_for

if TYPE_CHECKING:
    from skitai.net.channel import Channel

#: Bytes after which others have a turn although nothing had to be waited for: a large answer from the same machine may
#: come as fast as it is read.
MOST_AT_ONCE = 1024 * 1024


class CooperativeSocket:
    """One greenlet at a time reads or writes it; another one may end its waiting by shutting the descriptor down.

    Args:
        channel: connected; it is closed by :meth:`close`.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._hub = get_hub()
        self._timeout: float | None = None
        # Made when something is waited for, and kept: a watcher costs more than the wait for a quick answer.
        self._watchers: dict[int, Any] = {}
        self._rest = b""  # a channel may give more than was asked for
        self._moved = 0  # bytes since others had a turn
        self._is_awaited = False
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def fileno(self) -> int:
        """Return the descriptor; -1 when it is closed."""
        return -1 if self._is_closed else self._channel.fileno()

    def settimeout(self, timeout: float | None) -> None:
        """Set how long :meth:`recv` and :meth:`sendall` wait for the other side.

        Args:
            timeout: seconds; ``None``: for ever; 0: not at all.
        """
        self._timeout = timeout

    def recv(self, size: int) -> bytes:
        """Return bytes, ``b""`` at the end of input.

        Raises:
            BlockingIOError: none are there, and the timeout is 0. TimeoutError: none came in time.
        """
        data = self._rest
        while not data:
            try:
                data = self._channel.recv(size)
                break
            except BlockingIOError:
                self._wait(READ)
        self._count(len(data))
        self._rest = data[size:]
        return data[:size]

    def recv_into(self, buffer: Any) -> int:
        """Read into ``buffer`` and return how many bytes. See :meth:`recv`."""
        view = memoryview(buffer).cast("B")
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``.

        Raises:
            BlockingIOError, TimeoutError: see :meth:`recv`; some of it may have been sent.
        """
        view = memoryview(data).cast("B")
        while len(view):
            try:
                sent = self._channel.send(view)
            except BlockingIOError:
                self._wait(WRITE)
            else:
                view = view[sent:]
                self._count(sent)
        while self._channel.pending:
            try:
                self._channel.flush()
            except BlockingIOError:
                self._wait(WRITE)

    def pending(self) -> int:
        """Return how many bytes can be read that the descriptor does not tell of."""
        return len(self._rest)

    def shutdown(self, how: int) -> None:
        """Do nothing: :meth:`close` says what is to be said."""

    def close(self) -> None:
        """Close the channel. A greenlet that waits for it gets an OSError."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_awaited:  # it would wait for ever: a descriptor that is closed tells nothing any more
            descriptors.shut_down(self._channel.fileno())
        else:
            self._close()

    def _close(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()
        self._watchers.clear()
        self._channel.close()

    def _count(self, size: int) -> None:
        self._moved += size
        if self._moved > MOST_AT_ONCE:
            self._moved = 0
            gevent.sleep(0)

    def _wait(self, event: int) -> None:
        if self._timeout == 0:
            raise BlockingIOError(errno.EWOULDBLOCK, "nothing can be done without waiting")
        self._moved = 0
        self._is_awaited = True
        try:
            if self._timeout is None:
                self._hub.wait(self._watcher(event))
            elif not wait_for(self._channel.fileno(), event, time.monotonic() + self._timeout):
                raise TimeoutError("timed out")
        finally:
            self._is_awaited = False
            if self._is_closed:
                self._close()
        if self._is_closed:
            raise OSError(errno.EBADF, "the socket was closed")

    def _watcher(self, event: int) -> Any:
        watcher = self._watchers.get(event)
        if watcher is None:
            watcher = self._watchers[event] = self._hub.loop.io(self._channel.fileno(), event)
        return watcher

    def __repr__(self) -> str:
        return f"<CooperativeSocket {self.fileno()}>"
