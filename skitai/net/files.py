"""Opening a file that somebody else names: a regular one, or none. A FIFO would be waited for, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str], buffering: int = -1) -> BinaryIO:
    """Open a regular file for reading in binary; never waits for another process.

    Args:
        path: of it; a symbolic link is followed. buffering: as of :func:`open`.

    Raises:
        OSError: there is no such file, it cannot be read, or it is a directory, FIFO, socket or device (``EINVAL``).
        ValueError: the path has a NUL.
    """
    file = open(path, "rb", buffering, opener=_open_without_waiting)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def _open_without_waiting(path: str, flags: int) -> int:
    # The file may be another one now than it was when somebody looked. O_NONBLOCK does nothing to a regular one.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def is_file_or_directory(path: str | os.PathLike[str]) -> bool:
    """Return whether reading ``path`` cannot make anybody wait; also True when there is nothing, which ends at once."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
