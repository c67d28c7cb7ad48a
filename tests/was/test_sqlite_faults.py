"""What can go wrong with files of SQLite: nothing hangs, no connection is lost, the next request works."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
import pytest
from gevent.event import Event

import skitai
from skitai import was
from skitai.errors import ConnectFailed, ReadTimeout, TransactionFailed
from skitai.was import _engine, _sqlite, _sqlite_threads
from skitai.was._context import wasc
from skitai.was._sqlite import SqliteConnection
from skitai.was._sqlite_handle import SqliteHandle
from skitai.was._sqlite_threads import WriteTurn
from tests.scripts import Workplace

from .conftest import garbage_of, until
from .sqlite_files import ENDLESS, busy, open_files

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[None]:
    """Whatever a test does, every connection comes back."""
    yield
    with gevent.Timeout(20):
        until(lambda: not busy())


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file with a number."""
    name = str(tmp_path / "test.db")
    was.sqlite3(name).execute("create table t (a); insert into t values (1)").wait(5)
    return name


def ask(path: str, sql: str, args: Any = None) -> Any:
    """What a statement finds."""
    return was.sqlite3(path).execute(sql, args).getwait(5, reraise=True).data


def works(path: str) -> bool:
    """Whether a file can be read and written."""
    before = ask(path, "select a from t")[0].a
    return bool(ask(path, "update t set a = a + 1 returning a") == [{"a": before + 1}])


