"""``was.postgresql`` behind pgbouncer in transaction mode, which gives each transaction any session of the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import psycopg2
import pytest

import skitai
from skitai import was
from skitai.was import _engine
from tests.servers import Address, Pgbouncer, ServerMissing

from .conftest import until

SOON = 10.0


@pytest.fixture(scope="module")
def pooler(request: pytest.FixtureRequest) -> Iterator[Address]:
    try:
        server = Pgbouncer(request.getfixturevalue("postgres_server").address)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server.address
    server.stop()


def of(address: Address, **options: Any) -> Any:
    return was.postgresql(address.where, address.dbname, address.auth, **options)


def is_pooled() -> bool:
    (pool,) = _engine.current().databases.values()
    (connection,) = pool._idle  # type: ignore[attr-defined]
    return bool(connection.is_pooled)


def test_a_timeout_stays_with_the_call_it_was_given_to(pooler: Address) -> None:
    assert of(pooler, timeout=1).execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    assert is_pooled()
    other = psycopg2.connect(
        host=pooler.host, port=pooler.port, dbname=pooler.dbname, user=pooler.user, password=pooler.password
    )
    try:
        with other, other.cursor() as cursor:  # on the one session that there is
            cursor.execute("show statement_timeout")
            assert cursor.fetchone() == ("0",)
    finally:
        other.close()


def test_a_timeout_ends_the_call_all_the_same(pooler: Address) -> None:
    result = of(pooler, timeout=0.3).execute("select pg_sleep(5)").getwait(SOON)
    assert (result.status, result.code) == (2, 702)
    assert of(pooler).execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


def test_a_call_that_is_cancelled_ends(pooler: Address) -> None:
    request = of(pooler).execute("select pg_sleep(5)")
    until(lambda: any(pool._busy for pool in _engine.current().databases.values()))  # type: ignore[attr-defined]
    request.cancel()
    result = request.getwait(3)
    assert result.status == 2
    assert of(pooler).execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


def test_transactions_and_cursors(pooler: Address) -> None:
    db = of(pooler)
    with db.transaction() as tx:
        tx.execute("create temporary table n (n int) on commit drop")
        assert tx.executemany("insert into n values (%s)", [(n,) for n in range(10)]).rowcount == 10
        assert sum(row.n for row in tx.iterate("select n from n", batch=3)) == 45
    requests = [db.execute("select %s as n", (n,)) for n in range(20)]
    assert [request.getwait(SOON).data[0].n for request in requests] == list(range(20))


def test_the_server_itself_is_told_of_timeouts(postgres: Address) -> None:
    assert of(postgres, timeout=7).execute("show statement_timeout").getwait(SOON).data[0].statement_timeout == "7s"
    assert not is_pooled()


def test_an_alias_may_say_it(pooler: Address, postgres: Address) -> None:
    # A pooler that is not recognised, or one whose sessions belong to one client each.
    skitai.alias("@told", skitai.DB_PGSQL, [postgres.member], pooler=True)
    shown = was.postgresql("@told", timeout=7).execute("show statement_timeout").getwait(SOON)
    assert shown.data[0].statement_timeout == "0"
    assert is_pooled()


def test_an_alias_may_deny_it(pooler: Address) -> None:
    skitai.alias("@denied", skitai.DB_PGSQL, [pooler.member], pooler=False)
    assert was.postgresql("@denied").execute("select 1 as n").getwait(SOON).data == [{"n": 1}]
    assert not is_pooled()


def test_listening_behind_a_pooler_is_warned_of(pooler: Address, capfd: pytest.CaptureFixture[str]) -> None:
    from skitai.net import logs

    with of(pooler).listen("news", timeout=0.01) as notifications:
        assert list(notifications) == []
    logs.current().flush()
    assert "pool_mode = session" in capfd.readouterr().out


def test_many_at_once_do_not_see_each_others_answers(pooler: Address) -> None:
    def page(number: int) -> None:
        for each in range(5):
            rows = of(pooler, timeout=number % 3 + 1).execute("select %s as n", (number * 10 + each,))
            assert rows.getwait(SOON).data == [{"n": number * 10 + each}]

    gevent.joinall([gevent.spawn(page, number) for number in range(20)], raise_error=True)
