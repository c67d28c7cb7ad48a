"""``was.postgresql`` and ``was.db`` against a real PostgreSQL."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import gevent
import psycopg2
import pytest

import skitai
from skitai import was
from skitai.errors import OperationTimeout, PeerClosed, TransactionFailed, UnknownAlias
from skitai.lib.rows import Row
from skitai.net import logs
from skitai.net import pool as workers
from skitai.was import _engine, _modes
from skitai.was._context import Context, wasc
from skitai.was._postgresql import PostgresConnection
from tests.servers import Address

from .conftest import until

SOON = 10.0


@pytest.fixture
def db(postgres: Address) -> Any:
    return was.postgresql(postgres.where, postgres.dbname, postgres.auth)


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was logged since the last call."""

    def read() -> str:
        logs.current().flush()
        return capfd.readouterr().out

    return read


@pytest.fixture
def table(db: Any) -> Iterator[str]:
    """A table of weather that a test may change."""
    db.execute("drop table if exists weather").wait(SOON)  # of an example of the docs
    db.execute("create table weather (city text primary key, t_low int, t_high int)").wait(SOON)
    db.execute("insert into weather values ('Oslo', -3, 4), ('Rome', 9, 17)").wait(SOON)
    yield "weather"
    db.execute("drop table weather").wait(SOON)


# The documents' examples


@pytest.mark.row("WAS-DB-01", "WAS-DB-02", "WAS-DB-11", "WAS-PG-04", "WAS-DB-13")
def test_the_simple_query_of_version_0_15(postgres: Address, table: str) -> None:
    s = was.db(postgres.where, postgres.dbname, postgres.user, postgres.password)
    s.execute("SELECT * FROM weather;")
    result = s.getwait(2)
    assert result.data == [
        {"city": "Oslo", "t_low": -3, "t_high": 4},
        {"city": "Rome", "t_low": 9, "t_high": 17},
    ]
    assert (result.status, result.code) == (3, 200)
    # Several stubs of one database share its connections.
    assert len(_engine.current().databases) == 1


@pytest.mark.row("WAS-DB-05", "WAS-DB-07", "WAS-DB-09")
def test_the_query_of_version_0_26(postgres: Address, table: str) -> None:
    dbo = was.postgresql(postgres.where, postgres.dbname, postgres.auth)
    s = dbo.excute("SELECT city, t_high, t_low FROM weather;")
    response = s.getwait(2)
    assert [(row.city, row.t_high, row.t_low) for row in response.data] == [("Oslo", 4, -3), ("Rome", 17, 9)]
    assert dbo.do("select 1 as one").getwait(2).data[0].one == 1


@pytest.mark.row("WAS-DB-08", "WAS-DB-10")
def test_waiting_for_a_write(db: Any) -> None:
    db.execute("CREATE TABLE CITIES (name text)").wait(2)
    try:
        req = db.execute("INSERT INTO CITIES VALUES ('New York');")
        assert req.wait(2) is None
        result = req.getwait(2)
        assert (result.status, result.data, result.rowcount) == (3, [], 1)
        with pytest.raises(psycopg2.errors.UndefinedTable):
            db.execute("INSERT INTO TOWNS VALUES ('New York');").wait(2)
        assert [row.name for row in db.execute("SELECT * FROM CITIES;").getwait(2)] == ["New York"]
    finally:
        db.execute("DROP TABLE CITIES").wait(2)


@pytest.mark.row("WAS-DB-04", "LB-07", "LB-01", "WAS-DB-05")
def test_a_load_balanced_database(postgres: Address, table: str) -> None:
    skitai.alias("@mydb", "postresql", [postgres.member, postgres.member])  # spelled as in both documents
    for lb in (was.db.lb, was.postgresql.lb, was.db):
        s = lb("@mydb")
        s.execute("SELECT * FROM weather;")
        assert len(s.getwait(2).data) == 2
    s = was.db("@mydb", use_cache=True)
    assert s.execute("select 1 as n").getwait(2).data == [{"n": 1}]
    # The signature that the documents give, whose further arguments an alias does not need.
    assert was.db.lb("@mydb", "x", "y", "z", skitai.DB_PGSQL).execute("select 1 as n").getwait(2).data == [{"n": 1}]


@pytest.mark.row("MAP-08", "MAP-04", "WAS-DB-05")
def test_a_map_over_databases(postgres: Address, table: str, peers: Any) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [postgres.member, f"{peers.refusing()}/x/y/z"])
    s = was.db.map("@mydb")
    s.execute("SELECT * FROM weather;")
    results = s.getswait(SOON)
    assert results.status == [3, 2]
    assert results.code == [200, 714]
    all_results = [result.data for result in results if result.status == 3]
    assert [len(rows) for rows in all_results] == [2]


