"""The turns of the loop, shared among those who may have more to do than fits into one.

The loop looks at its sockets once a turn, and what a turn holds is not bounded by itself: a thousand members of a room
who say something at the same time are a million messages to send, a hundred connections of HTTP/2 may have a hundred
requests each in what was read, and for all that time nobody else would be served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from gevent import get_hub
from gevent.hub import Waiter
from greenlet import getcurrent

from skitai.net import faults

#: Seconds of such work in one turn.
MOST: Final = 0.01
#: Seconds that one of those who wait should take of a turn, where it can stop in between.
SLICE: Final = 0.002


class Turns:
    """First in, first out; of one hub. See :func:`current`.

    Attributes:
        is_over: there was enough of it in this turn, or some waits for the next.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._used = 0.0  # seconds of this turn
        self._hub = get_hub()
        self._timer: Any = self._hub.loop.timer(0.0)

    @property
    def left(self) -> float:
        """Seconds that there are for somebody who has not waited."""
        return 0.0 if self.is_over else MOST - self._used

    def later(self, fn: Callable[..., object], *args: Any) -> None:
        """Call ``fn(*args)`` in the hub when its turn has come, which is never at once. It must not block."""
        self._queue.append((fn, args))
        self.is_over = True
        self._watch()

    def wait(self) -> None:
        """Let the calling greenlet wait for its turn, if it must; the hub never waits."""
        if not self.is_over or getcurrent() is self._hub:
            return
        waiter: Waiter[None] = Waiter(self._hub)
        self.later(waiter.switch, None)
        waiter.get()

    def spend(self, seconds: float) -> None:
        """Count work that was done at once."""
        self._used += seconds
        self.is_over = self.is_over or self._used >= MOST
        self._watch()

    def _watch(self) -> None:
        """Let the loop call us in its next turn."""
        if not self._timer.active:
            self._timer.start(self._begin)

    def _begin(self) -> None:
        """A turn of the loop has begun."""
        queue = self._queue
        began = perf_counter()
        self._used = 0.0
        while queue and self._used < MOST:
            fn, args = queue.popleft()
            try:
                fn(*args)
            except Exception as error:  # one fault must not take the turn of all others
                faults.escaped(fn, error)
            self._used = perf_counter() - began
        self.is_over = bool(queue) or self._used >= MOST
        if self._used:
            self._watch()

    def __repr__(self) -> str:
        return f"<Turns, {len(self._queue)} wait>"


class Stint:
    """What a greenlet computes between two chances of all others, for those that make something in many parts.

    After each part it calls :meth:`share`. A part that waits for something has given all others their turn; one that
    only computes has not, however small it is.
    """

    __slots__ = ("_began", "_iteration", "_loop", "_turns")

    def __init__(self) -> None:
        self._turns = current()
        self._loop = get_hub().loop
        self._iteration = self._loop.iteration
        self._began = perf_counter()

    def give_way(self) -> None:
        """Let all others have their turn, if some wait for theirs. Never in the hub."""
        turns = self._turns
        if turns.is_over:
            turns.wait()
            self._iteration = self._loop.iteration
            self._began = perf_counter()

    def share(self) -> None:
        """Let all others have their turn, when this greenlet has had more of one than its share. Never in the hub."""
        iteration = self._loop.iteration
        if iteration == self._iteration:
            now = perf_counter()
            if now - self._began < SLICE:
                return
            self._turns.spend(now - self._began)
            self._turns.wait()
            iteration = self._loop.iteration
        self._iteration = iteration
        self._began = perf_counter()


def current() -> Turns:
    """Return those of this thread's hub, made on first use."""
    hub = get_hub()
    try:
        return hub.skitai_turns  # type: ignore[no-any-return]
    except AttributeError:
        hub.skitai_turns = found = Turns()
        return found
