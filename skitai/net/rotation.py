"""A file that all processes of a server append to, renamed when its day, week or month ends."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import gevent.monkey

Rotation = Literal["daily", "weekly", "monthly"]

# What of the local time is the same within one period; %G and %V are the year and the week of ISO 8601.
_UNITS: Final = {"daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m"}

# Seconds in which a file that another process renamed counts as rotated: the same signal goes to all of them.
_JUST_RENAMED: Final = 5.0

_poll = gevent.monkey.get_original("select", "select")
# How long a console that takes no more bytes may hold up its process, in seconds.
_STALLED_CONSOLE = 1.0


class RotatingFile:
    """An append-only file with a period, shared by any number of processes.

    No process leads: each one, before it writes, asks whether the period of the file is over and whether the path still
    names the file it has open. The rename happens under a lock on the file itself, so exactly one process does it and
    the others find a new file and open that.

    Args:
        path: the file; its directory is made when it is missing.
        rotation: ``"daily"``, ``"weekly"`` or ``"monthly"``, by local time.
        keep: how many renamed files stay; older ones are deleted.
        clock: seconds since the epoch; tests pass their own.
    """

    def __init__(
        self, path: str, rotation: Rotation = "daily", keep: int = 100, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path)
        self.keep = keep
        self._unit = _UNITS[rotation]
        self._clock = clock
        self._fd = -1
        self._period = ""
        self._followed = -_JUST_RENAMED

    def write(self, data: bytes) -> None:
        """Append whole lines.

        Raises:
            OSError: the file cannot be written; some of the bytes may be.
        """
        if self._fd != -1 and not self._is_current():
            self._close()
            self._followed = time.monotonic()
        if self._fd == -1:
            self._open()
        if self._period != self._period_of(self._clock()):
            self._rename(is_forced=False)
        write_all(self._fd, data)

    def rotate(self) -> None:
        """Rename the file now, unless it is empty or another process just did.

        Raises:
            OSError: the file cannot be opened.
        """
        followed, self._followed = self._followed, -_JUST_RENAMED
        if time.monotonic() - followed < _JUST_RENAMED:
            return
        if self._fd == -1:
            self._open()
        self._rename(is_forced=True)

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        self._close()

    def _period_of(self, moment: float) -> str:
        return time.strftime(self._unit, time.localtime(moment))

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        state = os.fstat(self._fd)
        self._period = self._period_of(state.st_mtime if state.st_size else self._clock())

    def _close(self) -> None:
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1

    def _is_current(self) -> bool:
        """Whether the path still names the open file, and not one that was renamed, deleted or made since."""
        try:
            named, opened = os.stat(self.path), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (named.st_ino, named.st_dev) == (opened.st_ino, opened.st_dev)

    def _rename(self, is_forced: bool) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        # Closing gives the lock back, so whoever waited for it sees the new name and opens the new file.
        try:
            state = os.fstat(self._fd)
            is_due = self._period_of(state.st_mtime) != self._period_of(self._clock())
            if self._is_current() and state.st_size and (is_forced or is_due):
                self.path.rename(self._free_name(time.strftime("%Y%m%d", time.localtime(state.st_mtime))))
                self._prune()
        except OSError as error:
            # Better one long file than lost lines; the next period tries again.
            report(f"{self.path} cannot be rotated: {error}")
        finally:
            self._close()
        self._open()
        self._period = self._period_of(self._clock())

    def _free_name(self, day: str) -> Path:
        """``server-20260131.log``, or ``server-20260131.1.log`` when that day was rotated before."""
        name, number = self.path.with_name(f"{self.path.stem}-{day}.log"), 0
        while name.exists():
            number += 1
            name = self.path.with_name(f"{self.path.stem}-{day}.{number}.log")
        return name

    def _prune(self) -> None:
        pattern = re.compile(rf"{re.escape(self.path.stem)}-(\d{{8}})(?:\.(\d+))?\.log")
        old = sorted(
            (match[1], int(match[2] or 0), entry)
            for entry in self.path.parent.iterdir()
            if (match := pattern.fullmatch(entry.name))
        )
        for _, _, entry in old[: -self.keep or None]:
            entry.unlink(missing_ok=True)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, in as few calls as the system allows.

    Raises:
        OSError: the system refused, or a console took nothing for a second.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            # Somebody made the console non-blocking; a terminal that scrolls catches up within the second.
            if not _poll([], [fd], [], _STALLED_CONSOLE)[1]:
                raise


def report(text: str) -> None:
    """Say something about logging itself on standard error; there is no better place left."""
    with suppress(OSError):
        write_all(2, f"skitai: {text}\n".encode("utf-8", "backslashreplace"))
