"""Field names, values and lists."""

from __future__ import annotations

import pytest

from skitai.errors import LocalProtocolError
from skitai.wire.fields import cgi_name, check_field, find, parse_fields, tokens
from skitai.wire.http1 import serialize_request


def test_cgi_names() -> None:
    assert cgi_name("X-Real-Name") == "HTTP_X_REAL_NAME"
    assert cgi_name("content-type") == "CONTENT_TYPE"
    assert cgi_name("Content-Length") == "CONTENT_LENGTH"
    assert cgi_name("X_Real_Name") == ""
    assert cgi_name("Proxy") == cgi_name("PROXY") == ""
    assert cgi_name("Proxy-Authorization") == "HTTP_PROXY_AUTHORIZATION"


def test_names_of_clients_do_not_fill_the_memory() -> None:
    for number in range(10_000):
        assert cgi_name(f"X-{number}") == f"HTTP_X_{number}"


def test_lists() -> None:
    assert tokens("a, B ,,c\t,") == ["a", "b", "c"]
    assert tokens("") == tokens(" , ") == []


def test_parse_fields() -> None:
    assert parse_fields("A: b\r\nC:\t d \r\nE:\r\n", 0, 3) == [("A", "b"), ("C", "d"), ("E", "")]
    assert parse_fields("A: b\r\nC: d\r\n", 0, 1) is None
    assert parse_fields("first\r\nA: b\r\n", 7, 9) == [("A", "b")]
    for bad in (
        "A b\r\n",
        "A : b\r\n",
        "A: b\n",
        "A: b\r\n c\r\n",
        ": b\r\n",
        "A: \0\r\n",
        "A: b\rC: d\r\n",
        "A: b\r\n\r\n",
    ):
        assert parse_fields(bad, 0, 9) is None


def test_find() -> None:
    assert find([("A", "b"), ("a", "c")], "a") == "b"
    assert find([], "a", "d") == "d"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nb"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "\0"),
        ("X", "漢"),
        ("X Y", "a"),
        ("", "a"),
        ("X:", "a"),
        ("X\n", "a"),
    ],
)
def test_what_may_not_be_sent(name: str, value: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_field(name, value)
    with pytest.raises(LocalProtocolError):
        serialize_request("GET", "/", [("Host", "a"), (name, value)])


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GE T", "/"),
        ("", "/"),
        ("GET\r\n", "/"),
        ("GET", ""),
        ("GET", "/ x"),
        ("GET", "/\r\nX: y"),
        ("GET", "/é"),
        ("GET", "/#x"),
        ("GET", "/\0"),
    ],
)
def test_what_is_no_request_line(method: str, target: str) -> None:
    with pytest.raises(LocalProtocolError):
        serialize_request(method, target, [])