@contextmanager
def locked(path: str, how: str = "immediate") -> Iterator[sqlite3.Connection]:
    """Somebody else writes."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"begin {how}")
    yield other
    other.close()


# Too late


def test_what_takes_too_long_is_ended(path: str) -> None:
    result = was.sqlite3(path, timeout=0.1).execute(ENDLESS).getwait(30)
    assert (result.status, result.code, result.data) == (2, 702, None)
    assert isinstance(result.error, sqlite3.OperationalError)
    assert str(result.error) == "interrupted"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        result.reraise()
    assert works(path)


def test_a_script_that_takes_too_long_is_rolled_back(path: str) -> None:
    script = f"delete from t; insert into t {ENDLESS}"
    assert was.sqlite3(path, timeout=0.1).execute(script).getwait(30).code == 702
    assert works(path)


def test_a_statement_of_a_transaction_that_takes_too_long(path: str) -> None:
    with pytest.raises(ReadTimeout), was.sqlite3(path, timeout=0.1).transaction() as tx:
        tx.execute("delete from t")
        tx.execute(ENDLESS)
    assert works(path)


def test_cancelling(path: str) -> None:
    request = was.sqlite3(path).execute(ENDLESS)
    until(busy)
    request.cancel()
    result = request.getwait(30)
    assert (result.status, str(result.error)) == (2, "interrupted")
    assert works(path)


def test_cancelling_what_waits_for_its_turn(path: str) -> None:
    with was.sqlite3(path).transaction() as tx:
        request = was.sqlite3(path).execute("delete from t")
        following = was.sqlite3(path).execute("update t set a = a + 1")
        until(lambda: len(busy()) == 3)
        request.cancel()
        assert request.getwait(30).status == 2
        tx.execute("update t set a = a * 2")
    assert following.getwait(5).status == 3
    assert ask(path, "select a from t") == [{"a": 3}]


def test_a_thread_that_does_not_hear_is_given_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(handle: SqliteHandle, *args: Any) -> None:
        prepared(handle, *args)
        begun.append(handle)

    begun: list[SqliteHandle] = []
    prepared = SqliteHandle._prepare
    monkeypatch.setattr(SqliteHandle, "_prepare", prepare)
    # SQLite sleeps while it waits for another process to end a transaction: interrupt() does not wake it.
    with locked(path) as other:
        request = was.sqlite3(path).execute("update t set a = 5")
        until(lambda: begun)
        (connection,) = busy()
        assert isinstance(connection, SqliteConnection)
        request.cancel()
        result = request.getwait(30)
        assert (result.status, str(result.error)) == (2, "interrupted")
        assert works_to_read(path)
        until(lambda: not busy())
        assert connection._is_busy  # the thread goes on, so nothing is closed under it
        other.execute("rollback")
        until(lambda: connection not in _sqlite._open)
    assert works(path)


def works_to_read(path: str) -> bool:
    """Whether a file can be read."""
    return len(ask(path, "select a from t")) == 1


# Locks


def test_a_lock_that_somebody_else_keeps(path: str) -> None:
    wasc.configure(idle_time=0.1)
    with locked(path):
        result = was.sqlite3(path).execute("delete from t").getwait(30)
        assert (result.status, result.code, result.reason) == (2, 500, "database is locked")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"), was.sqlite3(path).transaction():
            pass
        assert works_to_read(path)
    assert works(path)


def test_a_lock_that_somebody_else_gives_back(path: str) -> None:
    with locked(path) as other:
        request = was.sqlite3(path, timeout=30).execute("update t set a = a + 1")
        until(busy)
        other.execute("update t set a = 10")
        other.execute("commit")
        assert request.getwait(30).status == 3
    assert ask(path, "select a from t") == [{"a": 11}]


def test_a_turn_that_does_not_come(path: str) -> None:
    with was.sqlite3(path).transaction():
        result = was.sqlite3(path, timeout=0.05).execute("delete from t").getwait(30)
        assert str(result.error) == "database is locked"
        with pytest.raises(ReadTimeout), was.sqlite3(path, timeout=0.05).transaction():
            pass
    assert works(path)


def test_a_file_that_is_locked_when_it_is_opened(tmp_path: Path) -> None:
    path = str(tmp_path / "test.db")
    wasc.configure(idle_time=0.1, connect_time=0.1)
    sqlite3.connect(path).execute("create table t (a)").connection.close()
    with locked(path, "exclusive"):  # of a file that is not in write-ahead mode: nobody may even read
        result = was.sqlite3(path).execute("insert into t values (1)").getwait(30)
        assert result.status == 2
        assert str(result.error) == "database is locked"
    ask(path, "insert into t values (1)")
    assert works(path)


def test_a_transaction_holds_no_thread_that_its_end_needs(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_threads, "MOST", 2)
    monkeypatch.setattr(_sqlite_threads, "_pools", WeakKeyDictionary())
    with was.sqlite3(path).transaction() as tx:
        requests = [was.sqlite3(path).execute("update t set a = a + 1") for _ in range(10)]
        until(lambda: len(busy()) == 11)
        tx.execute("update t set a = 100")
    assert all(request.getwait(10).status == 3 for request in requests)
    assert ask(path, "select a from t") == [{"a": 110}]


def test_all_threads_are_busy(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {request.getwait(5).status for request in [was.sqlite3(path).execute("select 1") for _ in range(3)]} == {3}
    monkeypatch.setattr(_sqlite_threads, "MOST", 1)
    monkeypatch.setattr(_sqlite_threads, "_pools", WeakKeyDictionary())
    # gevent's pool takes one job more than it has threads, and the one beyond that waits for a place.
    requests = [was.sqlite3(path).execute(ENDLESS) for _ in range(2)]
    until(lambda: len(busy()) == 2)
    result = was.sqlite3(path, timeout=0.05).execute("select 1").getwait(30)
    assert "none of the 1 threads of SQLite got free in time" in str(result.error)
    # No thread opens a file either, and the one that is opened too late is closed.
    other = path + ".other"
    wasc.configure(connect_time=0.05)
    assert was.sqlite3(other).execute("select 1").getwait(30).code in (702, 714)
    for request in requests:
        request.cancel()
    assert [request.getwait(30).status for request in requests] == [2, 2]
    wasc.configure(connect_time=5)
    assert works(path)
    until(lambda: not open_files(other))


# Files that are not as they should be


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: str(path / "missing" / "test.db"), "unable to open database file"),
        (lambda path: str(path), "unable to open database file"),
        (lambda path: str(path / "a\x00b"), "embedded null"),
        (lambda path: str(path / ("x" * 300)), "unable to open database file"),
        (lambda path: "/dev/null/x", "unable to open database file"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, make: Any, text: str) -> None:
    name = make(tmp_path)
    result = was.sqlite3(name).execute("select 1").getwait(10)
    assert (result.status, result.code, result.data) == (2, 714, None)
    assert text in str(result.error)
    with pytest.raises(ConnectFailed, match=text), was.sqlite3(name).transaction():
        pass
    assert not [each for each in _engine.current().databases if each.dbname == name]


def test_a_missing_directory_that_comes_later(tmp_path: Path) -> None:
    name = str(tmp_path / "sub" / "test.db")
    assert was.sqlite3(name).execute("select 1").getwait(10).code == 714
    (tmp_path / "sub").mkdir()
    assert ask(name, "select 1 as a") == [{"a": 1}]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    name = tmp_path / "text.db"
    name.write_text("This is what somebody wrote by hand.\n" * 100)
    result = was.sqlite3(str(name)).execute("select 1").getwait(10)
    assert (result.status, result.code) == (2, 714)
    assert isinstance(result.error, sqlite3.DatabaseError)
    assert "not a database" in str(result.error)
    assert name.read_text().startswith("This is")
    name.unlink()
    assert ask(str(name), "select 1 as a") == [{"a": 1}]


def test_a_damaged_file(path: str) -> None:
    ask(path, "create table big (a); insert into big values (randomblob(100000))")
    _engine.current().close()
    until(lambda: not open_files(path))
    good = Path(path).read_bytes()
    Path(path).write_bytes(good[:4096] + b"\xff" * 8192 + good[12288:])
    result = was.sqlite3(path).execute("select sum(length(a)) from big").getwait(10)
    assert result.status == 2
    assert isinstance(result.error, sqlite3.DatabaseError)
    assert "malformed" in str(result.error)
    until(lambda: not busy() and not open_files(path))  # such a connection is not kept
    Path(path).write_bytes(good)
    assert works(path)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A directory that others may read, seen by one of them."""
    directory = Path(tempfile.mkdtemp(prefix="skitai-sqlite-"))
    user = os.geteuid()
    try:
        yield directory
    finally:
        if user == 0:
            os.seteuid(0)
        directory.chmod(0o755)
        shutil.rmtree(directory)


