"""What pytest-xdist needs in a process that gevent has patched."""

from __future__ import annotations

import os
from typing import Any

import gevent
import gevent.monkey

#: Seconds between two looks for the next test.
_PAUSE = 0.002


class _Flag:
    """An event that a native thread sets and the main greenlet waits for.

    The one of ``threading`` is gevent's by now: waiting for it in a loop that has nothing else to do is an error there.
    """

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait while the other greenlets go on, as those that read what servers print."""
        with gevent.Timeout(timeout, False):
            while not self._is_set:
                gevent.sleep(_PAUSE)
        return self._is_set


def prepare() -> None:
    """Let a worker of pytest-xdist get its tests by a native thread; elsewhere this does nothing."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    from execnet import gateway_base

    model: Any = gateway_base.ThreadExecModel
    native_lock = gevent.monkey.get_original("_thread", "RLock")
    model.RLock = model.Lock = lambda self: native_lock()
    model.Event = lambda self: _Flag()