@pytest.mark.row("LB-03")
def test_a_member_that_cannot_be_reached_is_passed_over(postgres: Address, table: str, peers: Any) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [f"{peers.refusing()}/x/y/z", postgres.member])
    for _ in range(3):  # nothing was sent to the dead one, so also a write goes to the other
        was.postgresql("@mydb").execute("update weather set t_low = t_low - 1").wait(SOON)
    assert was.postgresql("@mydb").execute("select min(t_low) from weather").getwait(SOON).data[0].min == -6


# Results


@pytest.mark.row("WAS-DB-12")
def test_what_the_server_refuses(db: Any) -> None:
    result = db.execute("selec 1").getwait(SOON)
    assert (result.status, result.code, result.data) == (2, 500, None)
    assert result.reason == 'syntax error at or near "selec"'
    assert isinstance(result.error, psycopg2.errors.SyntaxError)
    with pytest.raises(psycopg2.errors.SyntaxError, match="syntax error"):
        result.reraise()
    with pytest.raises(psycopg2.errors.DivisionByZero):
        db.execute("select 1 / 0").getwait(SOON, reraise=True)
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


def test_values_are_never_part_of_the_statement(db: Any) -> None:
    nasty = "'; drop table weather; --"
    assert db.execute("select %s as a", (nasty,)).getwait(SOON).data[0].a == nasty
    assert db.execute("select %(a)s as a, 100 %% 7 as b", {"a": nasty}).getwait(SOON).data[0] == {"a": nasty, "b": 2}
    assert db.execute("select '%s %' as a").getwait(SOON).data[0].a == "%s %"  # no values: sent as it is


def test_values_of_many_kinds(db: Any) -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    values = (1, 2.5, Decimal("1.50"), "ä€𝄞", b"\x00\xff'\\", None, True, now, [1, 2], datetime.date(2026, 1, 2))
    row = db.execute("select " + ", ".join(["%s"] * len(values)), values).getwait(SOON).data[0]
    assert tuple(row.values()) == values
    assert db.execute("""select '{"a": [1]}'::jsonb as j""").getwait(SOON).data[0].j == {"a": [1]}


def test_values_that_psycopg2_does_not_know(db: Any) -> None:
    number = UUID("12345678-1234-5678-1234-567812345678")
    row = db.execute(
        "select %s as id, %s::jsonb as d, %s::jsonb as l, %s::uuid[] as ids, %s::int[] as n, %s as null",
        (number, {"a": ["'", None]}, [{"b": [1]}, 2], [number, None], [[1, 2], [3, 4]], None),
    ).getwait(SOON).data[0]  # fmt: skip
    assert row.id == str(number)
    assert row.d == {"a": ["'", None]}
    assert row.l == [{"b": [1]}, 2]
    assert row.ids == [str(number), None]
    assert row.n == [[1, 2], [3, 4]]
    named = db.execute("select %(id)s = %(same)s as same, %(d)s::json as d", {"id": number, "same": number, "d": {}})
    assert named.getwait(SOON).data == [{"same": True, "d": {}}]
    found = db.execute("select %s in %s as found", (number, (number, UUID(int=0))))
    assert found.getwait(SOON).data[0].found is True
    # Nothing of it was told psycopg2 for the whole process.
    with pytest.raises(psycopg2.ProgrammingError, match="can't adapt type 'UUID'"):
        psycopg2.extensions.adapt(number)
    with pytest.raises(psycopg2.ProgrammingError, match="can't adapt type 'dict'"):
        psycopg2.extensions.adapt({})


