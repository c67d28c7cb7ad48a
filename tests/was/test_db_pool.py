"""The pool of database connections, with connections that do what a test wants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ConnectFailed, ReadTimeout
from skitai.net.timers import NEVER
from skitai.was import _engine, _settings
from skitai.was._db_connection import Answer, Command, DbConnection
from skitai.was._db_pool import DbPool
from skitai.was._db_run import taken
from skitai.wire.databases import Database

from .conftest import until

SOON = 5.0


class Double(DbConnection):
    """A connection without a database."""

    sign_of_life = Command("ping")

    def __init__(self, pool: DbPool) -> None:
        super().__init__(pool)
        self.fit = self.alive = self.reusable = True
        self.lost = False
        self.said: list[str] = []

    def perform(self, command: Command, timeout: float | None) -> Answer:
        self.said.append(command.name)
        if not self.alive:
            raise OSError("no sign of life")
        return Answer(None)

    def abort(self) -> None:
        self.said.append("abort")

    @property
    def is_lost(self) -> bool:
        return self.lost

    def is_fit(self) -> bool:
        return self.fit

    def make_reusable(self) -> bool:
        return self.reusable

    def close(self) -> None:
        self.said.append("close")

    def drop(self) -> None:
        self.said.append("drop")


class Opener:
    """Opens doubles, or fails."""

    def __init__(self) -> None:
        self.opened: list[Double] = []
        self.error: BaseException | None = None
        self.gate = Event()
        self.gate.set()

    def __call__(self, pool: DbPool, deadline: float) -> DbConnection:
        self.gate.wait()
        if self.error is not None:
            raise self.error
        self.opened.append(Double(pool))
        return self.opened[-1]


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def pool(opener: Opener) -> Iterator[DbPool]:
    engine = _engine.current()
    database = Database("postgresql", "h", 1)
    made = engine.databases[database] = DbPool(engine, database, opener, 2)
    yield made
    engine.databases.pop(database, None)


def deadline(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


def state(pool: DbPool) -> str:
    return repr(pool).partition("at most 2: ")[2].rstrip(">")


def waiting(pool: DbPool, log: list[str], name: str, wait: float = SOON) -> gevent.Greenlet[..., Any]:
    """A greenlet that waits for a connection."""

    def take() -> None:
        try:
            connection = pool.checkout(deadline(wait))
        except Exception as error:
            log.append(f"{name}: {type(error).__name__}")
            return
        log.append(name)
        pool.checkin(connection)

    greenlet = gevent.spawn(take)
    before = pool._waiting.copy()
    until(lambda: pool._waiting != before or greenlet.ready())
    return greenlet


@pytest.mark.row("WAS-DB-13")
def test_a_connection_is_kept_and_used_again(pool: DbPool, opener: Opener) -> None:
    first = pool.checkout(deadline())
    assert state(pool) == "1 busy, 0 idle, 0 opening, 0 waiting"
    pool.checkin(first)
    assert state(pool) == "0 busy, 1 idle, 0 opening, 0 waiting"
    assert pool.checkout(deadline()) is first
    assert first.uses == 2
    pool.checkin(first)


def test_the_last_one_used_is_used_first(pool: DbPool) -> None:
    first, second = pool.checkout(deadline()), pool.checkout(deadline())
    pool.checkin(first)
    pool.checkin(second)
    assert pool.checkout(deadline()) is second
    pool.checkin(second)


def test_who_waits_is_served_in_order(pool: DbPool, opener: Opener) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    greenlets = [waiting(pool, log, name) for name in "abc"]
    assert state(pool) == "2 busy, 0 idle, 0 opening, 3 waiting"
    pool.checkin(held[0])
    gevent.joinall(greenlets)
    assert log == ["a", "b", "c"]
    assert len(opener.opened) == 2
    pool.checkin(held[1])


class Queued:
    """A turn that notes what it is told."""

    def __init__(self, pool: DbPool, log: list[str], name: str) -> None:
        self.deadline = deadline()
        self.given: DbConnection | None = None
        self._pool, self._log, self._name = pool, log, name
        pool.enqueue(self)

    def accept(self, connection: DbConnection | None) -> None:
        self._pool.engine.sweep.forget(self)
        self.given = connection
        self._log.append(f"{self._name} has {'a connection' if connection else 'a place'}")

    def begin(self) -> None:
        self._log.append(f"{self._name} begins")

    def serve(self) -> None:
        raise AssertionError("the pool serves nobody")

    def expire(self) -> None:
        self._log.append(f"{self._name} waits no longer: {self._pool.dequeue(self)}")


def test_turns_and_greenlets_are_served_in_one_order(pool: DbPool) -> None:
    assert not pool.is_used_up
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    assert pool.is_used_up
    log: list[str] = []
    first = waiting(pool, log, "a greenlet")
    turn = Queued(pool, log, "a turn")
    last = waiting(pool, log, "another greenlet")
    assert state(pool) == "2 busy, 0 idle, 0 opening, 3 waiting"
    pool.checkin(held[0])
    first.join()
    assert log == ["a greenlet", "a turn has a connection", "a turn begins"]
    assert turn.given is held[0]
    pool.checkin(pool.take(turn.given, turn.deadline))
    last.join()
    assert log[3:] == ["another greenlet"]
    assert held[0].uses == 4
    pool.checkin(held[1])
    assert state(pool) == "0 busy, 2 idle, 0 opening, 0 waiting"


def test_whoever_passes_a_connection_on_gets_the_turn_that_has_it(pool: DbPool, opener: Opener) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    turn = Queued(pool, log, "a turn")
    assert pool.pass_on(held[0]) is turn
    assert log == ["a turn has a connection"]  # and whoever passed it on lets it begin
    greenlet = waiting(pool, log, "a greenlet")
    assert pool.pass_on(held[0]) is None
    greenlet.join()
    assert log[1:] == ["a greenlet"]
    assert pool.pass_on(held[1]) is None
    assert state(pool) == "0 busy, 2 idle, 0 opening, 0 waiting"


def test_a_broken_connection_leaves_its_place_to_a_turn(pool: DbPool, opener: Opener) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    turn = Queued(pool, log, "a turn")
    assert pool.pass_on(held[0], is_broken=True) is None
    assert log == ["a turn has a place", "a turn begins"]
    assert state(pool) == "1 busy, 0 idle, 1 opening, 0 waiting"
    assert pool.take(turn.given, turn.deadline) is opener.opened[2]
    pool.checkin(opener.opened[2])
    pool.checkin(held[1])


def test_a_turn_that_came_does_not_expire(pool: DbPool) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    late, served = Queued(pool, log, "late"), Queued(pool, log, "served")
    late.deadline = 0
    until(lambda: log)
    pool.checkin(held[0])
    served.expire()  # as when it was among those that the sweep has found already
    assert log == [
        "late waits no longer: True", "served has a connection", "served begins", "served waits no longer: False"
    ]  # fmt: skip
    pool.checkin(pool.take(served.given, served.deadline))
    pool.checkin(held[1])


def test_work_that_takes_too_long_is_aborted_and_the_next_has_a_deadline_of_its_own(
    pool: DbPool, opener: Opener
) -> None:
    connection = pool.checkout(deadline())
    connection.deadline = 0
    until(lambda: opener.opened[0].said == ["abort"])
    assert connection.is_spent
    assert connection.deadline == NEVER
    pool.checkin(connection, is_broken=True)
    assert connection not in pool.engine.sweep._watched


def test_nobody_waits_for_ever(pool: DbPool) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    with pytest.raises(ReadTimeout, match="none of the 2 connections to postgresql h:1 got free in time"):
        pool.checkout(deadline(0.01))
    assert state(pool) == "2 busy, 0 idle, 0 opening, 0 waiting"
    for connection in held:
        pool.checkin(connection)


def test_a_broken_connection_leaves_its_place_to_who_waits(pool: DbPool, opener: Opener) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    greenlet = waiting(pool, log, "a")
    pool.checkin(held[0], is_broken=True)
    greenlet.join()
    assert log == ["a"]
    assert len(opener.opened) == 3
    assert "close" in opener.opened[0].said
    pool.checkin(held[1])


def test_a_connection_that_cannot_be_opened(pool: DbPool, opener: Opener) -> None:
    opener.error = OSError("refused")
    with pytest.raises(ConnectFailed, match="cannot connect to postgresql h:1: refused") as caught:
        pool.checkout(deadline())
    assert caught.value.__cause__ is opener.error
    assert pool.database not in _engine.current().databases
    opener.error = None
    pool.checkin(pool.checkout(deadline()))


def test_a_failed_opening_lets_the_next_one_try(pool: DbPool, opener: Opener) -> None:
    opener.gate.clear()
    log: list[str] = []
    opening = [gevent.spawn(pool.checkout, deadline()) for _ in range(2)]
    until(lambda: pool._opening == 2)
    third = waiting(pool, log, "third")
    opener.error = OSError("refused")
    opener.gate.set()
    third.join()
    assert log == ["third: ConnectFailed"]
    for greenlet in opening:
        assert isinstance(greenlet.exception, ConnectFailed)


@pytest.mark.parametrize("fault", ["unfit", "silent"])
def test_what_is_dead_is_not_handed_out(pool: DbPool, opener: Opener, fault: str) -> None:
    pool.checkin(pool.checkout(deadline()))
    old = opener.opened[0]
    if fault == "unfit":
        old.fit = False
    else:
        old.alive = False
        old.used -= _settings.current.db_check_after + 1
    new = pool.checkout(deadline())
    assert new is not old
    assert old.said[-1] == "close"
    assert ("ping" in old.said) is (fault == "silent")
    pool.checkin(new)


def test_a_sign_of_life_is_asked_for_after_a_long_rest_only(pool: DbPool, opener: Opener) -> None:
    connection = pool.checkout(deadline())
    pool.checkin(connection)
    pool.checkin(pool.checkout(deadline()))
    assert opener.opened[0].said == []
    connection.used -= _settings.current.db_check_after + 1
    assert pool.checkout(deadline()) is connection
    assert opener.opened[0].said == ["ping"]
    pool.checkin(connection)


def test_an_old_connection_is_replaced(pool: DbPool, opener: Opener) -> None:
    connection = pool.checkout(deadline())
    connection.opened -= _settings.current.db_life + 1
    pool.checkin(connection)
    assert opener.opened[0].said == ["close"]


def test_one_that_cannot_be_made_as_new_is_closed(pool: DbPool, opener: Opener) -> None:
    connection = pool.checkout(deadline())
    opener.opened[0].reusable = False
    pool.checkin(connection)
    assert opener.opened[0].said == ["close"]


def test_idle_ones_expire(pool: DbPool, opener: Opener) -> None:
    first, second = pool.checkout(deadline()), pool.checkout(deadline())
    pool.checkin(first)
    assert first.deadline == pytest.approx(time.monotonic() + _settings.current.keep_time, abs=1)
    first.deadline = 0
    until(lambda: opener.opened[0].said == ["close"])
    assert state(pool) == "1 busy, 0 idle, 0 opening, 0 waiting"
    pool.checkin(second)
    pool.close_idle()
    assert opener.opened[1].said == ["close"]


def test_a_pool_that_became_smaller_shrinks(pool: DbPool, opener: Opener) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    pool._most = 1
    pool.checkin(held[0])
    pool.checkin(held[1])
    assert [double.said for double in opener.opened] == [["close"], []]


@pytest.mark.parametrize("ending", [gevent.GreenletExit, gevent.Timeout])
def test_who_waits_no_longer_loses_no_connection(pool: DbPool, ending: type[BaseException]) -> None:
    held = [pool.checkout(deadline()), pool.checkout(deadline())]
    log: list[str] = []
    greenlet = waiting(pool, log, "a")
    # Both in one turn: a connection is on its way to the one who waits, who is told to end.
    pool.checkin(held[0])
    greenlet.kill(ending(), block=False)
    until(greenlet.ready)
    pool.checkin(held[1])
    assert state(pool) == "0 busy, 2 idle, 0 opening, 0 waiting"
    again = [pool.checkout(deadline()), pool.checkout(deadline())]
    for connection in again:
        pool.checkin(connection)


@pytest.mark.parametrize(
    ("error", "is_kept"), [(None, True), (ValueError("of the app"), True), (gevent.GreenletExit(), False)]
)
def test_after_a_use(pool: DbPool, opener: Opener, error: BaseException | None, is_kept: bool) -> None:
    try:
        with taken(pool, deadline()):
            if error is not None:
                raise error
    except BaseException as raised:
        assert raised is error
    assert opener.opened[0].said == ([] if is_kept else ["close"])


@pytest.mark.parametrize("name", ["is_spent", "lost"])
def test_a_spent_or_lost_connection_is_closed_after_its_use(pool: DbPool, opener: Opener, name: str) -> None:
    with taken(pool, deadline()):
        setattr(opener.opened[0], name, True)
    assert opener.opened[0].said == ["close"]


def test_a_fork_drops_and_says_nothing(pool: DbPool, opener: Opener) -> None:
    held = pool.checkout(deadline())
    pool.checkin(pool.checkout(deadline()))
    assert held is opener.opened[0]
    pool.drop_all()
    assert [double.said for double in opener.opened] == [["drop"], ["drop"]]


def test_a_hundred_greenlets_share_two(pool: DbPool, opener: Opener) -> None:
    most = 0

    def use(number: int) -> None:
        nonlocal most
        with taken(pool, deadline()) as connection:
            most = max(most, len(pool._busy))
            gevent.sleep(0)
            if number % 7 == 0:
                connection.is_spent = True

    gevent.joinall([gevent.spawn(use, number) for number in range(100)], raise_error=True)
    assert most == 2
    assert len(pool._busy) == pool._opening == len(pool._waiting) == 0
    assert sum("close" in double.said for double in opener.opened) == 15


class SlowToClose(Double):
    """A connection whose end has to be waited for, as that of a file on a slow disk."""

    def close(self) -> None:
        super().close()
        gevent.sleep(SOON)


@pytest.mark.parametrize("when", ["when it is given back", "when it is looked at"])
def test_whoever_closes_and_waits_no_longer_loses_no_place(pool: DbPool, opener: Opener, when: str) -> None:
    broken = SlowToClose(pool)
    opened = iter([broken])
    pool._connect = lambda pool, deadline: next(opened, None) or opener(pool, deadline)
    pool._most = 1
    log: list[str] = []
    assert pool.checkout(deadline()) is broken
    if when == "when it is looked at":
        pool.checkin(broken)
        broken.fit = False
    with gevent.Timeout(0.05, False):
        if when == "when it is looked at":
            gevent.spawn_later(0.01, waiting, pool, log, "next")
            pool.checkout(deadline())
        else:
            pool.checkin(broken, is_broken=True)
        pytest.fail("closing did not wait")
    gevent.sleep(0)
    greenlet = waiting(pool, log, "another")
    with gevent.Timeout(SOON):
        greenlet.join()
        until(lambda: "another" in log)
    assert repr(pool).endswith("0 busy, 1 idle, 0 opening, 0 waiting>")
