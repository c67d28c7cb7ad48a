"""Files of SQLite through ``was``."""

from __future__ import annotations

import pickle
import sqlite3
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import gevent
import pytest
from gevent.event import Event

import skitai
from skitai import DB_SQLITE3, was
from skitai.errors import TransactionFailed
from skitai.lib.rows import Row
from skitai.net import logs
from skitai.was import _engine
from skitai.was._context import wasc

from .conftest import until
from .sqlite_files import ENDLESS, busy, open_files

PEOPLE = """
  drop table if exists people;
  create table people (name_last, age);
  insert into people values ('Cho', 42);
"""


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[None]:
    """Whatever a test does, every connection comes back."""
    yield
    with gevent.Timeout(20):
        until(lambda: not busy())


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file with people."""
    name = str(tmp_path / "test.db")
    was.sqlite3(name).execute(PEOPLE).wait(5)
    return name


def ask(path: str, sql: str, args: Any = None) -> Any:
    """What a statement finds."""
    return was.sqlite3(path).execute(sql, args).getwait(5, reraise=True).data


# As the documents have it


@pytest.mark.row("WAS-SQ-01", "WAS-SQ-02", "WAS-SQ-03", "WAS-DB-03", "WAS-DB-06", "WAS-DB-11")
def test_the_example_of_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    s = was.db ("sqlite3.db", DB_SQLITE3)  # fmt: skip
    s.execute ("""
      drop table if exists people;
      create table people (name_last, age);
      insert into people values ('Cho', 42);
    """)  # fmt: skip
    # result is not needed use wait(), and if failed, excpetion will be raised
    s.wait (5)  # fmt: skip

    s = was.db ("sqlite3.db", DB_SQLITE3)  # fmt: skip
    s.execute ("select * from people;")  # fmt: skip
    result = s.getwait (2)  # fmt: skip

    assert (result.status, result.code, result.data) == (3, 200, [{"name_last": "Cho", "age": 42}])
    assert (tmp_path / "sqlite3.db").exists()


@pytest.mark.row("WAS-SQ-04", "ALIAS-05", "LB-07", "MAP-08")
@pytest.mark.parametrize("service", ["db", "sqlite3"])
def test_an_alias_of_files(tmp_path: Path, service: str) -> None:
    skitai.alias("@mysqlite3", skitai.DB_SQLITE3, [str(tmp_path / "db1"), str(tmp_path / "db2")])
    called = getattr(was, service)
    s = called.map("@mysqlite3")
    s.execute(PEOPLE)
    assert s.getswait(5).code == [200, 200]

    for name in ("Kim", "Lee"):
        s = called.lb("@mysqlite3")
        s.execute(f"insert into people values ('{name}', 7)")
        s.wait(5)

    s = called.map("@mysqlite3")
    s.execute("select name_last from people order by name_last")
    all_results = []
    results = s.getswait(2)
    for result in results:
        if result.status == 3:
            all_results.append(result.data)
    assert all_results == [[{"name_last": "Cho"}, {"name_last": name}] for name in ("Kim", "Lee")]
    assert [result.node for result in results] == [str(tmp_path / "db1"), str(tmp_path / "db2")]
    assert results.data == all_results


@pytest.mark.row("ALIAS-05", "WAS-DB-03")
def test_members_behind_commas_and_the_other_ways_to_say_it(tmp_path: Path) -> None:
    wanted = [str(tmp_path / name) for name in ("sqlite1.db", "sqlite 2.db")]
    skitai.alias("@mysqlite3", "sqlite3", ", ".join(wanted))
    assert [result.node for result in was.sqlite3.map("@mysqlite3").execute("select 1").getswait(5)] == wanted
    for stub in (
        was.db(wanted[0], dbtype="sqlite3"),
        was.db(wanted[0], DB_SQLITE3, use_cache=False),
        was.sqlite3(wanted[0]),
    ):
        assert stub.execute("select 1 as one").getwait(5).data == [{"one": 1}]


@pytest.mark.row("CACHE-05", "CACHE-13")
def test_results_are_kept(path: str, tmp_path: Path) -> None:
    skitai.alias("@mydb", skitai.DB_SQLITE3, [path])
    first = was.db.lb("@mydb").execute("select age from people where age > ?", [1]).getwait(2)
    first.cache(60)
    ask(path, "update people set age = 43")
    again = was.db.lb("@mydb").execute("select age from people where age > ?", [1]).getwait(2)
    assert (again.is_cached, again.data) == (True, [{"age": 42}])
    assert not was.db.lb("@mydb").execute("select age from people where age > ?", [2]).getwait(2).is_cached

    has_new_data = True
    s = was.db.lb("@mydb", use_cache=not has_new_data)
    s.execute("select age from people where age > ?", [1])
    result = s.getwait(2)
    result.cache(60)
    assert result.data == [{"age": 43}]

    s = was.db.map("@mydb")
    s.execute("select age from people")
    s.getswait(2).cache(60)
    ask(path, "update people set age = 44")
    assert was.db.map("@mydb").execute("select age from people").getswait(2).data == [[{"age": 43}]]
    failed = was.sqlite3(path).execute("select nothing").getwait(2)
    failed.cache(60)
    assert not was.sqlite3(path).execute("select nothing").getwait(2).is_cached


def test_parameters_that_are_equal_but_not_the_same_do_not_share_a_cached_result(path: str) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for one, other in [(0.0, -0.0), (1, 1.0), (1, True), (noon, noon.astimezone(timezone(timedelta(hours=9))))]:
        assert one == other
        was.sqlite3(path).execute("select ?", (one,)).getwait(2).cache(60)
        assert was.sqlite3(path).execute("select ?", (one,)).getwait(2).is_cached
        assert not was.sqlite3(path).execute("select ?", (other,)).getwait(2).is_cached


# Statements


@pytest.mark.row("WAS-DB-09")
def test_rows(path: str) -> None:
    (row,) = ask(path, "select name_last, age, age * 2 from people")
    assert isinstance(row, Row)
    assert (row.name_last, row["age"], row[2], row[-1]) == ("Cho", 42, 84, 84)
    assert pickle.loads(pickle.dumps(row)) == row
    assert ask(path, "select * from people where age > 100") == []
    assert ask(path, "select 1 as a, 2 as a") == [{"a": 1, "a_2": 2}]


@pytest.mark.row("WAS-DB-10")
def test_statements_without_rows(path: str) -> None:
    result = was.sqlite3(path).execute("insert into people values ('Kim', 7), ('Lee', 8)").getwait(5)
    assert (result.status, result.code, result.data, result.rowcount, result.lastrowid) == (3, 200, [], 2, 3)
    result = was.sqlite3(path).execute("update people set age = 9 where age < 40").getwait(5)
    assert (result.data, result.rowcount) == ([], 2)
    assert was.sqlite3(path).execute("create table other (a)").getwait(5).data == []
    assert was.sqlite3(path).execute("").getwait(5).data == []


def test_parameters(path: str) -> None:
    assert ask(path, "select age from people where name_last = ?", ["Cho"]) == [{"age": 42}]
    assert ask(path, "select :a || 'x' as b", {"a": "'; drop table people"}) == [{"b": "'; drop table peoplex"}]
    with pytest.raises(sqlite3.ProgrammingError):
        ask(path, "select ?", [1, 2])
    with pytest.raises(sqlite3.ProgrammingError):
        ask(path, "insert into people values (?, 1); insert into people values ('b', 2)", ["a"])
    assert len(ask(path, "select * from people")) == 1


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        ("insert into people values ('Kim', 7) returning rowid, age", [{"rowid": 2, "age": 7}]),
        ("with x as (select 1 as a) select a + 1 as b from x", [{"b": 2}]),
        ("-- why\n values (1, 2)", [{"column1": 1, "column2": 2}]),
        ("pragma user_version", [{"user_version": 0}]),
        ("pragma journal_mode;", [{"journal_mode": "wal"}]),
        ("select ';' as a; -- the end;", [{"a": ";"}]),
    ],
)
def test_whatever_has_rows_gives_them(path: str, sql: str, data: Any) -> None:
    assert ask(path, sql) == data


def test_explain(path: str) -> None:
    assert "SCAN people" in ask(path, "explain query plan select * from people")[0].detail


@pytest.mark.parametrize("value", [b"", b"\x00\xff\x00", "", "a\x00b", "\U0001f600", 2**63 - 1, -(2**63), 1.5, None])
def test_values_come_back_as_they_are(path: str, value: Any) -> None:
    (row,) = ask(path, "select ? as value", [value])
    assert row == {"value": value}
    assert type(row.value) is type(value)


def test_values_that_sqlite3_does_not_know(path: str) -> None:
    number = UUID("12345678-1234-5678-1234-567812345678")
    values = [number, {"a": [None, "\u00e4"]}, [1, {"b": 2}]]
    assert ask(path, "select ? as u, ? as d, ? as l", values) == [
        {"u": str(number), "d": '{"a": [null, "\u00e4"]}', "l": '[1, {"b": 2}]'}
    ]
    assert ask(path, "select :u as u", {"u": number}) == [{"u": str(number)}]
    was.sqlite3(path).execute("create table kept (u text, d text)").wait(5)
    assert was.sqlite3(path).executemany("insert into kept values (?, ?)", [(number, {})] * 2).getwait(5).rowcount == 2
    assert ask(path, "select count(*) as n from kept where u = ?", (number,)) == [{"n": 2}]
    result = was.sqlite3(path).execute("select ?", [{"a": object()}]).getwait(5)
    assert (result.status, result.expt_class) == (2, TypeError)


def test_what_an_app_taught_sqlite3_goes_before(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sqlite3.adapters, (dict, sqlite3.PrepareProtocol), lambda value: "mine")
    assert ask(path, "select ? as v", [{}]) == [{"v": "mine"}]


@pytest.mark.row("WAS-RES-18", "WAS-RES-19")
def test_a_result_says_what_was_asked_and_what_came(path: str) -> None:
    result = was.sqlite3(path).execute("select 1 as n, 'x' as text where 1 = ?", [1]).getwait(5)
    assert [column[0] for column in result.description] == ["n", "text"]
    assert (result.server, result.dbname, result.method) == (path, "", "execute")
    assert result.params == ("select 1 as n, 'x' as text where 1 = ?", [1])
    assert (result.expt_class, result.expt_str) == (None, "")
    failed = was.sqlite3(path).execute("selec").getwait(5)
    assert (failed.expt_class, failed.description) == (sqlite3.OperationalError, None)
    assert failed.expt_str == 'near "selec": syntax error'


@pytest.mark.parametrize("value", [2**63, object(), "\ud800"])
def test_values_that_cannot_be_sent(path: str, value: Any) -> None:
    result = was.sqlite3(path).execute("select ?", [value]).getwait(5)
    assert (result.status, result.code, result.data) == (2, 500, None)
    assert isinstance(result.error, (OverflowError, sqlite3.Error, UnicodeEncodeError))


@pytest.mark.row("WAS-DB-12", "WAS-DB-08")
def test_errors_are_those_of_the_driver(path: str) -> None:
    result = was.sqlite3(path).execute("select * from nowhere").getwait(5)
    assert (result.status, result.code, result.reason, result.data) == (2, 500, "no such table: nowhere", None)
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        result.reraise()
    ask(path, "create unique index i on people (age)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        was.sqlite3(path).execute("insert into people values ('Kim', 42)").wait(5)
    assert len(ask(path, "select * from people")) == 1


def test_errors_of_statements_are_not_printed(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    was.sqlite3(path).execute("selec").getwait(5)
    assert capfd.readouterr().err == ""


def test_a_callback(path: str) -> None:
    found: list[Any] = []
    done = Event()
    was.sqlite3(path, callback=lambda result: (found.append(result.data), done.set())).execute("select age from people")
    assert done.wait(5)
    assert found == [[{"age": 42}]]


# Several statements


@pytest.mark.row("WAS-SQ-02")
def test_a_script_has_an_effect_as_a_whole_or_none(path: str) -> None:
    result = (
        was.sqlite3(path).execute("insert into people values ('a', 1); delete from people where age = 1;").getwait(5)
    )
    assert (result.status, result.data, result.rowcount) == (3, [], 2)
    failed = was.sqlite3(path).execute("create table t (a); insert into t values (1); insert into nowhere values (1);")
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        failed.wait(5)
    assert ask(path, "select name from sqlite_master") == [{"name": "people"}]


def test_a_script_may_hold_semicolons_and_triggers(path: str) -> None:
    ask(
        path,
        """
        create table log (what);  -- a comment; with one
        create trigger people_log after insert on people begin
            insert into log values ('new; ' || new.name_last);
            insert into log select case when new.age > 40 then 'old' else 'young' end;
        end;
        insert into people values ('it''s; me', 7) /* and; another */;
        """,
    )
    assert [row.what for row in ask(path, "select what from log")] == ["new; it's; me", "young"]


@pytest.mark.row("WAS-SQ-03")
@pytest.mark.parametrize(
    "script", ["select 1; select 2", "delete from people; SELECT 1;", "select 1; delete from people"]
)
def test_a_select_stands_alone(path: str, script: str) -> None:
    result = was.sqlite3(path).execute(script).getwait(5)
    assert isinstance(result.error, sqlite3.ProgrammingError)
    assert "select statement must be the only one" in result.reason
    assert len(ask(path, "select * from people")) == 1


def test_a_script_may_handle_transactions_itself(path: str) -> None:
    ask(path, "begin; insert into people values ('a', 1); commit; begin; delete from people; rollback")
    assert [row.age for row in ask(path, "select age from people")] == [42, 1]
    with pytest.raises(sqlite3.OperationalError):
        ask(path, "begin; delete from people; commit; begin; insert into people values ('b', 2); delete from nowhere")
    assert ask(path, "select age from people") == []


def test_settings_in_front_of_a_script_have_an_effect(path: str) -> None:
    ask(path, "create table child (parent references parents); create table parents (id integer primary key)")
    with pytest.raises(sqlite3.IntegrityError):
        ask(path, "pragma foreign_keys = on; insert into child values (1); delete from people")
    ask(path, "vacuum")


# Connections


def test_settings_of_one_caller_are_not_those_of_the_next(path: str) -> None:
    for setting in ("pragma foreign_keys = on", "attach ':memory:' as other", "create temp table mine (a)"):
        ask(path, setting)
    assert ask(path, "pragma foreign_keys") == [{"foreign_keys": 0}]
    assert [row.name for row in ask(path, "pragma database_list")] == ["main"]
    assert ask(path, "select count(*) as n from sqlite_temp_master") == [{"n": 0}]


def test_foreign_keys_by_a_setting(path: str) -> None:
    wasc.configure(foreign_keys=True)
    _engine.current().close()
    ask(path, "create table parents (id integer primary key); create table child (parent references parents)")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        ask(path, "insert into child values (1)")


def test_extensions_cannot_be_loaded_and_a_path_is_no_uri(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(sqlite3.OperationalError, match="not authorized"):
        ask(path, "select load_extension('x')")
    monkeypatch.chdir(tmp_path)
    ask("file:x.db?mode=memory", "create table t (a)")
    assert (tmp_path / "file:x.db?mode=memory").exists()


@pytest.mark.row("WAS-SQ-05")
def test_files_are_closed(path: str) -> None:
    assert open_files(path)
    requests = [was.sqlite3(path).execute("select * from people") for _ in range(10)]
    assert all(request.getwait(5).status == 3 for request in requests)
    _engine.current().close()
    assert open_files(path) == []
    assert not Path(path + "-wal").exists()
    assert not [pool for pool in _engine.current().databases if pool.dbname == path]


@pytest.mark.row("WAS-SQ-05")
def test_a_file_that_is_not_used_is_closed(path: str) -> None:
    wasc.configure(keep_time=0)
    ask(path, "select 1")
    until(lambda: not open_files(path))


def test_the_loop_does_not_wait_for_the_file(path: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    request = was.sqlite3(path).execute("delete from people")
    assert ask(path, "select age from people") == [{"age": 42}]  # readers need not wait for whoever writes
    assert len(busy()) == 1
    other.execute("rollback")
    assert request.getwait(5).rowcount == 1
    other.close()


def test_requests_run_beside_each_other(path: str) -> None:
    requests = [was.sqlite3(path, timeout=60).execute(ENDLESS) for _ in range(3)]
    until(lambda: sum(connection.uses for connection in busy()) >= 3)
    assert ask(path, "select age from people") == [{"age": 42}]
    for request in requests:
        request.cancel()
    assert [request.getwait(30).status for request in requests] == [2, 2, 2]


# In memory


def test_a_database_in_memory_is_one_for_the_process() -> None:
    ask(":memory:", "create table if not exists t (a); delete from t; insert into t values (1)")
    wasc.configure(keep_time=0, db_life=0)
    assert ask(":memory:", "select a from t") == [{"a": 1}]
    request = was.sqlite3(":memory:").execute(ENDLESS)
    until(busy)
    request.cancel()
    assert request.getwait(30).status == 2
    requests = [was.sqlite3(":memory:").execute("insert into t values (?)", [n]) for n in range(50)]
    assert all(request.getwait(10).status == 3 for request in requests)
    assert ask(":memory:", "select count(*) as n from t") == [{"n": 51}]
    skitai.alias("@memory", DB_SQLITE3, [":memory:"])
    assert was.db("@memory").execute("select max(a) as n from t").getwait(5).data == [{"n": 49}]


def test_a_native_thread_finds_the_same_database_in_memory() -> None:
    ask(":memory:", "create table if not exists u (a); delete from u; insert into u values (1)")
    other = gevent.get_hub().threadpool.spawn(ask, ":memory:", "insert into u values (2) returning a")
    assert other.get() == [{"a": 2}]
    assert ask(":memory:", "select a from u") == [{"a": 1}, {"a": 2}]


# Transactions


def test_a_transaction(path: str) -> None:
    with was.sqlite3(path).transaction() as tx:
        assert tx.execute("insert into people values (?, ?)", ["Kim", 7]).lastrowid == 2
        assert [row.age for row in tx.execute("select age from people")] == [42, 7]
        assert len(ask(path, "select * from people")) == 1
        assert tx.executemany("insert into people values (?, 1)", [["a"], ["b"]]).rowcount == 2
        tx.execute("update people set age = 2 where age = 1; delete from people where age = 7")
    assert [row.age for row in ask(path, "select age from people")] == [42, 2, 2]
    with pytest.raises(KeyError), was.sqlite3(path).transaction() as tx:
        tx.execute("delete from people")
        raise KeyError
    assert len(ask(path, "select * from people")) == 3


def test_an_error_that_is_caught_leaves_the_rest_of_a_transaction(path: str) -> None:
    with was.sqlite3(path).transaction() as tx:
        tx.execute("insert into people values ('a', 1)")
        for wrong in ("delete from people; delete from nowhere", "delete from nowhere"):
            with pytest.raises(sqlite3.OperationalError):
                tx.execute(wrong)
        with pytest.raises(sqlite3.ProgrammingError):
            tx.executemany("insert into people values (?, 2)", [["b"], []])
    assert [row.age for row in ask(path, "select age from people")] == [42, 1]


def test_a_transaction_that_sqlite_rolled_back_is_not_committed(path: str) -> None:
    ask(path, "create unique index i on people (age)")
    with pytest.raises(TransactionFailed), was.sqlite3(path).transaction() as tx:
        tx.execute("insert into people values ('a', 1)")
        with pytest.raises(sqlite3.IntegrityError):
            tx.execute("insert or rollback into people values ('b', 42)")
        with pytest.raises(sqlite3.OperationalError, match="rolled this transaction back"):
            tx.execute("insert into people values ('c', 3)")
    with pytest.raises(sqlite3.IntegrityError), was.sqlite3(path).transaction() as tx:
        tx.execute("insert or rollback into people values ('b', 42)")
    assert [row.age for row in ask(path, "select age from people")] == [42]


def test_a_transaction_that_only_reads(path: str) -> None:
    with was.sqlite3(path).transaction(read_only=True) as tx:
        assert tx.execute("select age from people")[0].age == 42
        ask(path, "update people set age = 43")
        assert tx.execute("select age from people")[0].age == 42
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            tx.execute("delete from people")
    assert ask(path, "update people set age = 44 returning age") == [{"age": 44}]


@pytest.mark.parametrize("isolation", ["deferred", "IMMEDIATE", "exclusive", "serializable"])
def test_kinds_of_transactions(path: str, isolation: str) -> None:
    with was.sqlite3(path).transaction(isolation) as tx:
        tx.execute("delete from people")
    assert ask(path, "select * from people") == []


def test_a_kind_of_transaction_that_there_is_not(path: str) -> None:
    with pytest.raises(ValueError, match="not 'snapshot'"), was.sqlite3(path).transaction("snapshot"):
        pass


def test_transactions_take_turns(path: str) -> None:
    def count() -> None:
        with was.sqlite3(path).transaction() as tx:
            age = tx.execute("select age from people")[0].age
            gevent.sleep(0)
            tx.execute("update people set age = ?", [age + 1])

    workers = [gevent.spawn(count) for _ in range(20)]
    others = [was.sqlite3(path).execute("update people set age = age + 1") for _ in range(20)]
    gevent.joinall(workers)
    assert all(request.getwait(10).status == 3 for request in others)
    assert [worker.exception for worker in workers if worker.exception] == []
    assert ask(path, "select age from people") == [{"age": 42 + 40}]


def test_a_transaction_that_is_left_open_is_rolled_back(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    ask(path, "begin immediate")
    ask(path, "begin; delete from people")
    logs.current().flush()
    warnings = [
        line for line in capfd.readouterr().out.splitlines() if "A transaction was left open in sqlite3" in line
    ]
    assert len(warnings) == 2
    assert all("[warn" in line for line in warnings)
    assert ask(path, "update people set age = 1 returning age") == [{"age": 1}]


def test_what_ends_the_greenlet_of_a_transaction(path: str) -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05), was.sqlite3(path).transaction() as tx:
        tx.execute("delete from people")
        tx.execute(ENDLESS)
    assert ask(path, "update people set age = 1 returning age") == [{"age": 1}]


def test_executemany_is_all_or_nothing(path: str) -> None:
    rows = [("a", 1), {"b": 2}, ("c", 3)]
    with pytest.raises(sqlite3.Error):
        was.sqlite3(path).executemany("insert into people values (?, ?)", rows).wait(5)
    assert len(ask(path, "select * from people")) == 1
    result = (
        was.sqlite3(path).executemany("insert into people values (?, ?)", ((str(n), n) for n in range(1000))).getwait(5)
    )
    assert (result.data, result.rowcount) == ([], 1000)
    with pytest.raises(sqlite3.ProgrammingError):
        was.sqlite3(path).executemany("select ?", [[1]]).wait(5)


# Large results


NUMBERS = (
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < {}) select i, 'row ' || i as t from n"
)


def test_rows_one_by_one(path: str) -> None:
    rows = was.sqlite3(path).iterate(NUMBERS.format(10_000), batch=300)
    assert next(rows) == {"i": 1, "t": "row 1"}
    assert ask(path, "update people set age = 1 returning age") == [{"age": 1}]  # whoever reads is in nobody's way
    assert sum(row.i for row in rows) == sum(range(2, 10_001))
    assert list(was.sqlite3(path).iterate("select age from people where age > ?", [100])) == []
    assert [row.age for row in was.sqlite3(path).iterate("select age from people", batch=1)] == [1]


def test_few_rows_are_in_memory(path: str) -> None:
    tracemalloc.start()
    try:
        assert sum(1 for _ in was.sqlite3(path).iterate(NUMBERS.format(50_000), batch=500)) == 50_000
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2_000_000  # all of them are more than 15 MB


def test_an_iteration_that_is_left(path: str) -> None:
    for row in was.sqlite3(path).iterate(NUMBERS.format(10_000)):
        if row.i == 5:
            break
    del row
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        list(was.sqlite3(path).iterate("select * from nowhere"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        list(was.sqlite3(path).iterate("insert into people values ('a', 1) returning age"))
    until(lambda: not busy())
    assert len(ask(path, "select * from people")) == 1


def test_iterating_inside_a_transaction(path: str) -> None:
    with was.sqlite3(path).transaction() as tx:
        for row in tx.iterate(NUMBERS.format(25), batch=10):
            tx.execute("insert into people values (?, ?)", [row.t, row.i])
        found = tx.iterate("insert into people values ('x', 1), ('y', 2) returning age")
        assert [row.age for row in found] == [1, 2]
    assert ask(path, "select count(*) as n from people") == [{"n": 28}]


# From elsewhere


def test_threads_of_an_app(path: str) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ask(path, "select age from people"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[{"age": 42}]] * 5


def test_timeouts_of_waiting_end_nothing(path: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    request = was.sqlite3(path).execute("delete from people")
    assert request.getwait(0.01).status == 1
    other.execute("commit")
    other.close()
    until(lambda: not busy())
    assert ask(path, "select * from people") == []
