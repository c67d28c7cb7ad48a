"""Targets and authorities."""

from __future__ import annotations

import pytest

from skitai.errors import RemoteProtocolError
from skitai.wire.target import check_target, decode_path, split_host, split_target


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a?b=c", "/a", "b=c"),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("//a/b", "//a/b", ""),
        ("http://a", "/", ""),
        ("http://a?b", "/", "b"),
        ("http://a/b?c", "/b", "c"),
        ("http://a//b", "//b", ""),
        ("http://a/http://b/?c", "/http://b/", "c"),
        ("*", "*", ""),
    ],
)
def test_split_target(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("a", "a", ""),
        ("A.Example:80", "a.example", "80"),
        ("a:", "a", ""),
        ("[::1]", "::1", ""),
        ("[::A]:80", "::a", "80"),
        ("", "", ""),
    ],
)
def test_split_host(authority: str, host: str, port: str) -> None:
    assert split_host(authority) == (host, port)


def test_decode_path() -> None:
    assert decode_path("/a%20b%2Fc") == "/a b/c"
    assert decode_path("/%C3%A9") == "/\xc3\xa9"
    assert decode_path("/100%") == "/100%"
    assert decode_path("/%zz") == "/%zz"


def test_check_target() -> None:
    assert check_target("GET", "/") is None
    assert check_target("OPTIONS", "*") is None
    assert check_target("GET", "http://a:1/b") == "a:1"
    assert check_target("CONNECT", "a:1") == "a:1"
    for method, target in (("GET", "*"), ("GET", "a:1"), ("CONNECT", "/"), ("GET", "http://u@a/"), ("GET", "x")):
        with pytest.raises(RemoteProtocolError):
            check_target(method, target)