def test_what_an_app_taught_psycopg2_about_dicts_goes_before(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = (dict, psycopg2.extensions.ISQLQuote)
    monkeypatch.setitem(psycopg2.extensions.adapters, key, lambda value: psycopg2.extensions.AsIs("'mine'"))
    assert db.execute("select %s as v", ({"a": 1},)).getwait(SOON).data[0].v == "mine"


@pytest.mark.parametrize(
    ("elements", "type_name"),
    [
        ([r"\x00ff", r"\x", None], "bytea"), (['{"a": 1}', "[2]"], "json"), (['{"a": 1}', "[2]"], "jsonb"),
        (["12345678-1234-5678-1234-567812345678", None], "uuid"), (["1.50", "2"], "numeric"), (["1", "2"], "int8"),
        (["2026-01-02 03:04:05+00"], "timestamptz"), (["2026-01-02"], "date"), (["1 day"], "interval"),
        (["127.0.0.1"], "inet"), (["t", "f"], "bool"), (["a,b", 'c"d', "{}"], "text"), (["(1,2)"], "point"),
        (["[1,2)"], "int4range"), (["$1.50"], "money"), (["<a/>"], "xml"), (["101"], "varbit"), (["x", "y"], "name"),
    ],
)  # fmt: skip
def test_an_array_is_read_as_its_elements_are(db: Any, elements: list[str | None], type_name: str) -> None:
    alone = [db.execute(f"select %s::{type_name} as v", (each,)).getwait(SOON).data[0].v for each in elements]
    (row,) = db.execute(f"select %s::text[]::{type_name}[] as v", (elements,)).getwait(SOON).data
    assert row.v == alone
    assert [type(each) for each in row.v] == [type(each) for each in alone]
    (row,) = db.execute(f"select array[%s::text[]::{type_name}[]] as v", (elements,)).getwait(SOON).data
    assert row.v == [alone]


def test_how_many_rows_executemany_changed(db: Any, table: str) -> None:
    def changed(sql: str, rows: Any) -> int:
        count: int = db.executemany(sql, rows).getwait(SOON).rowcount
        return count

    assert changed("insert into weather values (%s, %s, 0)", [(f"city {n}", n) for n in range(250)]) == 250
    # 10 cities of these and the two that were there; then 4 and Oslo; then none.
    assert changed("update weather set t_low = t_low + 1 where t_low < %s", [(10,), (5,), (-100,)]) == 12 + 5
    named = [{"city": "city 1"}, {"city": "new"}, {"city": "new"}]
    assert changed("insert into weather values (%(city)s, 0, 0) on conflict do nothing", named) == 1
    assert changed("delete from weather where city = %s", (each for each in [("city 1",), ("?",)])) == 1
    assert changed("select from generate_series(1, %s)", [(2,), (3,)]) == 5
    assert changed("insert into weather values (%s, 0, 0)", []) == 0
    assert changed("do 'begin end'", [(), ()]) == -1
    with db.transaction() as tx:
        assert tx.executemany("delete from weather where t_high < %s", [(1000,), (1000,)]).rowcount == 252


def test_a_long_result_before_a_slow_statement_holds_up_nobody(db: Any) -> None:
    """Several results of one text: the loop goes on between them."""
    turns = []

    def turn() -> None:
        while True:
            turns.append(1)
            gevent.sleep(0.001)

    counting = gevent.spawn(turn)
    try:
        result = db.execute("select repeat('x', 1000000); select pg_sleep(0.2); select 3 as n").getwait(SOON)
    finally:
        counting.kill()
    assert result.data == [{"n": 3}]
    assert len(turns) > 20


def test_a_large_statement_is_sent_while_others_go_on(db: Any) -> None:
    text = "x" * 20_000_000
    assert db.execute("select length(%s) as n", (text,)).getwait(SOON).data[0].n == len(text)


def test_the_last_of_several_statements_answers(db: Any) -> None:
    assert db.execute("select 1 as n; select 2 as n").getwait(SOON).data == [{"n": 2}]


@pytest.mark.row("WAS-PG-02")
def test_it_is_in_autocommit_mode(db: Any, table: str) -> None:
    db.execute("BEGIN; delete from weather; ROLLBACK").wait(SOON)
    assert db.execute("select count(*) from weather").getwait(SOON).data[0].count == 2
    db.execute("BEGIN; delete from weather; COMMIT").wait(SOON)
    assert db.execute("select count(*) from weather").getwait(SOON).data[0].count == 0


@pytest.mark.row("WAS-RES-17")
def test_a_result_is_read_as_its_rows(db: Any) -> None:
    result = db.execute("select n from generate_series(1, 3) n").getwait(SOON)
    assert [row.n for row in result] == [1, 2, 3]
    assert (len(result), result[1].n, result.rowcount) == (3, 2, 3)
    assert isinstance(result[0], Row)


@pytest.mark.row("WAS-RES-18")
def test_a_result_has_the_description_of_its_cursor(db: Any) -> None:
    result = db.execute("select 1 as n, 'pen'::varchar(5) as name").getwait(SOON)
    assert [column[0] for column in result.description] == ["n", "name"]
    assert [column[1] for column in result.description] == [23, 1043]  # the types: int4 and varchar
    assert all(len(column) == 7 for column in result.description)
    result.cache(60)
    again = db.execute("select 1 as n, 'pen'::varchar(5) as name").getwait(SOON)
    assert again.is_cached
    assert [column[0] for column in again.description] == ["n", "name"]
    assert db.execute("do 'begin end'").getwait(SOON).description is None
    assert db.execute("selec").getwait(SOON).description is None


@pytest.mark.row("WAS-RES-19")
def test_a_result_says_what_was_asked_of_whom_and_what_was_wrong(postgres: Address) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [postgres.member])
    for db in (was.postgresql(postgres.where, postgres.dbname, postgres.auth), was.postgresql("@mydb")):
        result = db.execute("select %s as n", (1,)).getwait(SOON)
        assert (result.server, result.dbname, result.method) == (postgres.where, postgres.dbname, "execute")
        assert result.params == ("select %s as n", (1,))
        assert (result.expt_class, result.expt_str) == (None, "")
        failed = db.execute("selec").getwait(SOON)
        assert failed.expt_class is psycopg2.errors.SyntaxError
        assert 'syntax error at or near "selec"' in failed.expt_str
        assert (failed.server, failed.dbname, failed.params) == (postgres.where, postgres.dbname, ("selec",))
        assert postgres.password not in repr(result) + repr(failed)


