"""A file that came in a form: it has no name on the disk until the app asks for it, or saves the file."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any, BinaryIO

from skitai.saddle.file_names import checked_name, numbered

#: What ``dup`` may be.
_MAKE_UNIQUE, _OVERWRITE = "u", "o"
#: Bytes that are copied at a time.
_PIECE = 256 * 1024


class Content:
    """The bytes of all files of a form: one file without a name, so that no way to end the process leaves it behind.

    One descriptor is enough for a form of a thousand files.
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Put ``data`` behind all that is there. Raises OSError when it cannot be kept."""
        if self._file is None:
            # By O_TMPFILE where the file system has it; else it is removed at once.
            self._file = tempfile.TemporaryFile(prefix="skitai-upload-", buffering=0)  # noqa: SIM115
        view = memoryview(data)
        while view:
            view = view[os.write(self._file.fileno(), view) :]
        self.size += len(data)

    def pieces(self, start: int, size: int) -> Iterator[bytes]:
        """Give out a part of it. Raises FileNotFoundError when it was closed."""
        while size:
            piece = os.pread(self._descriptor(), min(size, _PIECE), start)
            if not piece:
                raise OSError(errno.EIO, "the temporary file became shorter")
            yield piece
            start += len(piece)
            size -= len(piece)

    def link(self, path: str) -> bool:
        """Give all of it the name ``path``; False where that cannot be, as on another file system."""
        if self._file is None:
            return False
        # Without a descriptor of a directory Python calls link(2), which links the symbolic link itself.
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            source = f"/proc/self/fd/{self._file.fileno()}"
            os.link(source, os.path.basename(path), dst_dir_fd=directory, follow_symlinks=True)
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise
            return False
        finally:
            os.close(directory)
        return True

    def close(self) -> None:
        """Forget it."""
        self.size = -1
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was forgotten."""
        return self.size < 0

    def _descriptor(self) -> int:
        if self._file is None or self.is_closed:
            raise FileNotFoundError(errno.ENOENT, "the uploaded file was removed")
        return self._file.fileno()


class UploadedFile:
    """A file of a form. It is gone when the request ends, unless it was saved.

    It lies in a file that has no name. It gets one, which is removed at the end of the request, when :attr:`path` is
    asked for.

    Args:
        name: that the client gave it, made harmless. mimetype: that the client gave it; nobody checked it.
        content: that its bytes go to, behind those of the files before it; ``None`` makes one.

    Attributes:
        size: bytes.
    """

    def __init__(self, name: str, mimetype: str, content: Content | None = None) -> None:
        self.name = name
        self.mimetype = mimetype
        self.size = 0
        self.is_saved = False
        self._content = Content() if content is None else content
        self._start = self._content.size
        self._path = os.path.join(tempfile.gettempdir(), f"skitai-upload-{secrets.token_hex(8)}")
        self._is_named = False
        self._is_removed = False

    @property
    def path(self) -> str:
        """Where it lies: what it was saved as, else a temporary file, which is made when this is asked for.

        Raises:
            OSError: it cannot be made.
        """
        if not (self._is_named or self.is_saved or self._is_removed or self._content.is_closed):
            if not self._link(self._path):
                self._copy(self._path, 0o600)
            self._is_named = True
        return self._path

    @property
    def file(self) -> str:
        """:attr:`path`, as version 0.15 has it."""
        return self.path

    def read(self, mode: str = "rb") -> Any:
        """Return the content: bytes, or text (UTF-8) with mode ``"r"``.

        Raises:
            ValueError: the mode is not one for reading only. OSError: the file was removed.
        """
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"a file is read with mode 'rb' or 'r', not {mode!r}")
        if self._is_named or self.is_saved:
            with open(self._path, mode, encoding=None if "b" in mode else "utf-8") as stream:
                return stream.read()
        data = b"".join(self._pieces())
        return data if "b" in mode else io.TextIOWrapper(io.BytesIO(data), "utf-8").read()

    def save(self, into: str | os.PathLike[str], name: str | None = None, mkdir: bool = False, dup: str = "u") -> str:
        """Put the file into a directory and return its path there. It never gets into another one.

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
            raise ValueError(f"the file was saved already, as {self._path}: copy it from there")
        name = self.name if name is None else checked_name(name)
        directory = os.fspath(into)
        if mkdir:
            os.makedirs(directory, exist_ok=True)
        staged = os.path.join(directory, f".skitai-{secrets.token_hex(8)}")
        try:
            self._stage(staged)
            path = os.path.join(directory, name) if dup == _OVERWRITE else _claim(directory, name)
            try:
                os.replace(staged, path)
            except OSError:
                if dup == _MAKE_UNIQUE:
                    os.unlink(path)  # what was claimed is empty and ours
                raise
        finally:
            with suppress(FileNotFoundError):
                os.unlink(staged)
        self._forget_name()
        self._path = path
        self.is_saved = True
        return path

    def remove(self) -> None:
        """Delete the temporary file. What was saved stays."""
        self._is_removed = True
        self._forget_name()

    # For the parser

    def write(self, data: bytes) -> None:
        """Take a piece of the content."""
        self._content.write(data)
        self.size += len(data)

    def finish(self) -> None:
        """The content is complete."""

    # Internals

    def _forget_name(self) -> None:
        if self._is_named:
            self._is_named = False
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    def _stage(self, staged: str) -> None:
        """Put the content under a name of ours into a directory, with the mode that a new file there gets.

        From there it takes its place in one step, so nobody ever sees a part of it.
        """
        descriptor = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(descriptor).st_mode & 0o777
        os.close(descriptor)
        if self._is_named:  # the app may have changed the file that it asked for, or put another one there
            shutil.copyfile(self._path, staged)
            return
        os.unlink(staged)
        if self._link(staged):
            os.chmod(staged, mode)
        else:
            self._copy(staged, 0o666)

    def _link(self, path: str) -> bool:
        """Give the content a name, without a copy, when it is all that came; tell whether it has it."""
        is_all = not self._start and self._content.size == self.size
        return is_all and not self._is_removed and self._content.link(path)

    def _copy(self, path: str, mode: int) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                for piece in self._pieces():
                    stream.write(piece)
        except BaseException:
            os.unlink(path)
            raise

    def _pieces(self) -> Iterator[bytes]:
        if self._is_removed or self._content.is_closed:
            raise FileNotFoundError(errno.ENOENT, "the uploaded file was removed")
        return self._content.pieces(self._start, self.size)

    def __repr__(self) -> str:
        return f"<File {self.name} ({self.size} bytes, {self.mimetype}) saved as {self._path}>"


def _claim(directory: str, name: str) -> str:
    """Create an empty file under the first name that is free: two requests never get the same one."""
    for number in count():
        path = os.path.join(directory, numbered(name, number))
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path
    raise AssertionError("count() has no end")
