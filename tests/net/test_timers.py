"""The sweep over deadlines, with a clock that the test moves."""

from __future__ import annotations

import pytest

from skitai.net import timers
from skitai.net.timers import LATE, TICK, Sweep


class Thing:
    """Notes when it expires."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1
        self.deadline = timers.NEVER


class Clock:
    """Stands in for the ``time`` module."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timers, "time", clock)
    return clock


def test_what_is_due_expires_once(clock: Clock) -> None:
    sweep = Sweep()
    thing, later = Thing(clock.now + TICK / 2), Thing(clock.now + 10)
    sweep.watch(thing)
    sweep.watch(later)
    for _ in range(2):
        clock.now += TICK
        sweep._tick()
    assert (thing.expired, later.expired) == (1, 0)


def test_what_came_in_while_the_loop_was_blocked_is_looked_at_first(clock: Clock) -> None:
    sweep = Sweep()
    thing = Thing(clock.now + 1)
    sweep.watch(thing)
    clock.now += LATE + 5
    sweep._tick()
    assert thing.expired == 0
    clock.now += TICK
    sweep._tick()
    assert thing.expired == 1


def test_a_loop_that_is_always_late_has_its_deadlines_too(clock: Clock) -> None:
    """A worker whose every request computes for two seconds would otherwise keep slow clients for ever."""
    sweep = Sweep()
    thing = Thing(clock.now + 1)
    sweep.watch(thing)
    for _ in range(2):
        clock.now += LATE + 1
        sweep._tick()
    assert thing.expired == 1


def test_a_fault_of_one_does_not_stop_the_clock_of_others(clock: Clock) -> None:
    """It is broken off, and not looked at again: it would raise with each tick."""
    broken: list[BaseException] = []

    class Broken(Thing):
        def expire(self) -> None:
            self.expired += 1
            raise ValueError("broken")

        def break_off(self, error: BaseException) -> None:
            broken.append(error)
            raise KeyError("again")

    sweep = Sweep()
    things = [Thing(clock.now), Broken(clock.now), Thing(clock.now)]
    for thing in things:
        sweep.watch(thing)
    for _ in range(2):
        clock.now += TICK
        sweep._tick()
    assert [str(error) for error in broken] == ["broken"]
    assert [thing.expired for thing in things] == [1, 1, 1]
    for thing in things:
        sweep.forget(thing)
