"""Which database a call means, and what can be told of a statement."""

from __future__ import annotations

import pytest

from skitai.errors import ConfigurationError
from skitai.wire import clusters, databases, sql
from skitai.wire.databases import Database

# Databases


@pytest.mark.row("ALIAS-05", "WAS-PG-05", "WAS-DB-02")
@pytest.mark.parametrize(
    ("kind", "server", "expected"),
    [
        ("postgresql", "127.0.0.1", ("127.0.0.1", 5432, "", "", "")),
        ("redis", "127.0.0.1", ("127.0.0.1", 6379, "", "", "")),
        ("mongodb", "db.example.com", ("db.example.com", 27017, "", "", "")),
        ("postgresql", "[::1]:5433/mydb", ("::1", 5433, "mydb", "", "")),
        ("postgresql", "h:1/mydb/user/pass!/word", ("h", 1, "mydb", "user", "pass!/word")),
    ],
)
def test_a_server_with_all_its_parts(kind: str, server: str, expected: tuple[object, ...]) -> None:
    assert databases.parse(kind, server)[1:6] == expected


def test_arguments_go_before_the_text() -> None:
    found = databases.parse("postgresql", "h/theirs/them/old", "mine", ("me", "new"))
    assert (found.dbname, found.user, found.password) == ("mine", "me", "new")
    assert databases.parse("redis", "h", auth="me:a:b").password == "a:b"
    assert databases.parse("redis", "h", auth=("me",)).user == "me"


def test_a_file_is_no_server() -> None:
    path = "/tmp/a b:c/d.db"
    found = databases.parse("sqlite3", path)
    assert (found.host, found.dbname, found.node, found.name) == ("", path, path, path)


def test_a_member_of_a_cluster() -> None:
    definition = clusters.parse("@db", "postgresql", "h:1/d/u/p", ssl=True, verify="/ca.pem")
    found = databases.of_member(definition, definition.members[0])
    assert found == Database("postgresql", "h", 1, "d", "u", "p", True, "/ca.pem")
    assert databases.of_member(definition, definition.members[0], "other").dbname == "other"


def test_nothing_secret_is_shown() -> None:
    found = databases.parse("postgresql", "h:1/d/root/secret")
    assert str(found) == "postgresql h:1/d"
    for text in (str(found), repr(found), found.name, f"{found}"):
        assert "secret" not in text
        assert "root" not in text


@pytest.mark.parametrize("server", ["h:0/d/u/secret", "h:99999/d/u/secret", "a b:1/d/u/secret", "u:secret@h:1/d", ""])
def test_a_server_that_cannot_be_read(server: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        databases.parse("postgresql", server)
    assert "/u/" not in str(caught.value)


def test_a_password_is_not_in_the_error_of_an_alias() -> None:
    with pytest.raises(ConfigurationError, match="alias @db") as caught:
        clusters.parse("@db", "postgresql", "not a host/d/u/secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("auth", [5, {"user": "a"}, ("a", "b", "c"), (1, 2)])
def test_auth_of_another_kind(auth: object) -> None:
    with pytest.raises(TypeError, match="auth of a database"):
        databases.parse("postgresql", "h", auth=auth)


# Statements


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("SELECT 1", "select"),
        ("  -- why\n /* and\n how */ ( select 1)", "select"),
        ("insert into t values (1)", "insert"),
        ("/* never ends", ""),
        ("", ""),
        (";", ""),
        ("--", ""),
    ],
)
def test_the_first_word(statement: str, word: str) -> None:
    assert sql.first_word(statement) == word


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 1;", True),
        ("VALUES (1), (2)", True),
        ("show server_version", True),
        ("select 1; delete from t", False),
        ("select * into copy from t", False),
        ("with gone as (delete from t returning *) select * from gone", False),
        ("update t set a = 1", False),
        ("", False),
    ],
)
def test_what_only_reads(statement: str, expected: bool) -> None:
    assert sql.is_read_only(statement) is expected