def test_a_result_of_an_alias_that_nobody_answered_for() -> None:
    skitai.alias("@nobody", skitai.DB_PGSQL, ["127.0.0.1:9/some/user/password"])
    result = was.postgresql("@nobody").execute("select 1").getwait(SOON)
    assert (result.server, result.dbname) == ("127.0.0.1:9", "some")
    assert issubclass(result.expt_class, Exception)
    timed_out = was.postgresql("@nobody").execute("select 1").getwait(0)
    assert timed_out.server in ("@nobody", "127.0.0.1:9")


def test_rows_without_names(db: Any) -> None:
    result = db.execute("select n, 'row ' || n as text from generate_series(1, 1000) n").getwait(SOON)
    tuples = [(n, f"row {n}") for n in range(1, 1_001)]
    assert result.tuples == tuples
    assert len(result) == 1_000
    assert result.data is result.data is result.content
    assert [(row.n, row.text) for row in result.data] == result.tuples == tuples
    result.data[0]["n"] = 0
    assert result.tuples[0] == (0, "row 1")  # they are made of the rows, once there are some
    assert db.execute("select from generate_series(1, 3)").getwait(SOON).tuples == [()] * 3
    assert db.execute("do 'begin end'").getwait(SOON).tuples == []
    assert db.execute("selec").getwait(SOON).tuples is None


@pytest.mark.row("WAS-PG-01")
def test_queries_run_beside_each_other_and_hold_up_nobody(db: Any) -> None:
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    with db.transaction() as tx:
        tx.execute("select pg_advisory_xact_lock(71)")
        requests = [db.execute("select pg_advisory_lock_shared(71), %s as n", (n,)) for n in range(8)]
        # All of them wait at the server at the same time, and the loop goes on: else this would not end.
        until(lambda: db.execute(waiting).getwait(SOON).data[0].count == 8)
        assert not any(request.is_done for request in requests)
    assert [request.getwait(SOON).data[0].n for request in requests] == list(range(8))


def test_a_query_is_on_its_way_when_execute_returns(db: Any) -> None:
    db.execute("select 1").wait(SOON)  # so that a connection is there
    (pool,) = _engine.current().databases.values()
    request = db.execute("select pg_sleep(0.05)")
    (connection,) = pool._busy  # type: ignore[attr-defined]
    assert connection._connection.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_ACTIVE
    request.wait(SOON)


# Cache


@pytest.mark.row("CACHE-05", "CACHE-03")
def test_results_of_queries_are_kept(db: Any, postgres: Address, table: str) -> None:
    first = db.execute("select * from weather where city = %s", ("Oslo",)).getwait(SOON)
    first.cache(60)
    first.data[0]["t_low"] = 99
    again = db.execute("select * from weather where city = %s", ("Oslo",)).getwait(SOON)
    assert again.is_cached
    again.data[0]["t_low"] = 98
    kept = was.db(postgres.where, postgres.dbname, postgres.user, postgres.password).execute(
        "select * from weather where city = %s", ("Oslo",)
    )
    assert kept.getwait(SOON).data[0].t_low == -3  # what was there when cache() was called
    assert not db.execute("select * from weather where city = %s", ("Rome",)).getwait(SOON).is_cached
    fresh = was.postgresql(postgres.where, postgres.dbname, postgres.auth, use_cache=False)
    assert not fresh.execute("select * from weather where city = %s", ("Oslo",)).getwait(SOON).is_cached


