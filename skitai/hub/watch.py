"""Files, and whether they changed since they were last looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

#: Nanoseconds that the clock of a file system may be behind ours: it ticks up to 100 times a second.
_COARSE: Final = 10_000_000

#: When a file was changed (ns) and its size: one of them differs after every edit that matters.
Stamp = tuple[int, int]


class Watch:
    """Remembers what files were like.

    A file that is not there is no change: editors remove a file and write it anew, and what was deleted for good is of
    no interest any more.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp] = {}
        self._since = time.time_ns()

    def note(self, files: Iterable[str]) -> None:
        """Take files that were never seen for unchanged as they are now; call this before they are read."""
        self._since = time.time_ns()
        for file in files:
            stamp = _stamp_of(file)
            if stamp is not None:
                self._stamps.setdefault(file, stamp)

    def settle(self, files: Iterable[str]) -> None:
        """The same for files that have been read already; what was written meanwhile counts at the next look."""
        for file in files:
            stamp = _stamp_of(file)
            if stamp is not None and stamp[0] < self._since - _COARSE:
                self._stamps.setdefault(file, stamp)

    def changed(self, files: Iterable[str], is_new_a_change: bool = False) -> list[str]:
        """Return which of the files changed since they were last asked for, and remember how they are now.

        Args:
            files: that are of interest now. One that is seen for the first time was read since the last look: it
                counts when it was written since then.
            is_new_a_change: whether one that is seen for the first time counts in any case.
        """
        began = time.time_ns()
        changed = [file for file in files if self._has_changed(file, is_new_a_change, began)]
        self._since = began
        return changed

    def _has_changed(self, file: str, is_new_a_change: bool, now: int) -> bool:
        stamp = _stamp_of(file)
        if stamp is None:
            return False
        known = self._stamps.get(file)
        self._stamps[file] = stamp
        if known is not None:
            return stamp != known
        # A file dated in the future would otherwise count again and again.
        return is_new_a_change or self._since - _COARSE <= stamp[0] <= now + _COARSE

    def __repr__(self) -> str:
        return f"<Watch of {len(self._stamps)} files>"


def _stamp_of(file: str) -> Stamp | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
