"""Bodies in pieces: an app may return one. Each has ``more()``, which returns ``b""`` at its end, and can be iterated.

What they were made for, an event loop that asks for the next piece when a client took the last one, the server does
for any iterable; they are here for apps that were written with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Producer:
    """What all have in common."""

    def more(self) -> bytes:
        """Return the next piece, ``b""`` when there is no more."""
        raise NotImplementedError

    def close(self) -> None:
        """Nobody will ask for more; called by the server, also when the client went away."""

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.more():
            yield piece


class simple_producer(Producer):
    """Bytes or str in pieces of ``buffer_size`` bytes."""

    def __init__(self, data: bytes | str, buffer_size: int = 64 * 1024) -> None:
        self._data = _as_bytes(data)
        self._size = buffer_size
        self._position = 0

    def more(self) -> bytes:
        """See :class:`Producer`."""
        piece = self._data[self._position : self._position + self._size]
        self._position += len(piece)
        return piece

    def __len__(self) -> int:
        return len(self._data)


class iter_producer(Producer):
    """The pieces of an iterable of bytes or str; empty ones are left out, because they would mean the end."""

    def __init__(self, pieces: Iterable[bytes | str]) -> None:
        self._source = pieces
        self._pieces = iter(pieces)

    def more(self) -> bytes:
        """See :class:`Producer`."""
        for piece in self._pieces:
            if piece:
                return _as_bytes(piece)
        return b""

    def close(self) -> None:
        """Close the iterable, if it can be closed."""
        _close(self._source)


class list_producer(iter_producer):
    """The items of a list, one after the other."""


class file_producer(Producer):
    """An open binary file in pieces of ``buffer_size`` bytes; it is closed at its end."""

    def __init__(self, file: Any, buffer_size: int = 64 * 1024) -> None:
        self._file = file
        self._size = buffer_size
        self._is_over = False

    def more(self) -> bytes:
        """See :class:`Producer`."""
        if self._is_over:
            return b""
        piece = self._file.read(self._size)
        if not piece:
            self.close()
        return _as_bytes(piece)

    def close(self) -> None:
        """Close the file."""
        self._is_over = True
        _close(self._file)


class closing_stream_producer(file_producer):
    """Anything with ``read(size)``; at its end it is closed and ``callback`` is called with it, once."""

    def __init__(
        self, stream: Any, buffer_size: int = 64 * 1024, callback: Callable[[Any], object] | None = None
    ) -> None:
        super().__init__(stream, buffer_size)
        self._callback = callback

    def close(self) -> None:
        """Close the stream and call the callback."""
        super().close()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self._file)


def _as_bytes(piece: bytes | str) -> bytes:
    return piece.encode("utf-8") if isinstance(piece, str) else bytes(piece)


def _close(source: object) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()
