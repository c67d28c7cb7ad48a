"""``threads=N``: at most N app calls at one time, further ones wait first in, first out, in a bounded queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from skitai.net.pool import GreenletPool

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Slots:
    """The app slots of one worker process.

    Args:
        pool: runs the calls.
        count: calls at one time.
        queue: calls that may wait.

    Attributes:
        free: slots that are free now. run: starts a call on a worker; whoever calls it itself has taken a slot.
    """

    __slots__ = ("_most_waiting", "_pool", "_waiting", "count", "free", "run")

    def __init__(self, pool: GreenletPool, count: int, queue: int) -> None:
        self.count = count
        self.free = count
        self._most_waiting = queue
        self._waiting: deque[Call] = deque()
        self._pool = pool
        self.run = pool.run

    @property
    def busy(self) -> int:
        """Calls running now."""
        return self.count - self.free

    @property
    def waiting(self) -> int:
        """Calls waiting for a slot."""
        return len(self._waiting)

    def submit(self, fn: Callable[..., object], *args: Any) -> bool:
        """Run ``fn(*args)`` on a worker when a slot is free; it must call :meth:`release` once. For the hub only.

        Returns:
            False when the queue is full and the call was not taken.
        """
        if self.free:
            self.free -= 1
            self.run(fn, *args)
            return True
        if len(self._waiting) >= self._most_waiting:
            return False
        self._waiting.append((fn, args))
        return True

    def release(self) -> None:
        """Give the slot of a call back; the call that waits longest gets it."""
        if self._waiting:
            fn, args = self._waiting.popleft()
            self._pool.spawn(fn, *args)
        else:
            self.free += 1

    def __repr__(self) -> str:
        return f"<Slots {self.busy} of {self.count} busy, {self.waiting} waiting>"
