"""What our own code raises on the way of a database command: the command ends, and its connection has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skitai import was
from skitai.net import logs
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.was._db_connection import DbConnection
from skitai.was._db_pool import DbPool
from skitai.was._db_result import DbResult
from skitai.was._db_run import DbRun, _Turn
from skitai.was._sqlite import SqliteConnection
from skitai.was._task import Task

from .conftest import until


class Odd(BaseException):
    """What is no Exception."""


#: (class, method, whether the connection was taken before)
HOPS = [
    (DbRun, "_attempt"),
    (DbRun, "outcome"),
    (DbResult, "answered"),
    (SqliteConnection, "perform"),
    (DbPool, "checkout"),
    (Task, "succeed"),
]


@pytest.mark.parametrize("kind", [KeyError, Odd, SystemExit])
@pytest.mark.parametrize(("owner", "name"), HOPS)
def test_a_hop_that_raises_ends_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kind: type[BaseException]
) -> None:
    if kind is not KeyError and owner in (Task, DbResult):
        return  # these are ours alone, and raise no such thing
    path = str(tmp_path / "test.db")
    written: list[BaseException | None] = []
    monkeypatch.setattr(
        type(logs.current().app), "traceback", lambda self, ident="", tag="", error=None: written.append(error)
    )
    wasc.configure(db_connections=2)
    was.sqlite3(path).execute("create table t (a)").wait(5)
    given = owner.__dict__[name]
    real = given.__func__ if isinstance(given, classmethod) else given
    calls: list[None] = []

    def broken(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == 1:
            raise kind("injected")
        return real(self, *args, **options)

    monkeypatch.setattr(owner, name, classmethod(broken) if isinstance(given, classmethod) else broken)
    results = [each.getwait(5) for each in [was.sqlite3(path).execute("select 1") for _ in range(6)]]
    statuses = sorted(result.status for result in results)
    assert statuses == [2] + [3] * 5
    (failed,) = [result for result in results if result.status == 2]
    assert "injected" in str(failed.error) and calls
    for pool in _engine.current().databases.values():
        until(lambda pool=pool: not (pool._busy or pool._opening or pool._waiting))


def test_a_turn_whose_deadline_raises_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "test.db")
    wasc.configure(db_connections=1)
    was.sqlite3(path).execute("create table t (a)").wait(5)

    def expire(self: Any) -> None:
        raise KeyError("injected")

    monkeypatch.setattr(_Turn, "expire", expire)
    with was.sqlite3(path).transaction():
        result = was.sqlite3(path, timeout=0.05).execute("select 1").getwait(5)
    assert result.status == 2 and isinstance(result.error, KeyError)
    assert was.sqlite3(path).execute("select 1").getwait(5).status == 3


def test_a_connection_that_cannot_be_aborted_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "test.db")
    was.sqlite3(path).execute("create table t (a)").wait(5)
    (pool,) = _engine.current().databases.values()
    (connection,) = pool._idle  # type: ignore[attr-defined]

    def expire(self: Any) -> None:
        raise KeyError("injected")

    monkeypatch.setattr(DbConnection, "expire", expire)
    connection.deadline = 0.0
    until(lambda: not _engine.current().databases)
    assert was.sqlite3(path).execute("select 1").getwait(5).status == 3


def test_a_statement_of_a_transaction_that_raises_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "test.db")
    was.sqlite3(path).execute("create table t (a)").wait(5)
    real = SqliteConnection.perform

    def perform(self: Any, command: Any, timeout: Any) -> Any:
        if "select 7" in command.args:
            raise SystemExit(7)
        return real(self, command, timeout)

    monkeypatch.setattr(SqliteConnection, "perform", perform)
    with pytest.raises(RuntimeError, match="SystemExit: 7"), was.sqlite3(path).transaction() as transaction:
        transaction.execute("select 7")
    assert was.sqlite3(path).execute("select 1").getwait(5).status == 3
