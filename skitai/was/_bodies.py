"""Bodies that are read while they are sent: files, generators, uploads with both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import SEEK_END, TextIOBase
from typing import Any

#: Bytes read from a file at a time.
PIECE = 64 * 1024


class _File:
    """An open binary file from where it stands to its end. Several readers keep their own positions in it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = file.tell()
        self.length = file.seek(0, SEEK_END) - self._start
        file.seek(self._start)

    def __iter__(self) -> Iterator[bytes]:
        position, end = self._start, self._start + self.length
        while position < end:
            # No greenlet can run between these two: another reader of the file does not move our place.
            self._file.seek(position)
            piece = self._file.read(min(PIECE, end - position))
            if not piece:
                raise OSError(f"the file became shorter while it was sent: {getattr(self._file, 'name', self._file)!r}")
            position += len(piece)
            yield piece


class StreamedBody:
    """A body made of pieces.

    Args:
        pieces: bytes, open files, and iterables of bytes or str, in order.

    Attributes:
        length: bytes of it; ``None`` when that is not known before its end, and it goes out chunked.
        can_repeat: it can be sent again, and to several servers.
    """

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._files = [piece for piece in pieces if hasattr(piece, "close")]
        self._pieces = [_piece(piece) for piece in pieces]
        self.can_repeat = all(isinstance(piece, (bytes, _File)) for piece in self._pieces)
        self.length: int | None = None
        if self.can_repeat:
            self.length = sum(len(p) if isinstance(p, bytes) else p.length for p in self._pieces)
        self._is_used = False

    def __iter__(self) -> Iterator[bytes]:
        """Give out the bytes from the start. A body that cannot repeat does so once.

        Raises:
            RuntimeError: it was given out before.
        """
        if self._is_used and not self.can_repeat:
            raise RuntimeError("a generator or pipe can be sent only once")
        self._is_used = True
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from map(_as_bytes, piece)

    def read(self) -> bytes:
        """Return the whole body: for a generator that must go to several servers."""
        return b"".join(self)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            with suppress(Exception):  # whatever a user's object does when it is closed, its request has ended
                file.close()


def _piece(piece: Any) -> Any:
    if isinstance(piece, bytes):
        return piece
    if not hasattr(piece, "read"):
        return piece
    if not isinstance(piece, TextIOBase):
        with suppress(OSError, AttributeError):  # a pipe has no position
            return _File(piece)
    return iter(lambda: piece.read(PIECE) or None, None)


def _as_bytes(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode("utf-8")
    # Not whatever bytes() takes: of an int it would make so many zero bytes.
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a body gives bytes or str, and this one gave {type(piece).__name__}")