@pytest.mark.row("CACHE-05")
def test_what_callers_do_with_tuples_or_a_filter_with_rows(postgres: Address) -> None:
    def double(result: Any) -> None:
        for row in result.data:
            row["n"] *= 2

    where = postgres.where, postgres.dbname, postgres.auth
    sql = "select n, '[1]'::json as list from generate_series(1, 2) n"
    was.postgresql(*where, filter=double).execute(sql + " -- filtered").getwait(SOON).cache(60)
    again = was.postgresql(*where).execute(sql + " -- filtered").getwait(SOON)
    assert again.is_cached
    assert again.tuples == [(1, [1]), (2, [1])]  # another caller has no filter, and gets what came
    again = was.postgresql(*where, filter=double).execute(sql + " -- filtered").getwait(SOON)
    assert again.is_cached
    assert again.tuples == [(2, [1]), (4, [1])]  # and the same filter sees the same rows each time

    first = was.postgresql(*where).execute(sql).getwait(SOON)
    first.cache(60)
    for _ in range(2):
        first.tuples[0][1].append(2)
        first.tuples.pop()
        first = was.postgresql(*where).execute(sql).getwait(SOON)
        assert first.is_cached
        assert first.tuples == [(1, [1]), (2, [1])]
    assert [row.n for row in first.data] == [1, 2]


@pytest.mark.row("CACHE-05")
def test_a_map_is_kept_as_a_whole(postgres: Address) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [postgres.member, postgres.member])
    results = was.db.map("@mydb").execute("select random() as r").getswait(SOON)
    results.cache(60)
    again = was.db.map("@mydb").execute("select random() as r").getswait(SOON)
    assert again.is_cached
    assert again.data == results.data


def test_other_users_values_and_types_are_other_calls(db: Any, postgres: Address) -> None:
    for value in (1, "1", 1.0, True, b"1", None):
        found = db.execute("select %s::text as v", (value,)).getwait(SOON)
        assert not found.is_cached, value
        found.cache(60)
    other = was.postgresql(postgres.where, "template1", postgres.auth)
    assert not other.execute("select %s::text as v", (1,)).getwait(SOON).is_cached
    # What cannot be compared safely is not kept.
    odd = db.execute("select %s::text as v", (psycopg2.Binary(b"x"),)).getwait(SOON)
    odd.cache(60)
    assert not db.execute("select %s::text as v", (psycopg2.Binary(b"x"),)).getwait(SOON).is_cached


# Waiting, callbacks, cancelling


def test_a_wait_that_times_out_ends_nothing(db: Any, table: str) -> None:
    request = db.execute("with x as (select pg_sleep(0.3)) update weather set t_low = 0 from x")
    assert request.getwait(0.01).status == 1
    with pytest.raises(OperationTimeout):
        request.getwait(0.01, reraise=True)
    until(lambda: request.is_done)
    assert db.execute("select max(t_low) from weather").getwait(SOON).data[0].max == 0


def test_a_callback_gets_the_result(postgres: Address) -> None:
    got: list[Any] = []
    for sql in ("select 1 as n", "selec"):
        was.postgresql(postgres.where, postgres.dbname, postgres.auth, callback=(got.append, ())).execute(sql)
    until(lambda: len(got) == 2)
    assert sorted(result.status for result in got) == [2, 3]


def test_a_filter_sees_the_result_first(postgres: Address) -> None:
    seen: list[int] = []
    stub = was.postgresql(
        postgres.where, postgres.dbname, postgres.auth, meta={"a": 1}, filter=lambda result: seen.append(result.status)
    )
    assert stub.execute("select 1").getwait(SOON).meta == {"a": 1}
    assert seen == [3]


def test_a_running_statement_is_cancelled_on_the_server(db: Any) -> None:
    request = db.execute("select pg_sleep(60), 'cancel me'")
    assert request.getwait(0.2).status == 1
    request.cancel()
    until(lambda: request.is_done)
    assert isinstance(request._done[0].error, psycopg2.errors.QueryCanceled)
    running = (
        "select count(*) from pg_stat_activity "
        "where query like '%%cancel me%%' and state = %s and pid <> pg_backend_pid()"
    )
    assert db.execute(running, ("active",)).getwait(SOON).data[0].count == 0
    request.cancel()  # has ended: nothing happens


def test_a_deadline_goes_to_the_server(postgres: Address) -> None:
    db = was.postgresql(postgres.where, postgres.dbname, postgres.auth, timeout=0.2)
    result = db.execute("select pg_sleep(60)").getwait(SOON)
    assert (result.status, result.code) == (2, 702)
    assert isinstance(result.error, psycopg2.errors.QueryCanceled)
    assert "statement timeout" in str(result.error)
    # The connection is kept, and another call is not bound by that.
    pool = next(iter(_engine.current().databases.values()))
    assert "1 idle" in repr(pool)
    plain = was.postgresql(postgres.where, postgres.dbname, postgres.auth)
    assert plain.execute("show statement_timeout").getwait(SOON).data[0].statement_timeout == "0"


