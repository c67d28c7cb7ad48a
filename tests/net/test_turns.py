"""Work in turns: first in, first out, a little in each turn of the loop."""

from __future__ import annotations

import gevent
import pytest
from gevent import get_hub

from skitai.net import faults
from skitai.net import turns as module
from skitai.net.turns import Turns, current


def test_nobody_waits_when_there_is_time_left() -> None:
    turns = Turns()
    turns.wait()
    assert turns.left == module.MOST
    turns.spend(module.MOST / 4)
    assert turns.left == module.MOST * 3 / 4
    turns.spend(module.MOST / 4)
    assert not turns.is_over
    turns.wait()
    turns.spend(module.MOST / 2)
    assert turns.is_over and turns.left == 0.0
    gevent.sleep(0.01)
    assert not turns.is_over


def test_work_is_done_in_order_and_others_go_between() -> None:
    turns = Turns()
    seen: list[object] = []

    def work(number: int) -> None:
        seen.append(number)
        end = module.perf_counter() + module.MOST
        while module.perf_counter() < end:
            pass

    for number in range(4):
        turns.later(work, number)
    watcher = get_hub().loop.timer(0.0, 0.001)
    watcher.start(seen.append, "other")
    while 3 not in seen:
        gevent.sleep(0)
    watcher.close()
    assert [each for each in seen if each != "other"] == [0, 1, 2, 3]
    assert all("other" in seen[seen.index(number) : seen.index(number + 1)] for number in range(3))


def test_work_that_goes_on_later_goes_behind_the_others() -> None:
    turns = Turns()
    seen: list[str] = []

    def work(name: str, left: int) -> None:
        seen.append(name)
        if left:
            turns.later(work, name, left - 1)

    for name in "abc":
        turns.later(work, name, 4)
    while len(seen) < 15:
        gevent.sleep(0)
    assert seen == list("abc") * 5
    gevent.sleep(0.01)
    assert not turns.is_over


def test_greenlets_wait_and_the_hub_does_not() -> None:
    turns = Turns()
    order: list[str] = []

    def speak(name: str) -> None:
        turns.wait()
        order.append(name)

    turns.spend(1.0)
    greenlets = [gevent.spawn(speak, name) for name in "abc"]
    get_hub().loop.run_callback(speak, "hub")
    gevent.joinall(greenlets, timeout=5)
    assert order == ["hub", "a", "b", "c"]


def test_whoever_gives_up_and_whoever_fails_hinders_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    seen: list[object] = []
    monkeypatch.setattr(faults, "report", lambda error, tag="": seen.append(type(error)))
    turns.spend(1.0)
    killed = gevent.spawn(turns.wait)
    gevent.sleep(0)
    killed.kill()
    done = gevent.event.Event()
    turns.later(int, "x")
    turns.later(done.set)
    assert done.wait(5)
    assert seen == [ValueError]


def test_each_hub_has_its_own() -> None:
    assert current() is current()
    assert get_hub().threadpool.apply(current) is not current()
