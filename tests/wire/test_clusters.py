"""Definitions of clusters."""

from collections.abc import Iterator

import pytest

from skitai.errors import ConfigurationError, UnknownAlias
from skitai.wire import clusters
from skitai.wire.clusters import Member, parse


@pytest.fixture(autouse=True)
def own_definitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(clusters, "definitions", {})
    yield


@pytest.mark.row("ALIAS-02")
def test_the_name_is_kept_without_its_at_sign_and_replaced() -> None:
    clusters.define("@search", "http", "a:1")
    assert clusters.find("search").members == (Member("a", 1),)
    clusters.define("search", "http", ["b:2", "c:3"])
    assert [member.host for member in clusters.find("search").members] == ["b", "c"]
    assert list(clusters.definitions) == ["search"]


@pytest.mark.row("ALIAS-03")
def test_members_are_one_string_or_a_list() -> None:
    assert parse("@a", "http", "h:1").members == parse("@a", "http", ["h:1"]).members == (Member("h", 1),)
    assert [m.host for m in parse("@a", "http", "x:1, y:2").members] == ["x", "y"]
    assert parse("@a", "http", ["x:1 3", "y:2"]).members == (Member("x", 1, weight=3), Member("y", 2))


@pytest.mark.row("ALIAS-04")
@pytest.mark.parametrize(
    ("kind", "text", "member"),
    [
        ("http", "h", Member("h", 80)),
        ("https", "h", Member("h", 443)),
        ("http", "h:8080", Member("h", 8080)),
        ("http", "[::1]:81", Member("::1", 81)),
        ("https", "[::1]", Member("::1", 443)),
        ("ws", "h", Member("h", 80)),
        ("wss", "h", Member("h", 443)),
    ],
)
def test_http_members(kind: str, text: str, member: Member) -> None:
    assert parse("@a", kind, text).members == (member,)


@pytest.mark.row("ALIAS-05")
@pytest.mark.parametrize(
    ("kind", "text", "member"),
    [
        ("postgresql", "h", Member("h", 5432)),
        ("postgresql", "h:1/db/user/p!w", Member("h", 1, "db", "user", "p!w")),
        ("postgresql", "h/db/user/p/w", Member("h", 5432, "db", "user", "p/w")),
        ("*redis", "h/0", Member("h", 6379, "0")),
        ("*mongodb", "h/db", Member("h", 27017, "db")),
        ("*sqlite3", "/var/tmp/a b.db", Member("", 0, "/var/tmp/a b.db")),
    ],
)
def test_database_members(kind: str, text: str, member: Member) -> None:
    found = parse("@a", kind, [text]).members[0]
    assert found == member
    assert found.node == ((member.host, member.port) if member.host else member.dbname)


@pytest.mark.row("ALIAS-06")
@pytest.mark.parametrize(
    ("kind", "ssl", "tls"),
    [("http", False, False), ("http", True, True), ("https", False, True), ("wss", 0, True), ("http", "yes", True),
     ("ws", 1, True), ("http", "no", False)],
)  # fmt: skip
def test_ssl(kind: str, ssl: bool, tls: bool) -> None:
    assert parse("@a", kind, "h:1", ssl=ssl).tls is tls


def test_ssl_decides_the_default_port() -> None:
    assert parse("@a", "http", "h", ssl=True).members == (Member("h", 443),)


@pytest.mark.row("ALIAS-07", "ALIAS-08")
def test_role_and_source_are_kept_for_the_gateway() -> None:
    definition = parse("@a", "http", "h", role="admin,user", source="10.0.0.0/8")
    assert (definition.role, definition.source) == ("admin,user", "10.0.0.0/8")


def test_the_spelling_of_an_example_in_the_documents() -> None:
    assert parse("@a", "postresql", "h").kind == "postgresql"


@pytest.mark.parametrize(
    ("kind", "members", "text"),
    [
        ("http", [], "at least one member"),
        ("http", "", "at least one member"),
        ("gopher", "h", "unknown type"),
        ("http", "h:99999", "not a port"),
        ("http", "h:0", "not a port"),
        ("http", "http://h/", "host:port"),
        ("http", "::1:80", "host:port"),
        ("http", "h:1 0", "not above 0"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, members: object, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        parse("@a", kind, members)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "@", "a/b"])
def test_names_that_no_uri_could_hold(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        parse(name, "http", "h")


@pytest.mark.row("ALIAS-10")
def test_an_unknown_alias_is_a_key_error_with_its_name() -> None:
    with pytest.raises(UnknownAlias, match="nope") as caught:
        clusters.find("nope")
    assert isinstance(caught.value, KeyError)