# Transactions


def test_a_transaction_is_kept_whole_or_not_at_all(db: Any, table: str) -> None:
    with db.transaction() as tx:
        assert tx.execute("update weather set t_low = 1").rowcount == 2
        tx.executemany("insert into weather values (%s, %s, %s)", [("Bonn", 1, 2), ("Graz", 3, 4)])
        assert len(tx.execute("select * from weather")) == 4
        # Others do not see it yet.
        assert len(db.execute("select * from weather").getwait(SOON).data) == 2
    assert len(db.execute("select * from weather").getwait(SOON).data) == 4
    with pytest.raises(KeyError), db.transaction() as tx:
        tx.execute("delete from weather")
        raise KeyError
    assert len(db.execute("select * from weather").getwait(SOON).data) == 4


def test_an_error_inside_rolls_back(db: Any, table: str) -> None:
    with pytest.raises(psycopg2.errors.UniqueViolation), db.transaction() as tx:
        tx.execute("delete from weather where city = 'Rome'")
        tx.execute("insert into weather values ('Oslo', 0, 0)")
    assert len(db.execute("select * from weather").getwait(SOON).data) == 2


def test_an_error_that_is_caught_inside_is_no_commit(db: Any, table: str) -> None:
    with pytest.raises(TransactionFailed), db.transaction() as tx:
        tx.execute("delete from weather")
        with pytest.raises(psycopg2.Error):
            tx.execute("selec")
    assert len(db.execute("select * from weather").getwait(SOON).data) == 2


def test_a_timeout_around_the_block_rolls_back(db: Any, table: str) -> None:
    with gevent.Timeout(0.2, False), db.transaction() as tx:
        tx.execute("delete from weather")
        tx.execute("select pg_sleep(60)")
        raise AssertionError("not reached")
    assert len(db.execute("select * from weather").getwait(SOON).data) == 2


def test_a_timeout_while_a_statement_of_a_transaction_begins_ends_it(db: Any) -> None:
    running = "select pid from pg_stat_activity where query like '%sleep(61)%' and pid <> pg_backend_pid()"
    with pytest.raises(gevent.Timeout), db.transaction() as tx:
        gevent.get_hub().loop.run_callback(gevent.getcurrent().throw, gevent.Timeout(0))
        tx.execute("select pg_sleep(61)")
    with gevent.Timeout(SOON):
        until(lambda: not db.execute(running).getwait(SOON).data)
        until(lambda: "1 busy" not in repr(_engine.current().databases))


def test_a_timeout_when_a_transaction_has_just_begun_is_nobodys_mistake(
    db: Any, log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = db.transaction()
    begin = transaction._perform

    def begin_too_late(command: Any) -> None:
        begin(command)
        raise gevent.Timeout(0)

    monkeypatch.setattr(transaction, "_perform", begin_too_late)
    with pytest.raises(gevent.Timeout):
        transaction.__enter__()
    assert "left open" not in log()
    assert db.execute("select count(*) from pg_stat_activity where state like 'idle in%'").getwait(SOON).data[0][0] == 0


def test_a_transaction_is_used_by_one_greenlet_at_a_time(db: Any) -> None:
    with db.transaction() as tx:
        first = gevent.spawn(tx.execute, "select 1 as n from pg_sleep(0.1)")
        until(lambda: tx._running is not None and not tx._running.ready())
        with pytest.raises(RuntimeError, match="one greenlet at a time"):
            tx.execute("select 2")
        assert first.get() == [{"n": 1}]
        assert tx.execute("select 3 as n") == [{"n": 3}]


def test_what_was_given_up_inside_is_not_committed(db: Any, table: str) -> None:
    with pytest.raises(TransactionFailed, match="given up"), db.transaction() as tx:
        tx.execute("delete from weather")
        with gevent.Timeout(0.05, False):
            tx.execute("select pg_sleep(60)")
        until(tx._running.ready)
    assert len(db.execute("select * from weather").getwait(SOON).data) == 2


def test_isolation_and_reading_only(db: Any, table: str) -> None:
    with db.transaction(isolation="serializable", read_only=True) as tx:
        shown = tx.execute("show transaction_isolation")[0], tx.execute("show transaction_read_only")[0]
        assert [tuple(row.values()) for row in shown] == [("serializable",), ("on",)]
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), db.transaction(read_only=True) as tx:
        tx.execute("delete from weather")
    with pytest.raises(ValueError, match="isolation is one of"), db.transaction(isolation="x; drop table weather"):
        pass
    assert len(db.execute("select * from weather").getwait(SOON).data) == 2


