"""What is known of Redis commands by their names."""

from __future__ import annotations

import pytest

from skitai.wire import redis_commands


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("get", "k"), "GET"),
        ((b"get", "k"), "GET"),
        (("CONFIG GET", "x"), "CONFIG GET"),
        (("config", "get", "x"), "CONFIG GET"),
        ((" config   get ", "x"), "CONFIG GET"),
        (("CLIENT", b"setname", "x"), "CLIENT SETNAME"),
        (("CONFIG",), "CONFIG"),
        (("JSON.GET", "k"), "JSON.GET"),
    ],
)
def test_the_name_of_a_command(words: tuple[object, ...], name: str) -> None:
    assert redis_commands.name_of(words) == name


@pytest.mark.parametrize("name", ["GET", "MGET", "HGETALL", "XINFO STREAM", "CONFIG GET", "SORT_RO", "PING"])
def test_what_only_reads(name: str) -> None:
    assert redis_commands.is_read_only(name)


@pytest.mark.parametrize("name", ["SET", "INCR", "SORT", "GETDEL", "GETEX", "LPOP", "EVAL", "XREADGROUP", "FOO"])
def test_what_may_write(name: str) -> None:
    assert not redis_commands.is_read_only(name)


@pytest.mark.parametrize(
    "words",
    [("SELECT", 1), ("multi",), ("Subscribe", "a"), ("CLIENT", "reply", "off"), ("client reply", "off"), ("quit",)],
)
def test_what_would_change_a_shared_connection(words: tuple[object, ...]) -> None:
    name = redis_commands.name_of(words)
    assert name in redis_commands.why_refused(name)


def test_what_leaves_a_mark() -> None:
    assert redis_commands.is_marking("CLIENT SETNAME")
    assert redis_commands.is_marking("HIMPORT PREPARE")
    assert not redis_commands.is_marking("CLIENT GETNAME")
    assert redis_commands.why_refused("GET") == ""
