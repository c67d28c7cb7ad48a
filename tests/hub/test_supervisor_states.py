"""Every signal in every state of the supervisor, over processes that are only pretended."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGURG, SIGUSR1, SIGUSR2, Signals
from types import SimpleNamespace
from typing import Any

import pytest

from skitai.errors import ConfigurationError
from skitai.hub import supervisor as module
from skitai.hub.supervisor import EXIT_MISCONFIGURED, EXIT_OK, EXIT_RESTART, LAST_WORDS, Orders, Supervisor, Worker

GRACE, RELOAD_TIME = 30.0, 60.0
WORKERS = 2


class World:
    """What a supervisor sees: a clock, processes, signals. Time passes only when the supervisor waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.sent: list[tuple[int, Signals]] = []
        self.lines: list[str] = []
        self.reads = self.rotations = self.stops = self.starts = 0
        self.reload_error: Exception | None = None
        self._pids = itertools.count(101)
        self._ended: list[tuple[int, int]] = []
        self._caught: list[Signals] = []
        self._readable: list[int] = []
        logs = SimpleNamespace(rotate=self._rotate)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(module, "_fork", lambda: next(self._pids))
        monkeypatch.setattr(module, "_waitpid", lambda pid, how: self._ended.pop(0) if self._ended else (0, 0))
        monkeypatch.setattr(module, "current", lambda: logs)
        monkeypatch.setattr(Worker, "kill", lambda worker, number: self.sent.append((worker.pid, number)))
        monkeypatch.setattr(Worker.__dataclass_fields__["started"], "default_factory", lambda: self.now)
        log: Any = SimpleNamespace(log=self._log, traceback=lambda *args, **more: self._log("traceback"))
        self.supervisor = Supervisor(
            Orders(
                worker_main=lambda post: 0,
                workers=WORKERS,
                log=log,
                grace=GRACE,
                reload_time=RELOAD_TIME,
                on_ready=self._on_ready,
                before_reload=self._before_reload,
                on_stop=self._on_stop,
            )
        )
        self.supervisor._signals.wait = self._wait  # type: ignore[method-assign]

    def _on_ready(self) -> None:
        self.starts += 1

    def _on_stop(self) -> None:
        self.stops += 1

    def _rotate(self) -> None:
        self.rotations += 1

    def _log(self, line: str, category: str = "info") -> None:
        self.lines.append(line)

    def _before_reload(self) -> None:
        self.reads += 1
        if self.reload_error is not None:
            raise self.reload_error

    def _wait(self, timeout: float | None, files: Any = ()) -> tuple[list[Signals], list[int]]:
        caught, self._caught = self._caught, []
        readable, self._readable = self._readable, []
        if not caught and not readable and not self._ended:
            self.now += timeout or 0.0  # None would wait for whatever the test does next
        return caught, readable

    # What happens

    @property
    def workers(self) -> list[Worker]:
        return list(self.supervisor._workers.values())

    @property
    def loading(self) -> list[Worker]:
        return [each for each in self.workers if not each.is_ready and not each.is_ending]

    def turn(self) -> None:
        self.supervisor._turn()

    def signal(self, *numbers: Signals) -> None:
        """Signals that come at once."""
        self._caught = list(numbers)
        self.turn()
        self.supervisor._start_due()

    def become_ready(self, *workers: Worker) -> None:
        for worker in workers or self.loading:
            os.close(worker.ready)
            worker.ready, writer = os.pipe()
            os.write(writer, b"\n")
            os.close(writer)
            self._readable.append(worker.ready)
        if self._readable:
            self.turn()
        self.supervisor._start_due()

    def end(self, *workers: Worker, code: int = 0) -> None:
        self._ended = [(worker.pid, code << 8) for worker in workers]
        if self._ended:
            self.turn()
        self.supervisor._start_due()

    def pass_time(self, seconds: float) -> None:
        """Turn for some time in which nothing comes."""
        end = self.now + seconds
        while (patience := self.supervisor._patience()) is not None and self.now + patience <= end:
            self.turn()
        self.now = end
        self.supervisor._meet_deadlines()

    def settle(self) -> None:
        """Everybody does what he should: who loads becomes ready, who was told to ends."""
        for _ in range(10):
            self.become_ready()
            self.end(*[each for each in self.workers if each.is_ending])
            self.pass_time(1)

    def close(self) -> None:
        for worker in self.workers:
            if worker.ready != -1:
                os.close(worker.ready)
        for file in (self.supervisor._signals._reader, self.supervisor._signals._writer):
            os.close(file)

    def said(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(monkeypatch)
    world.supervisor._start_due()
    yield world
    world.close()


def _serve(world: World) -> None:
    world.become_ready()


def _reload(world: World) -> None:
    _serve(world)
    world.signal(SIGHUP)


def _retire(world: World) -> None:
    """The old workers still finish what they do."""
    _reload(world)
    world.become_ready()


def _half_ready(world: World) -> None:
    _reload(world)
    world.become_ready(world.loading[0])


def _lose_a_worker(world: World) -> None:
    """It died at once and its replacement waits."""
    _serve(world)
    world.end(world.workers[0], code=1)


def _stop(world: World) -> None:
    _serve(world)
    world.signal(SIGTERM)


# How to get into a state, and how many reloads were begun by then.
STATES = {
    "starting": (lambda world: None, 0),
    "serving": (_serve, 0),
    "reloading": (_reload, 1),
    "half ready": (_half_ready, 1),
    "retiring": (_retire, 1),
    "a worker less": (_lose_a_worker, 0),
    "stopping": (_stop, 0),
}

# What comes at once, and what becomes of it in the end: further reloads in the states above, and rotations.
SIGNALS = {
    "HUP": ((SIGHUP,), (1, 1, 1, 1, 1, 1, 0), 0),
    "HUP HUP": ((SIGHUP, SIGHUP), (1, 2, 1, 1, 2, 2, 0), 0),
    "HUP HUP HUP": ((SIGHUP, SIGHUP, SIGHUP), (1, 2, 1, 1, 2, 2, 0), 0),
    "USR1": ((SIGUSR1,), (0, 0, 0, 0, 0, 0, 0), 1),
    "USR1 USR1": ((SIGUSR1, SIGUSR1), (0, 0, 0, 0, 0, 0, 0), 1),
    "USR1 HUP": ((SIGUSR1, SIGHUP), (1, 1, 1, 1, 1, 1, 0), 1),
    "HUP USR1": ((SIGHUP, SIGUSR1), (1, 1, 1, 1, 1, 1, 0), 1),
    "unknown": ((SIGURG,), (0, 0, 0, 0, 0, 0, 0), 0),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("state", STATES)
def test_a_signal_is_done_now_or_later(world: World, state: str, name: str) -> None:
    begin, before = STATES[state]
    numbers, reloads, rotations = SIGNALS[name]
    begin(world)
    world.signal(*numbers)
    world.settle()
    expected = before + reloads[list(STATES).index(state)]
    assert world.said("SIGHUP: starting new workers") == world.said("new workers are ready") == expected
    assert world.reads == expected, "certificates are read again for each"
    assert world.rotations == rotations
    assert world.starts == 1
    if state == "stopping":
        assert not world.workers
        assert world.said("SIGHUP ignored: the server stops") == numbers.count(SIGHUP)
    else:
        assert sorted(each.index for each in world.workers if each.is_ready) == [1, 2]
        assert not any(number in (SIGUSR2, SIGKILL) for _, number in world.sent)


@pytest.mark.parametrize("numbers", [(SIGTERM,), (SIGTERM, SIGINT), (SIGHUP, SIGTERM), (SIGTERM, SIGHUP, SIGUSR1)])
@pytest.mark.parametrize("state", STATES)
def test_a_stop_ends_every_state(world: World, state: str, numbers: tuple[Signals, ...]) -> None:
    begin, _ = STATES[state]
    begin(world)
    world.signal(*numbers)
    before = len(world.workers)
    world.become_ready()
    assert len(world.workers) == before, "nobody is started any more"
    assert all(each.is_ending for each in world.workers)
    told = [pid for pid, number in world.sent if number == SIGTERM]
    assert sorted(told) == sorted({each.pid for each in world.workers}), "each is told once: twice means now"
    world.end(*world.workers)
    assert not world.workers
    assert world.stops == 1
    assert world.supervisor._code == EXIT_OK


def test_a_reload_that_hangs_is_said_and_given_up_and_the_next_one_is_done(world: World) -> None:
    _serve(world)
    served = world.workers
    world.signal(SIGHUP)
    hanging = world.loading
    world.become_ready(hanging[0])
    world.pass_time(5)
    world.signal(SIGHUP)
    world.signal(SIGHUP)
    assert world.said("SIGHUP: another reload follows the reload that goes on") == 1
    world.pass_time(6)
    assert world.said(f"not ready after 10 s: worker 2 (pid {hanging[1].pid}) still loads") == 1
    world.pass_time(RELOAD_TIME)
    assert world.said(f"reload given up, the old workers stay: worker 2 (pid {hanging[1].pid}) was not ready") == 1
    assert (hanging[0].pid, SIGURG) in world.sent and (hanging[1].pid, SIGTERM) in world.sent
    assert not any(each.is_ending for each in served)
    assert world.reads == 2, "the next one has begun"
    world.settle()
    assert world.said("new workers are ready") == 1
    assert all(each not in world.workers for each in [*served, *hanging])
    assert len(world.workers) == WORKERS


@pytest.mark.parametrize("error", [ConfigurationError("no such file"), OSError("disk"), RuntimeError("a fault")])
def test_a_reload_that_cannot_begin_leaves_everything_as_it_is(world: World, error: Exception) -> None:
    _serve(world)
    served = world.workers
    world.reload_error = error
    world.signal(SIGHUP)
    assert world.said(f"reload given up, the old workers stay: {error}") == 1
    assert world.workers == served
    world.reload_error = None
    world.signal(SIGHUP)
    world.settle()
    assert world.said("new workers are ready") == 1


def test_a_new_worker_that_dies_while_it_loads_ends_the_reload(world: World) -> None:
    _half_ready(world)
    [loading] = world.loading
    world.signal(SIGHUP)
    world.end(loading, code=7)
    assert world.said("reload given up") == 1
    assert world.reads == 2, "the one that was remembered is done"
    world.settle()
    assert world.said("new workers are ready") == 1


@pytest.mark.parametrize("code", [EXIT_OK, EXIT_RESTART, 1])
def test_a_new_worker_that_was_ready_is_replaced_within_its_reload(world: World, code: int) -> None:
    _half_ready(world)
    ready = next(each for each in world.workers if each.is_ready and each.generation == 2)
    world.end(ready, code=code)
    assert world.said("reload given up") == 0
    world.settle()
    assert world.said("new workers are ready") == 1
    assert len(world.workers) == WORKERS


def test_an_old_worker_that_dies_during_a_reload_is_replaced_when_it_is_given_up(world: World) -> None:
    _serve(world)
    [first, _] = world.workers
    world.signal(SIGHUP)
    world.end(first, code=1)
    assert len(world.loading) == WORKERS
    world.pass_time(RELOAD_TIME)
    world.settle()
    assert sorted(each.index for each in world.workers) == [1, 2]


def test_each_worker_has_its_own_time_to_end(world: World) -> None:
    """A reload must not give those of the one before more of it."""
    _retire(world)
    old = [each for each in world.workers if each.is_ending]
    world.pass_time(GRACE - 1)
    world.signal(SIGHUP)
    world.become_ready()
    assert {(each.pid, SIGTERM) for each in old} <= set(world.sent), "they need not keep idle connections any longer"
    world.pass_time(2)
    assert [pid for pid, number in world.sent if number == SIGUSR2] == [each.pid for each in old]
    world.pass_time(LAST_WORDS)
    assert [pid for pid, number in world.sent if number == SIGKILL] == [each.pid for each in old]


def test_a_second_signal_a_second_later_means_now(world: World) -> None:
    _stop(world)
    world.pass_time(1.5)
    world.signal(SIGINT)
    pids = [each.pid for each in world.workers]
    assert [pid for pid, number in world.sent if number == SIGUSR2] == pids
    world.pass_time(1)
    assert [pid for pid, number in world.sent if number == SIGKILL] == pids


def test_a_wrong_configuration_of_a_reload_keeps_the_server(world: World) -> None:
    _reload(world)
    world.end(world.loading[0], code=EXIT_MISCONFIGURED)
    world.settle()
    assert world.supervisor._code == EXIT_OK
    assert len(world.workers) == WORKERS


def test_a_wrong_configuration_of_the_start_ends_it(world: World) -> None:
    world.end(world.loading[0], code=EXIT_MISCONFIGURED)
    assert world.supervisor._code == EXIT_MISCONFIGURED
    assert all(each.is_ending for each in world.workers)
