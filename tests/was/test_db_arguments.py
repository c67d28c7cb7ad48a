"""Arguments of the database services, in the order of both generations of documents."""

from __future__ import annotations

from typing import Any

import pytest

from skitai import DB_MONGODB, DB_PGSQL, DB_REDIS, DB_SQLITE3, was
from skitai.was._db_arguments import read_arguments
from skitai.was._db_call import DbCall, DbOptions
from skitai.was._db_connection import Command
from skitai.was._db_result import DbResult
from skitai.was._db_target import Target


def read(*args: Any, **keywords: Any) -> tuple[Any, ...]:
    """(kind, dbname, auth, the options that were given) of arguments behind the server."""
    found = read_arguments(args, keywords)
    return (found.kind, found.dbname, found.auth, {k: v for k, v in found.options._asdict().items() if v != default(k)})


def default(name: str) -> Any:
    return DbOptions()._asdict()[name]


def callback(result: object) -> None:
    """Somebody's."""


@pytest.mark.row("WAS-DB-01", "WAS-DB-03")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), (None, "", None, {})),
        (("mydb",), (None, "mydb", None, {})),
        # Version 0.15: dbname, user, password, dbtype, use_cache
        (("mydb", "user", "password"), (None, "mydb", ("user", "password"), {})),
        (("mydb", "me", "secret", DB_PGSQL, False), ("postgresql", "mydb", ("me", "secret"), {"use_cache": False})),
        (("mydb", "user", "password", "postgresql"), ("postgresql", "mydb", ("user", "password"), {})),
        ((DB_SQLITE3,), ("sqlite3", "", None, {})),
        (("*redis",), ("redis", "", None, {})),
        # Version 0.26: dbname, auth, dbtype, meta, use_cache, filter, callback, timeout
        (("mydb", ("user", "password")), (None, "mydb", ("user", "password"), {})),
        (("mydb", None, DB_MONGODB), ("mongodb", "mydb", None, {})),
        (("mydb", DB_MONGODB), ("mongodb", "mydb", None, {})),
        ((DB_REDIS,), ("redis", "", None, {})),
        (
            ("mydb", ("u", "p"), DB_PGSQL, {"a": 1}, False, None, callback, 3),
            (
                "postgresql", "mydb", ("u", "p"),
                {"meta": {"a": 1}, "use_cache": False, "callback": callback, "timeout": 3},
            ),
        ),
    ],
)
def test_positions(args: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    assert read(*args) == expected


def test_a_database_called_as_a_type() -> None:
    assert read("redis") == (None, "redis", None, {})
    assert read("postgresql", ("u", "p")) == (None, "postgresql", ("u", "p"), {})


@pytest.mark.row("WAS-DB-01")
def test_keywords() -> None:
    assert read(dbname="d", user="u", password="p", dbtype="postresql") == ("postgresql", "d", ("u", "p"), {})
    assert read("d", auth=("u", "p"), use_cache=False) == (None, "d", ("u", "p"), {"use_cache": False})
    assert read(callback=callback, timeout=2, filter=callback)[3].keys() == {"callback", "timeout", "filter"}


@pytest.mark.parametrize(
    ("args", "keywords", "said"),
    [
        ((), {"usecache": True}, "no argument usecache"),
        (("d",), {"dbname": "e"}, "dbname is given twice"),
        (("d", None, "oracle"), {}, "dbtype is one of"),
        (("d", "u", "p", DB_PGSQL, True, 6), {}, "too many"),
    ],
)
def test_what_cannot_be_meant(args: tuple[Any, ...], keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        read_arguments(args, keywords)


def test_a_server_is_needed() -> None:
    with pytest.raises(AssertionError, match="Missing param server"):
        was.postgresql()
    with pytest.raises(KeyError):
        was.db("@nope")


# Keys of the result cache


def key(*args: Any, uri: str = "h:1/d", **keywords: Any) -> Any:
    call = DbCall(Target("postgresql", uri, None), Command("execute", args, keywords), DbOptions(), DbResult, "db")
    return call.key


@pytest.mark.row("CACHE-03")
def test_equal_calls_have_equal_keys() -> None:
    assert key("select", [1, "a", {"b": (None, b"c")}]) == key("select", [1, "a", {"b": (None, b"c")}])
    values: list[Any] = [1, 1.0, True, "1", b"1", None, (1,), [1], [], (), [[1], [2]], [[1, 2]]]
    values += [{"a": 1}, {"a": "1"}, {"b": 1}, {}]
    keys = [key("select", value) for value in values]
    assert len(set(keys)) == len(values)
    assert key("select") != key("select", None)
    assert key("a") != key("a", uri="h:1/e")


def test_what_cannot_be_compared_has_no_key() -> None:
    for value in (object(), {1, 2}, [object()], {"a": object()}, bytearray(b"x")):
        assert key("select", value) is None


def test_a_call_shows_no_values() -> None:
    command = Command("execute", ("x", ["secret"]))
    call = DbCall(Target("postgresql", "h:1/d", None), command, DbOptions(), DbResult, "db")
    assert repr(call) == "<DbCall db h:1/d execute>"
