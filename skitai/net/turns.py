"""The turns of the loop, shared among those who may have more to do than fits into one.

One read of a multiplexed connection may hold a hundred requests, and thirty such connections are ready in one turn of
the loop: with all of it done at once, somebody else waited for 0.8 seconds, and 3 with a hundred of them.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import Any, Final, Protocol

from gevent import get_hub

#: Seconds of one turn for all who share it. Who has just connected waits for three or four turns.
SHARE: Final = 0.01
#: Seconds for one of them, when others wait.
SLICE: Final = 0.002


class Worker(Protocol):
    """Somebody with work that can be interrupted."""

    def work(self, until: float) -> bool:
        """Work in the hub until the counter of :func:`time.perf_counter` says ``until``; return whether it is done."""


class Turns:
    """The workers of one hub that wait for their next slice, first come first served."""

    def __init__(self) -> None:
        self._waiting: deque[Worker] = deque()
        self._turn = 0.0
        self._until = 0.0
        self._timer: Any = None

    def until(self) -> float:
        """Return until when there may be work in this turn, by the counter of :func:`time.perf_counter`.

        It counts from the first call in a turn, and is over at once for whoever comes when others wait already.
        """
        if self._waiting:
            return 0.0
        turn = get_hub().loop.now()  # of the loop's own clock, which moves once a turn
        if turn != self._turn:
            self._turn = turn
            self._until = perf_counter() + SHARE
        return self._until

    def wait(self, worker: Worker) -> None:
        """Let ``worker`` go on in a later turn, behind those that wait already."""
        self._waiting.append(worker)
        if self._timer is None:
            self._start()

    def _start(self) -> None:
        # Not a callback of the loop: those run before it looks at its sockets again. A new one each time: a timer of
        # libev that has run out does not start again.
        self._timer = get_hub().loop.timer(0.0)
        self._timer.start(self._run)

    def _run(self) -> None:
        self._timer.close()
        self._timer = None
        waiting = self._waiting
        end = perf_counter() + SHARE
        try:
            while waiting:
                worker = waiting.popleft()
                if not worker.work(min(end, perf_counter() + SLICE)):
                    waiting.append(worker)
                if perf_counter() > end:
                    break
        finally:
            if waiting:
                self._start()

    def __repr__(self) -> str:
        return f"<Turns {len(self._waiting)} waiting>"


turns = Turns()