def test_a_file_that_may_only_be_read() -> None:
    with unprivileged() as directory:
        path = directory / "test.db"
        sqlite3.connect(path).executescript("create table t (a); insert into t values (1)").connection.close()
        path.chmod(0o444)
        directory.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
        assert ask(str(path), "select a from t") == [{"a": 1}]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ask(str(path), "update t set a = 2")
        assert was.sqlite3(str(directory / "new.db")).execute("select 1").getwait(10).code == 714
        assert ask(str(path), "select a from t") == [{"a": 1}]
        _engine.current().close()


def test_a_full_disk(path: str) -> None:
    ask(path, "pragma user_version = 1")
    full = "pragma max_page_count = 10; insert into t values (randomblob(100000)); delete from t"
    result = was.sqlite3(path).execute(full).getwait(10)
    assert (result.status, result.code) == (2, 500)
    assert "full" in result.reason
    with pytest.raises((sqlite3.OperationalError, TransactionFailed)), was.sqlite3(path).transaction() as tx:
        tx.execute("pragma max_page_count = 10")
        tx.execute("delete from t")
        tx.execute("insert into t values (randomblob(100000))")
    assert works(path)


def test_a_file_that_was_removed(path: str) -> None:
    assert works(path)
    for name in (path, path + "-wal", path + "-shm"):
        os.unlink(name)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        ask(path, "insert into t values (1)")
    ask(path, "create table t (a); insert into t values (7)")
    assert works(path)
    assert sqlite3.connect(path).execute("select a from t").fetchall() == [(8,)]


