"""``wsgi.file_wrapper`` (PEP 3333): a file as the body of a response."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from typing import Any, BinaryIO


class FileWrapper:
    """``wsgi.file_wrapper``: an iterable over a file that the server may send by sendfile(2) instead.

    Args:
        filelike: with ``read(size)``; its ``close()`` is called in the end if it has one.
        block_size: bytes read at a time when it is iterated.
    """

    def __init__(self, filelike: BinaryIO, block_size: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data

    def rest(self) -> tuple[int, int] | None:
        """Return (offset, bytes left) when this is a regular file on disk, else ``None``.

        Some files have another content than their size says: 0 in /proc, a page in /sys. They take no blocks of a
        disk, and are read until they end.
        """
        file = _plain_file(self.filelike)
        if file is None:
            return None
        try:
            number = file.fileno()
            offset = file.tell()
        except (OSError, ValueError):
            return None
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or not status.st_blocks:
            return None
        return offset, max(0, status.st_size - offset)


def _plain_file(file: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """Return the file whose bytes on disk are those that reading gives, else ``None``.

    A ``fileno()`` alone says nothing: those of gzip, bz2 and lzma files lead to the compressed bytes.
    """
    if isinstance(file, tempfile._TemporaryFileWrapper):
        file = file.file
    if type(file) is io.FileIO:
        return file
    if type(file) in (io.BufferedReader, io.BufferedRandom) and type(file.raw) is io.FileIO:
        return file  # type: ignore[no-any-return]
    return None
