"""Bodies that are sent piece by piece, after the function has returned and its slot is free for the next request.

A body that is not bytes has ``send(exchange, status, fields, reason)`` for our own server, is an iterable of bytes with
``close()`` for other WSGI servers, and is closed once, whatever happened.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from skitai.errors import ClientDisconnected
from skitai.wire.fields import Fields


class Body(ABC):
    """What the native handler sends when it is not bytes. A function may return one.

    Args:
        closers: called once each when nothing more of the body will be sent, also when the client went away.
    """

    def __init__(self, closers: Iterable[Callable[[], object]] = ()) -> None:
        self._closers = list(closers)

    @abstractmethod
    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """Send the whole response. It may return before the response has ended, and end it later itself."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]: ...

    def on_close(self, closer: Callable[[], object]) -> None:
        """Call something when nothing more of the body will be sent."""
        self._closers.append(closer)

    def close(self) -> None:
        """Release what the body holds. All closers are called; the first error of one is raised in the end."""
        error: BaseException | None = None
        while self._closers:
            try:
                self._closers.pop(0)()
            except Exception as failed:
                error = error or failed
        if error is not None:
            raise error


class Stream(Body):
    """Pieces of bytes.

    Args:
        pieces: the body. closers: called once each in the end, also when the client went away.
        length: bytes of all pieces when that is known.

    Attributes:
        explain: makes the response to an exception that comes before the first piece; without one it is raised.
    """

    def __init__(
        self, pieces: Iterable[bytes], closers: Iterable[Callable[[], object]] = (), length: int | None = None
    ) -> None:
        super().__init__(closers)
        self._pieces = iter(pieces)
        self.length = length
        self.explain: Callable[[Exception], Any] | None = None

    def begin(self) -> Any:
        """Ask for the first piece, before the head is sent: what goes wrong until then is still an error page.

        Returns:
            The response in place of this one, ``None`` when there is a first piece.
        """
        try:
            first = next(self._pieces, b"")
        except Exception as error:
            if self.explain is None or isinstance(error, ClientDisconnected):
                raise
            return self.explain(error)
        self._pieces = chain((first,), self._pieces)
        return None

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`Body`."""
        try:
            is_head = exchange.method == "HEAD"
            failed = None if is_head else self.begin()
            if failed is not None:
                status, reason, fields, page = failed
                exchange.respond(status, fields, page, reason)
                return
            exchange.start(status, fields, reason, self.length)
            if not is_head:
                for piece in self._pieces:
                    if exchange.is_full:  # nothing of it would be sent
                        break
                    if piece:
                        exchange.write(piece)
                    else:
                        exchange.give_way()
            exchange.finish()
        finally:
            self.close()

    def encode(self, encode: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        """Put a content coding between the pieces and the client."""
        self._pieces = encode(self._pieces)
        self.length = None

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


class FileStream(Stream):
    """A regular file on disk: our server sends it by sendfile(2) where it can.

    Args:
        file: opened for reading in binary. offset: where to begin. count: bytes to send.
    """

    def __init__(self, file: Any, offset: int, count: int) -> None:
        super().__init__(_read(file, count), [file.close], count)
        self._file: Any = file
        self._offset = offset

    def send(self, exchange: Any, status: int, fields: Fields, reason: str | None) -> None:
        """See :class:`Body`."""
        if self._file is None or self.length is None or exchange.method == "HEAD":
            super().send(exchange, status, fields, reason)
            return
        try:
            exchange.start(status, fields, reason, self.length)
            exchange.send_file(self._file, self._offset, self.length)
            exchange.finish()
        finally:
            self.close()

    def encode(self, encode: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        """See :class:`Stream`."""
        super().encode(encode)
        self._file = None


def _read(file: Any, count: int) -> Iterator[bytes]:
    while count > 0 and (piece := file.read(min(count, 64 * 1024))):
        count -= len(piece)
        yield piece


def _is_on_disk(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_blocks > 0


def file_extent(file: Any) -> tuple[int, int] | None:
    """Return (position, bytes from there to the end) of an open regular file on disk, ``None`` for anything else.

    A file that takes no blocks of a disk, as those of /proc and /sys, may have another content than its size says.
    """
    try:
        status = os.fstat(file.fileno())
        position = file.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return (position, max(0, status.st_size - position)) if _is_on_disk(status) else None