def test_a_file_that_was_replaced(path: str, tmp_path: Path) -> None:
    requests = [was.sqlite3(path).execute("select a from t") for _ in range(3)]  # several connections
    assert all(request.getwait(5).status == 3 for request in requests)
    _engine.current().databases  # noqa: B018  they stay open
    other = str(tmp_path / "other.db")
    sqlite3.connect(other).executescript("create table t (a); insert into t values (50)").connection.close()
    os.replace(other, path)
    for name in (path + "-wal", path + "-shm"):
        Path(name).unlink(missing_ok=True)
    requests = [was.sqlite3(path).execute("select a from t") for _ in range(3)]
    assert [request.getwait(5).data for request in requests] == [[{"a": 50}]] * 3
    assert works(path)


def test_a_directory_that_was_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = str(tmp_path / "sub" / "test.db")
    ask(path, "create table t (a)")
    shutil.rmtree(tmp_path / "sub")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            ask(path, "select * from t")
    (tmp_path / "sub").mkdir()
    ask(path, "create table t (a); insert into t values (1)")
    assert works(path)


# Much


def test_a_large_value(path: str) -> None:
    value = b"\x00\x01\xfe\xff" * 25_000_000
    was.sqlite3(path).execute("insert into t values (?)", [value]).wait(60)
    (row,) = was.sqlite3(path).execute("select a from t where rowid = 2").getwait(60, reraise=True).data
    is_same = row.a == value
    assert is_same
    result = was.sqlite3(path).execute("select zeroblob(2000000000)").getwait(60)
    assert (result.status, result.reason) == (2, "string or blob too big")
    ask(path, "delete from t where rowid = 2")
    assert works(path)


def test_many_requests_over_few_connections(path: str) -> None:
    wasc.configure(db_connections=5)
    reading = [was.sqlite3(path).execute("select ? as n", [n]) for n in range(700)]
    writing = [was.sqlite3(path).execute("insert into t values (?)", [n]) for n in range(300)]
    assert [request.getwait(60).data for request in reading] == [[{"n": n}] for n in range(700)]
    assert {request.getwait(60).status for request in writing} == {3}
    assert ask(path, "select count(*) as n from t") == [{"n": 301}]
    (pool,) = [pool for each, pool in _engine.current().databases.items() if each.dbname == path]
    assert "0 busy, 5 idle, 0 opening, 0 waiting" in repr(pool)


COUNTING = """
    import sys
    from skitai import was
    for _ in range(100):
        with was.sqlite3(sys.argv[1], timeout=60).transaction() as tx:
            tx.execute("update t set a = ?", [tx.execute("select a from t")[0].a + 1])
        was.sqlite3(sys.argv[1], timeout=60).execute("update t set a = a + 1").wait(60)
"""


def test_two_processes_write(path: str, workplace: Workplace) -> None:
    ask(path, "update t set a = 0")
    scripts = [workplace.script(COUNTING, f"{n}.py").start(path, launcher=("-m", "skitai")) for n in range(2)]
    for _ in range(100):
        was.sqlite3(path, timeout=60).execute("update t set a = a + 1").wait(60)
    for script in scripts:
        assert script.end() == 0, script.text
    assert ask(path, "select a from t") == [{"a": 500}]


def test_a_process_closes_its_files_at_its_end(path: str, workplace: Workplace) -> None:
    _engine.current().close()
    until(lambda: not open_files(path))
    script = workplace.script(COUNTING).start(path, launcher=("-m", "skitai"))
    assert script.end() == 0, script.text
    assert not Path(path + "-wal").exists()
    assert works(path)


