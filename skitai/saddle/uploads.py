"""A file that came in a form: it lies in a temporary file until the app saves it, or the request ends."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from skitai.saddle.file_names import checked_name, numbered

#: What ``dup`` may be.
_MAKE_UNIQUE, _OVERWRITE = "u", "o"


class UploadedFile:
    """A file of a form. It is removed when the request ends, unless it was saved.

    Args:
        name: that the client gave it, made harmless. mimetype: that the client gave it; nobody checked it.

    Attributes:
        path: where it lies: a temporary file, or what it was saved as. ``file`` is the same, as version 0.15 has it.
        size: bytes.
    """

    def __init__(self, name: str, mimetype: str) -> None:
        self.name = name
        self.mimetype = mimetype
        self.size = 0
        self.is_saved = False
        descriptor, self.path = tempfile.mkstemp(prefix="skitai-upload-")
        self._stream = os.fdopen(descriptor, "wb")

    @property
    def file(self) -> str:
        """:attr:`path`."""
        return self.path

    def read(self, mode: str = "rb") -> Any:
        """Return the content: bytes, or text (UTF-8) with mode ``"r"``.

        Raises:
            ValueError: the mode is not one for reading only. OSError: the file was removed.
        """
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"a file is read with mode 'rb' or 'r', not {mode!r}")
        with open(self.path, mode, encoding=None if "b" in mode else "utf-8") as stream:
            return stream.read()

    def save(self, into: str | os.PathLike[str], name: str | None = None, mkdir: bool = False, dup: str = "u") -> str:
        """Move the file into a directory and return its path there. It never gets into another one.

        Args:
            into: the directory.
            name: of the file there; ``None`` is :attr:`name`.
            mkdir: make the directory when there is none.
            dup: when there is such a file already: ``"u"`` takes ``name.1.ext``, ``name.2.ext`` and so on, whichever is
                free; ``"o"`` puts this one in its place.

        Raises:
            InvalidFileName: ``name`` is no plain file name; a ValueError, and a 400 for the client.
            ValueError: ``dup`` is none of these, or the file was saved already.
            OSError: the directory is missing or cannot be written to, or the file was removed.
        """
        if dup not in (_MAKE_UNIQUE, _OVERWRITE):
            raise ValueError(f"dup is 'u' (make the name unique) or 'o' (overwrite), not {dup!r}")
        if self.is_saved:
            raise ValueError(f"the file was saved already, as {self.path}: copy it from there")
        name = self.name if name is None else checked_name(name)
        directory = os.fspath(into)
        if mkdir:
            os.makedirs(directory, exist_ok=True)
        with _staged(self.path, directory) as staged:
            path = os.path.join(directory, name) if dup == _OVERWRITE else _claim(directory, name)
            try:
                os.replace(staged, path)
            except OSError:
                if dup == _MAKE_UNIQUE:
                    os.unlink(path)  # what was claimed is empty and ours
                raise
        self.path = path
        self.is_saved = True
        return path

    def remove(self) -> None:
        """Delete the temporary file. What was saved stays."""
        try:
            self._stream.close()  # a full disk may tell here first
        finally:
            if not self.is_saved:
                with suppress(FileNotFoundError):
                    os.unlink(self.path)

    # For the parser

    def write(self, data: bytes) -> None:
        """Take a piece of the content."""
        self._stream.write(data)
        self.size += len(data)

    def finish(self) -> None:
        """The content is complete."""
        self._stream.close()

    def __repr__(self) -> str:
        return f"<UploadedFile {self.name} {self.mimetype} {self.size} bytes>"


@contextmanager
def _staged(path: str, directory: str) -> Iterator[str]:
    """Move a file into a directory under a name of ours, with the mode that a new file there gets.

    From there it takes its place in one step, so nobody ever sees a part of it. If it does not, it goes back or away.
    """
    staged = os.path.join(directory, f".skitai-{secrets.token_hex(8)}")
    descriptor = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(descriptor).st_mode & 0o777
    os.close(descriptor)
    try:
        is_moved = _move(path, staged)
        os.chmod(staged, mode)
        try:
            yield staged
        except OSError:
            if is_moved:
                os.replace(staged, path)  # the app may try another directory
            raise
        if not is_moved:
            os.unlink(path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(staged)


def _move(path: str, staged: str) -> bool:
    """Move a file, or copy it when it lies on another file system; tell whether it was moved."""
    try:
        os.replace(path, staged)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(path, staged)
        return False
    return True


def _claim(directory: str, name: str) -> str:
    """Create an empty file under the first name that is free: two requests never get the same one."""
    for number in count():
        path = os.path.join(directory, numbered(name, number))
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path
    raise AssertionError("count() has no end")
