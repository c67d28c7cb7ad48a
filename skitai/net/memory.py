"""Memory that nobody needs any more, given back to the system.

The allocator of glibc keeps the place of what was freed when something above it lives on: after 1,000 bodies of 1 MB a
process kept 900 MB. Asking for it takes 60 ms then, and 9 ms when there is nothing to be had in 200 MB of small pieces.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final

MIB: Final = 1024 * 1024
#: Growth above the least that the process ever took, in bytes, which is left to the allocator.
LEFT: Final = 32 * MIB
#: What makes asking for it worth while.
WORTH: Final = 8 * MIB
#: Looks, one a second, from one question to the next: when the last one brought something, and at most.
SOON, LATE = 4, 300


def taken() -> int:
    """Return the bytes of memory that this process takes; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _trim_of_glibc() -> Callable[[], object] | None:
    """Return what gives back all that is free, ``None`` where there is another allocator."""
    try:
        trim: Any = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return lambda: trim(0)


class Memory:
    """Watches what the process takes. Call :meth:`look` about once a second.

    Args:
        measure: returns the bytes that the process takes. trim: gives back what is free; ``None``: nothing can.
    """

    def __init__(self, measure: Callable[[], int] = taken, trim: Callable[[], object] | None = None) -> None:
        self._measure = measure
        self._trim = trim or _trim_of_glibc()
        self._least = self._after = measure()
        self._looks = 0
        self._pause = SOON

    def look(self) -> None:
        """Give back what is free, when the process has grown; seldom when that brought nothing."""
        if self._trim is None:
            return
        now = self._measure()
        self._least = min(self._least, now)
        if now <= self._least + LEFT:
            self._looks = 0
            return
        if now > self._after + LEFT:
            self._pause = SOON
        self._looks += 1
        if self._looks >= self._pause:
            self._looks = 0
            self._trim()
            self._after = self._measure()
            self._pause = SOON if now - self._after >= WORTH else min(2 * self._pause, LATE)

    def __repr__(self) -> str:
        return f"<Memory {self._after // MIB} MB, {self._looks} of {self._pause} looks>"
