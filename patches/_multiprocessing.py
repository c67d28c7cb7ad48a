"""multiprocessing.Pool waits for its processes in ways that stop all greenlets; it is refused with what works instead.

Why: its threads are greenlets here, and one of them waits in a read of a pipe that gevent cannot see: the whole worker
stood still for ever. Process, Queue and Pipe of multiprocessing, and concurrent.futures.ProcessPoolExecutor, work.
Versions: Python 3.11 and newer. It can go when the pool waits by what gevent patches.
"""

from __future__ import annotations

import sys
from typing import Any

from . import _imports

REFUSAL = (
    "multiprocessing.Pool would stop all requests of this process for ever, as it waits where gevent cannot see it: "
    "use concurrent.futures.ProcessPoolExecutor, or multiprocessing.pool.ThreadPool"
)


def apply() -> None:
    """Refuse it now, or when it is imported."""
    if "multiprocessing.pool" in sys.modules:
        _install()
    else:
        _imports.after("multiprocessing.pool", _install)


def _install() -> None:
    from multiprocessing.pool import CLOSE, Pool, ThreadPool

    begin = Pool.__init__

    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        if not isinstance(self, ThreadPool):
            self._state = CLOSE  # which its __del__() asks for
            raise RuntimeError(REFUSAL)
        begin(self, *args, **keywords)

    Pool.__init__ = __init__  # type: ignore[method-assign]
