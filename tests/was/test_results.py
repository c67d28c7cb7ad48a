"""What can be asked of a result."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from skitai import was
from skitai.errors import RequestFailed
from skitai.was._result import Result

from .conftest import Peers


def result(peers: Peers, body: bytes = b"ok", status: str = "200 OK", *lines: str) -> Any:
    return was.get(peers.saying(body, status, *lines).url("/p?q=1")).getwait(5)


@pytest.mark.row("WAS-RES-01", "WAS-RES-02")
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Internal Server Error"])
def test_any_answer_is_normal(peers: Peers, status: str) -> None:
    found = result(peers, b"", status)
    assert found.status == 3
    assert found.code == found.status_code == int(status[:3])
    assert found.reason == found.msg == status[4:]
    assert found.error is None
    found.reraise()


@pytest.mark.row("WAS-RES-03", "WAS-RES-04")
@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        (b'{"a": "\xc3\xa4"}', "application/json", {"a": "ä"}),
        (b"[1]", "application/json; charset=utf-8", [1]),
        (b"[1]", "APPLICATION/JSON", [1]),
        (b"[1]", "text/plain", b"[1]"),
        (b"", "application/json", b""),
        (b"", "text/plain", b""),
        (b"\xff", "image/png", b"\xff"),
    ],
)
def test_data_and_content(peers: Peers, body: bytes, content_type: str, data: Any) -> None:
    found = result(peers, body, "200 OK", f"Content-Type: {content_type}")
    assert found.data == data
    assert found.data is found.data
    assert found.content == found.binary == body
    assert found.raw.read() == body


def test_json_that_is_none(peers: Peers) -> None:
    found = result(peers, b"{", "200 OK", "Content-Type: application/json")
    with pytest.raises(ValueError, match="Expecting"):
        _ = found.data
    assert found.content == b"{"


@pytest.mark.row("WAS-RES-05")
@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("ä".encode("latin-1"), "text/html; charset=iso-8859-1", "ä"),
        ("ä".encode(), 'text/html; charset="utf-8"', "ä"),
        ("ä".encode(), "text/html", "ä"),
        (b"\xff", "text/html", "�"),
        (b"a", "text/html; charset=no-such-thing", "a"),
    ],
)
def test_text(peers: Peers, body: bytes, content_type: str, text: str) -> None:
    assert result(peers, body, "200 OK", f"Content-Type: {content_type}").text == text


@pytest.mark.row("WAS-RES-06", "WAS-RES-10")
def test_what_was_asked_and_how_it_came(peers: Peers) -> None:
    found = result(peers)
    assert found.url.endswith("/p?q=1")
    assert found.method == found.request.method == "GET"
    assert (found.version, found.encoding, found.cookies, found.history) == ("1.1", "utf-8", {}, [])
    assert found.node[0] == "127.0.0.1"


@pytest.mark.row("WAS-RES-08")
def test_headers(peers: Peers) -> None:
    found = result(
        peers, b"", "200 OK", "X-One: 1", "x-two: a", "X-Two: b", "X-Two: c", 'Content-Type: text/a; x="y z"'
    )
    assert found.headers["x-ONE"] == "1"
    assert found.headers["X-Two"] == ["a", "b", "c"]
    assert "X-One" in found.headers
    assert "nope" not in found.headers
    assert found.headers.get("nope") is None
    assert list(found.headers) == ["Content-Length", "X-One", "x-two", "Content-Type"]
    assert len(found.headers) == 4
    assert found.get_header("x-two") == "a"
    assert found.get_header("nope", "d") == "d"
    assert found.get_header_with_attr("content-type") == ("text/a", {"x": "y z"})
    assert found.get_header_with_attr("nope") == (None, {})
    assert found.header[1] == "X-One: 1"
    assert "X-One" in repr(found.headers)


def test_json_that_is_nested_too_deep(peers: Peers) -> None:
    found = result(peers, b"[" * 100_000 + b"]" * 100_000, "200 OK", "Content-Type: application/json")
    with pytest.raises(ValueError, match="too deep"):
        found.json()
    with pytest.raises(ValueError, match="too deep"):
        assert found.data


@pytest.mark.row("WAS-RES-09")
def test_json(peers: Peers) -> None:
    assert result(peers, json.dumps({"a": 1}).encode()).json() == {"a": 1}
    with pytest.raises(ValueError, match="Expecting"):
        result(peers, b"x").json()
    with pytest.raises(ValueError, match="714"):
        was.get(f"http://{peers.refusing()}/").getwait(5).json()


@pytest.mark.row("WAS-RES-12")
@pytest.mark.parametrize(
    ("status", "raises"), [("200 OK", False), ("299 x", False), ("302 Found", True), ("500 x", True)]
)
def test_raise_for_status(peers: Peers, status: str, raises: bool) -> None:
    found = result(peers, b"", status)
    if raises:
        with pytest.raises(RequestFailed, match=status):
            found.raise_for_status()
    else:
        found.raise_for_status()


def test_raise_for_status_of_a_failure(peers: Peers) -> None:
    with pytest.raises(RequestFailed, match="714 Connection Failure"):
        was.get(f"http://{peers.refusing()}/").getwait(5).raise_for_status()


@pytest.mark.row("WAS-RES-07")
def test_meta(peers: Peers) -> None:
    meta = {"a": 1}
    assert was.get(peers.saying().url(), meta=meta).getwait(5).meta is meta


@pytest.mark.row("WAS-RES-20")
def test_an_empty_answer_is_an_answer_and_a_failure_is_a_result(peers: Peers) -> None:
    """Truth says nothing about a result: that there is one; its status says how it went."""
    assert result(peers, b"")
    assert result(peers, b"[]", "200 OK", "Content-Type: application/json")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    refused = was.get(f"http://127.0.0.1:{port}/").getwait(5)
    assert refused.status == 2
    assert refused


def test_results_show_how_they_are(peers: Peers) -> None:
    found = result(peers)
    assert repr(found) == f"<HttpResult get {found.url} status=3 200 OK>"
    assert isinstance(found, Result)
    results = was.get(peers.saying().url()).getswait(5)
    assert repr(results).endswith("[(3, 200)]>")


def test_cookies_that_cannot_be_read_are_left_out(peers: Peers) -> None:
    assert result(peers, b"", "200 OK", "Set-Cookie: a=1", "Set-Cookie: =;;=", "Set-Cookie: b=2; HttpOnly").cookies == {
        "a": "1", "b": "2",
    }  # fmt: skip