def test_a_transaction_finds_a_member_that_is_there(postgres: Address, table: str, peers: Any) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [f"{peers.refusing()}/x/y/z", postgres.member])
    with was.postgresql("@mydb").transaction() as tx:
        assert len(tx.execute("select * from weather")) == 2
    skitai.alias("@mydb", skitai.DB_PGSQL, [f"{peers.refusing()}/x/y/z"])
    with pytest.raises(Exception, match="cannot connect"), was.postgresql("@mydb").transaction():
        pass


def test_a_transaction_is_at_one_database(postgres: Address) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [postgres.member])
    with pytest.raises(RuntimeError, match="at one database"):
        was.postgresql.map("@mydb").transaction()
    tx = was.postgresql("@mydb").transaction()
    with pytest.raises(RuntimeError, match="inside its with block"):
        tx.execute("select 1")
    with tx, pytest.raises(RuntimeError, match="begun already"):
        tx.__enter__()


def test_an_open_transaction_is_not_handed_to_others(db: Any, table: str, log: Callable[[], str]) -> None:
    db.execute("BEGIN").wait(SOON)
    assert "A transaction was left open in postgresql 127.0.0.1" in log()
    db.execute("delete from weather").wait(SOON)
    assert db.execute("select count(*) from weather").getwait(SOON).data[0].count == 0


def test_nobody_may_wait_in_the_single_thread_mode(db: Any, postgres: Address, in_request: Context) -> None:
    _modes.current.threads = 0
    stub = in_request.postgresql(postgres.where, postgres.dbname, postgres.auth)
    for call in (stub.transaction, lambda: stub.iterate("select 1"), lambda: stub.listen("a")):
        with pytest.raises(RuntimeError, match="Single Thread"):
            call()
    with pytest.raises(RuntimeError, match="Should have callback"):
        stub.execute("select 1")
    with pytest.raises(AttributeError, match="Map-Reduce"):
        _ = in_request.postgresql.map


# Many rows


@pytest.mark.row("WAS-PG-03")
def test_executemany_is_all_or_nothing(db: Any, table: str) -> None:
    rows = [(f"c{n}", n, n) for n in range(1_000)]
    db.executemany("insert into weather values (%s, %s, %s)", rows).wait(SOON)
    assert db.execute("select count(*) from weather").getwait(SOON).data[0].count == 1_002
    result = db.executemany("insert into weather values (%s, 0, 0)", [("new",), ("Oslo",)]).getwait(SOON)
    assert isinstance(result.error, psycopg2.errors.UniqueViolation)
    assert db.execute("select count(*) from weather").getwait(SOON).data[0].count == 1_002


@pytest.mark.row("WAS-PG-03")
def test_rows_come_in_batches(db: Any) -> None:
    rows = db.iterate("select n, repeat('x', 10) as text from generate_series(1, %s) n", (2_500,), batch=1_000)
    assert sum(row.n for row in rows) == 2_500 * 2_501 // 2
    assert list(db.iterate("select 1 where false")) == []
    with pytest.raises(psycopg2.errors.SyntaxError):
        list(db.iterate("selec"))
    with pytest.raises(ValueError, match="batch"):
        db.iterate("select 1", batch=0)


def test_an_iteration_that_is_given_up_keeps_no_connection(db: Any) -> None:
    rows = db.iterate("select n from generate_series(1, 5000) n", batch=10)
    assert next(rows).n == 1
    rows.close()
    pool = _engine.current().databases
    assert not pool or "0 busy" in repr(next(iter(pool.values())))
    assert db.execute("select 1 as n").getwait(SOON).data == [{"n": 1}]


# LISTEN


def test_notifications_are_an_iterator(db: Any) -> None:
    with db.listen("news", 'odd "name"', timeout=SOON) as notifications:
        db.execute("select pg_notify('news', 'first'), pg_notify('odd \"name\"', '')").wait(SOON)
        db.execute("notify other, 'not for us'").wait(SOON)
        db.execute("notify news, 'second'").wait(SOON)
        got = [(each.channel, each.payload) for each in islice(notifications, 3)]
    assert got == [("news", "first"), ('odd "name"', ""), ("news", "second")]
    with pytest.raises(ValueError, match="at least one channel"):
        db.listen()
    with db.listen("news", timeout=0.01) as notifications:
        assert list(notifications) == []  # it ends when nobody says anything


@pytest.mark.parametrize(("count", "size"), [(100, 7_000), (3_000, 10), (7, 7_999), (40, 2)])
def test_a_burst_of_notifications_comes_whole(db: Any, count: int, size: int) -> None:
    # psycopg2 reads one buffer at a time, which ends somewhere inside a notification.
    for _ in range(3):
        with db.listen("burst", timeout=SOON) as notifications:
            told = f"select pg_notify('burst', lpad(n::text, {size}, '.')) from generate_series(1, {count}) n"
            db.execute(told).wait(SOON)
            got = [each.payload for each in islice(notifications, count)]
        assert got == [str(n).rjust(size, ".")[:size] for n in range(1, count + 1)]