FORKING = """
from skitai import patches; patches.apply()

import os
import sys

from skitai import was
from tests.was.sqlite_files import busy

path = sys.argv[1]


def ask(sql):
    return was.sqlite3(path).execute(sql).getwait(30, reraise=True).data


with was.sqlite3(path).transaction() as tx:
    tx.execute("update t set a = 2")
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = ask("select a from t") == [{"a": 1}] and not busy()
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tx.execute("update t set a = a + 1")
assert ask("select a from t") == [{"a": 3}]
"""


def test_a_fork_leaves_the_connections_to_the_parent(path: str) -> None:
    # In a process of its own: threads of other tests may hold a lock at the moment of the fork, which the child then
    # never gets.
    done = subprocess.run(
        [sys.executable, "-c", FORKING, path], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


# Clusters


def test_a_member_that_cannot_be_opened_is_left_out(path: str, tmp_path: Path) -> None:
    skitai.alias("@files", skitai.DB_SQLITE3, [str(tmp_path / "missing" / "a.db"), path])
    assert [was.db.lb("@files").execute("select a from t").getwait(5).node for _ in range(4)] == [path] * 4
    with was.sqlite3("@files").transaction() as tx:
        assert tx.execute("select a from t") == [{"a": 1}]
    results = was.db.map("@files").execute("select a from t").getswait(5)
    assert (results.status, results.code) == ([2, 3], [714, 200])


def test_no_transaction_on_a_map(path: str) -> None:
    skitai.alias("@files", skitai.DB_SQLITE3, [path])
    with pytest.raises(RuntimeError, match="lb"):
        was.sqlite3.map("@files").transaction()


# What tests above cannot reach surely


def test_a_turn_that_came_when_nobody_waited_any_more() -> None:
    turn = WriteTurn()
    first, second, third = "first", "second", "third"
    assert turn.take(first, 1, is_transaction=True)

    def wait() -> None:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
            turn.take(second, 10, is_transaction=True)

    waiting = gevent.spawn(wait)
    gevent.sleep(0)
    assert repr(turn) == "<WriteTurn taken, 1 waiting>"
    waiting.join()
    turn.end(first)
    assert turn.take(third, 0, is_transaction=True)
    assert not turn.take(first, 0, is_transaction=False)
    turn.end(first)  # it is not its turn
    assert turn.is_of(third)


def test_closing_what_is_at_work(path: str) -> None:
    connection = next(iter(_engine.current().databases.values()))._idle[0]  # type: ignore[attr-defined]
    assert isinstance(connection, SqliteConnection)
    request = was.sqlite3(path).execute(ENDLESS)
    until(lambda: busy() == [connection])
    connection.is_spent = True
    connection.close()
    assert request.getwait(30).status == 2
    until(lambda: not open_files(path))
    assert works(path)


def test_a_handle_that_cannot_be_made_closes_its_file(tmp_path: Path) -> None:
    name = tmp_path / "text.db"
    name.write_text("no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        SqliteHandle(str(name), False, 1, True)
    assert open_files(str(name)) == []


def test_whoever_is_late_for_a_free_connection(path: str) -> None:
    wasc.configure(db_connections=1)
    stop = Event()

    def hold() -> None:
        with was.sqlite3(path).transaction():
            stop.wait()

    holder = gevent.spawn(hold)
    until(busy)
    result = was.sqlite3(path, timeout=0.05).execute("select 1").getwait(30)
    assert (result.status, result.code) == (2, 702)
    stop.set()
    holder.join()
    assert works(path)


@pytest.mark.parametrize("fault", ["a statement", "a file"])
def test_a_failed_call_leaves_nothing_for_the_garbage_collector(path: str, fault: str) -> None:
    where = path if fault == "a statement" else path + "/missing/x.db"

    def fail() -> None:
        assert was.sqlite3(where).execute("selec").getwait(5).status == 2

    assert garbage_of(fail, 20) < 20
