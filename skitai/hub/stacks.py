"""How a supervisor gets the stack of a worker that cannot run Python code any more."""

from __future__ import annotations

import os
import signal
from typing import Final

#: Asks a worker for its stack, which a handler in C writes even while Python code cannot run.
STACK_SIGNAL: Final[int] = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGXCPU


def open_stack_file() -> int:
    """Return a descriptor of a file in memory for a stack, -1 where the system has none."""
    return os.memfd_create("stack") if hasattr(os, "memfd_create") else -1


def read_stack(file: int) -> str:
    """Return what is in such a file, and empty it."""
    if file == -1:
        return ""
    text = os.pread(file, 64 * 1024, 0).decode(errors="replace").rstrip()
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    return text
