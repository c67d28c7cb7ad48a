"""Turns of the loop, shared."""

from __future__ import annotations

from time import perf_counter

import gevent
from gevent.event import Event

from skitai.net.turns import SHARE, Turns


class Busy:
    """Works until its slice is over, some slices long."""

    def __init__(self, turns: Turns, log: list[Busy], slices: int) -> None:
        self.turns = turns
        self.log = log
        self.left = slices
        self.is_done = Event()

    def begin(self) -> Busy:
        self.turns.wait(self)
        return self

    def work(self, until: float) -> bool:
        while perf_counter() < until:
            pass
        self.log.append(self)
        self.left -= 1
        if not self.left:
            self.is_done.set()
        return not self.left


def test_workers_take_turns_and_leave_some_to_the_loop() -> None:
    turns, log = Turns(), []
    workers = [Busy(turns, log, 5).begin() for _ in range(3)]
    rounds = 0
    while not all(each.is_done.is_set() for each in workers):
        gevent.sleep(0)
        rounds += 1
    assert log == workers * 5
    assert rounds > 1


def test_a_turn_is_over_for_whoever_comes_when_others_wait() -> None:
    turns, log = Turns(), []
    now = perf_counter()
    assert now < turns.until() <= perf_counter() + SHARE
    worker = Busy(turns, log, 2).begin()
    assert turns.until() == 0.0
    worker.is_done.wait(5)
    gevent.sleep(0)
    assert turns.until() > now


def test_a_worker_that_fails_stops_no_other() -> None:
    turns, log = Turns(), []

    class Broken:
        def work(self, until: float) -> bool:
            raise ValueError("this one is reported, and forgotten")

    turns.wait(Broken())
    worker = Busy(turns, log, 2).begin()
    assert worker.is_done.wait(5)
