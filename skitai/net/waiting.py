"""Waiting for the same descriptor again and again."""

from __future__ import annotations

from gevent import get_hub
from greenlet import getcurrent

from skitai.net.connect import READ


class Readable:
    """Lets a greenlet wait until a descriptor can be read.

    gevent's ``wait_read()`` makes a watcher for each wait and has the system told of it; one that is kept takes two
    microseconds less.

    Args:
        fileno: the descriptor, which must stay open until :meth:`close`.
    """

    __slots__ = ("_hub", "_watcher")

    def __init__(self, fileno: int) -> None:
        self._hub = get_hub()
        self._watcher = self._hub.loop.io(fileno, READ)

    def wait(self) -> None:
        """Wait; one greenlet at a time. It may return early, so look whether there is something."""
        watcher = self._watcher
        watcher.start(getcurrent().switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()

    def close(self) -> None:
        """Nobody waits any more."""
        self._watcher.close()
