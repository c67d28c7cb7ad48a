"""One coarse sweep over all deadlines of a process, instead of a timer for each connection.

Moving a deadline is one attribute assignment; the price is that something may expire up to :data:`TICK` seconds late.
A tick over 10,000 connections takes about a millisecond.
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from gevent import get_hub

from skitai.net import faults

#: Seconds between two looks at the deadlines.
TICK = 0.25

#: A tick that comes this many seconds after the one before is late: something blocked the loop. What came in meanwhile
#: has not been looked at, and whoever sent it in time must not pay for that.
LATE = 4 * TICK

NEVER = math.inf


class HasDeadline(Protocol):
    """Something that may expire."""

    deadline: float

    def expire(self) -> None:
        """Called in the hub, at most :data:`TICK` late. It must not block, and must move the deadline or end.

        What raises here is watched no more, and broken off when it can be: see :mod:`skitai.net.faults`.
        """


class Sweep:
    """Looks at the deadlines of what it watches, four times a second, while it watches anything."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._watched: set[HasDeadline] = set()
        self._hub: Any = None
        self._timer: Any = None
        self._ticked = self.now

    def watch(self, thing: HasDeadline) -> None:
        """Call ``thing.expire()`` soon after ``thing.deadline`` (monotonic s) has passed, until it is forgotten."""
        self._watched.add(thing)
        hub = get_hub()
        if self._timer is None or self._hub is not hub:
            self._start(hub)

    def forget(self, thing: HasDeadline) -> None:
        """Stop watching ``thing``; nothing happens when it is not watched."""
        self._watched.discard(thing)

    def read(self) -> float:
        """Return the exact monotonic time and keep it as :attr:`now`."""
        self.now = time.monotonic()
        return self.now

    def _start(self, hub: Any) -> None:
        self._hub = hub
        self._ticked = self.read()
        self._timer = hub.loop.timer(TICK, TICK, ref=False)
        self._timer.start(self._tick)

    def _tick(self) -> None:
        if not self._watched:
            self._timer.close()
            self._timer = None
            return
        before = self._ticked
        self._ticked = now = self.read()
        # After a late tick only what was due at the one before: since then the loop has looked at the sockets.
        due = before if now - before > LATE else now
        for thing in [each for each in self._watched if each.deadline <= due]:
            try:
                thing.expire()
            except Exception as error:  # one thing's fault must not stop the clock of all others
                # It would raise again with each tick, and whoever waits for it would never hear of it.
                self._watched.discard(thing)
                faults.escaped(thing.expire, error)

    def __repr__(self) -> str:
        return f"<Sweep of {len(self._watched)} deadlines>"


sweep = Sweep()