def test_notifications_beside_notices_and_half_messages() -> None:
    """What is read is decided by what came, not by whether more is to come."""

    class Driver:
        closed = 0

        def __init__(self, *steps: Any) -> None:
            self.steps = list(steps)
            self.notifies: list[Any] = []

        def look(self) -> None:
            step = self.steps.pop(0)
            if isinstance(step, Exception):
                raise step
            self.notifies += step

    class Line:
        def __init__(self, driver: Driver) -> None:
            self.driver = driver

        @property
        def is_quiet(self) -> bool:
            return not self.driver.steps

    def connection(*steps: Any) -> Any:
        made = PostgresConnection.__new__(PostgresConnection)
        made._connection = Driver(*steps)
        made._line = Line(made._connection)  # type: ignore[assignment]
        made.pool = SimpleNamespace(database="db")  # type: ignore[assignment]
        return made

    assert connection(["a"], [], [], ["b"]).take_notifications() == ["a", "b"]
    assert connection([]).take_notifications() == []  # a notice, or half a notification
    lost = connection(["last"], psycopg2.OperationalError("gone"))
    assert lost.take_notifications() == ["last"]  # which came before the end
    lost._connection.steps = [psycopg2.InterfaceError("connection already closed")]
    with pytest.raises(PeerClosed, match="already closed"):
        lost.take_notifications()
    talkative = connection(*[["n"]] * 1_000)
    assert 0 < len(talkative.take_notifications()) < 1_000  # a part in each turn of the loop
    assert talkative.take_notifications()


def test_who_closes_ends_the_listening_of_another_greenlet(db: Any) -> None:
    listening = db.listen("news")
    with listening as notifications:
        waiting = gevent.spawn(list, notifications)
        until(lambda: listening._waiting)
        connection = listening._connection
        with pytest.raises(RuntimeError, match="begun already"):
            listening.__enter__()
    assert waiting.get(timeout=SOON) == []
    assert connection.is_lost


def test_a_lost_connection_ends_the_listening(db: Any) -> None:
    with db.listen("news") as notifications:
        db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like 'LISTEN%' and pid <> pg_backend_pid()"
        ).wait(SOON)
        with pytest.raises(Exception, match="closed the connection"):
            next(iter(notifications))


# Jobs


@pytest.mark.row("WAS-DB-14")
def test_a_job_calls_back(postgres: Address, table: str, log: Callable[[], str]) -> None:
    skitai.alias("@mydb", skitai.DB_PGSQL, [postgres.member])
    cache: dict[str, int] = {}
    done = []

    def create_cache(res: Any) -> None:
        if res.status == 3:
            for row in res.data:
                cache[row.city] = row.t_low
        done.append(res.status)

    wasc.ajob("@mydb", create_cache).execute("select city, t_low from weather;")
    until(lambda: done)
    assert cache == {"Oslo": -3, "Rome": 9}
    wasc.ajob("mydb", (create_cache, ())).execute("selec")
    until(lambda: len(done) == 2)
    assert done == [3, 2]
    assert "Job Failed: @mydb execute: 500 syntax error" in log()
    wasc.ajob("@mydb").execute("delete from weather")
    until(lambda: not was.postgresql("@mydb").execute("select 1 from weather").getwait(SOON).data)
    with pytest.raises(TypeError):
        wasc.ajob("@mydb", "no function")
    with pytest.raises(UnknownAlias):
        wasc.ajob("@nope")


# Threads of workers


def test_begin_runs_at_once_and_comes_back() -> None:
    log: list[str] = []

    def work(name: str) -> None:
        log.append(name)
        gevent.sleep(0.001)
        log.append(f"{name} done")

    workers.begin(work, "a")
    workers.begin(log.append, "quick")
    log.append("caller")
    until(lambda: "a done" in log)
    assert log == ["a", "quick", "caller", "a done"]


def test_a_caller_of_begin_may_be_interrupted() -> None:
    turns: list[int] = []

    def caller() -> None:
        try:
            with gevent.Timeout(0):
                while True:
                    workers.begin(gevent.sleep, 0.001)
        except gevent.Timeout:
            pass
        turns.append(1)
        gevent.sleep(0.01)  # a switch that was left over would end this at once, and the next wait of the greenlet too
        turns.append(2)

    gevent.spawn(caller).join()
    assert turns == [1, 2]
