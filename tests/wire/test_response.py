"""Heads of responses that a server sends."""

from __future__ import annotations

from typing import Any

import pytest

from skitai.errors import LocalProtocolError
from skitai.wire.fields import Fields
from skitai.wire.response import BY_LENGTH, CHUNKED, NO_BODY, UNTIL_CLOSE, CommonFields, ResponseHead, reason_phrase

COMMON = CommonFields("test")
COMMON.refresh("Sun, 06 Nov 1994 08:49:37 GMT")


def head(
    status: int = 200,
    fields: Fields | None = None,
    length: int | None = 0,
    method: str = "GET",
    version: int = 11,
    keep_alive: bool = True,
    reason: str | None = None,
) -> ResponseHead:
    return ResponseHead(status, reason, fields or [], length, method, version, keep_alive, COMMON)


def lines(response: ResponseHead) -> list[bytes]:
    assert response.data.endswith(b"\r\n\r\n")
    return response.data[:-4].split(b"\r\n")


def test_the_whole_head() -> None:
    assert lines(head(200, [("Content-Type", "text/plain"), ("X", "y")], 5)) == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain",
        b"X: y",
        b"Server: test",
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT",
        b"Content-Length: 5",
    ]


@pytest.mark.parametrize(
    ("length", "method", "status", "version", "framing", "keeps"),
    [
        (5, "GET", 200, 11, BY_LENGTH, True),
        (5, "GET", 200, 10, BY_LENGTH, True),
        (None, "GET", 200, 11, CHUNKED, True),
        (None, "GET", 200, 10, UNTIL_CLOSE, False),
        (5, "HEAD", 200, 11, NO_BODY, True),
        (None, "HEAD", 200, 11, NO_BODY, True),
        (0, "GET", 204, 11, NO_BODY, True),
        (0, "GET", 304, 11, NO_BODY, True),
        (None, "GET", 304, 10, NO_BODY, True),
    ],
)
def test_framing(length: int | None, method: str, status: int, version: int, framing: int, keeps: bool) -> None:
    response = head(status, None, length, method, version)
    assert (response.framing, response.keep_alive) == (framing, keeps)
    assert (b"Transfer-Encoding: chunked" in lines(response)) is (framing == CHUNKED)
    assert (b"Connection: close" in lines(response)) is not keeps
    assert (b"Connection: keep-alive" in lines(response)) is (keeps and version == 10)
    has_length = length is not None and status == 200
    assert (f"Content-Length: {length}".encode() in lines(response)) is has_length


def test_the_length_of_the_app_counts() -> None:
    assert head(200, [("content-length", "7")], None).length == 7
    assert lines(head(304, [("Content-Length", "7")], 0))[-1] == b"Content-Length: 7"
    assert not [line for line in lines(head(304, [], 0)) if line.startswith(b"Content-Length")]
    assert head(200, [("Content-Length", "7"), ("Content-Length", "07")], None).length == 7


def test_an_app_cannot_frame_the_message() -> None:
    fields = [
        ("Transfer-Encoding", "chunked"),
        ("Keep-Alive", "x"),
        ("Upgrade", "x"),
        ("Trailer", "x"),
        ("Proxy-Connection", "x"),
    ]
    assert lines(head(200, fields, 0)) == lines(head(200, [], 0))


@pytest.mark.parametrize("value", ["close", "Close", "x, close"])
def test_an_app_can_close(value: str) -> None:
    response = head(200, [("Connection", value)])
    assert not response.keep_alive
    assert lines(response).count(b"Connection: close") == 1
    assert head(200, [("Connection", "x")]).keep_alive
    assert not head(200, [("Connection", "keep-alive")], keep_alive=False).keep_alive


def test_date_and_server_of_the_app_replace_ours() -> None:
    texts = lines(head(200, [("date", "D"), ("SERVER", "S")]))
    assert [line for line in texts if line.lower().startswith((b"date", b"server"))] == [b"date: D", b"SERVER: S"]
    assert b"Server: test" in lines(head(200, [("Date", "D")]))


def test_reasons() -> None:
    assert lines(head(404))[0] == b"HTTP/1.1 404 Not Found"
    assert lines(head(799))[0] == b"HTTP/1.1 799 "
    assert lines(head(200, reason="Fine, \xe9"))[0] == b"HTTP/1.1 200 Fine, \xe9"
    assert lines(head(200, reason=""))[0] == b"HTTP/1.1 200 "
    assert reason_phrase(799) == ""


BAD_FIELDS: list[tuple[Any, Any]] = [
    ("X", "y\r\nSet-Cookie: z"),
    ("X", "y\nz"),
    ("X", "y\rz"),
    ("X", "y\r\n"),
    ("X", "\r\n\r\nbody"),
    ("X", "y\0"),
    ("X", "\x01"),
    ("X", "\x7f"),
    ("X", "\u010a"),  # its low octet is LF
    ("X", "\u4e0d"),
    ("X", "漢"),
    ("X\r\nY", "z"),
    ("X: y\r\nZ", "z"),
    ("X ", "y"),
    ("X:", "y"),
    ("", "y"),
    ("é", "y"),
    ("X", 5),
    ("X", None),
    ("X", b"y"),
    (b"X", "y"),
    (5, "y"),
    ("Content-Length", "x"),
    ("Content-Length", "-1"),
    ("Content-Length", ""),
    ("Content-Length", " 5"),
    ("Content-Length", "٥"),
    ("Content-Length", 5),
    ("Connection", None),
]


@pytest.mark.parametrize("pair", BAD_FIELDS, ids=repr)
def test_a_field_that_would_break_the_message_is_refused(pair: tuple[Any, Any]) -> None:
    for fields in ([pair], [("A", "b"), pair], [pair, ("A", "b")]):
        for _ in range(2):
            with pytest.raises(LocalProtocolError):
                head(200, fields)


@pytest.mark.parametrize("reason", ["a\r\nX: y", "\n", "\0", "漢"])
def test_a_reason_that_would_break_the_message_is_refused(reason: str) -> None:
    with pytest.raises(LocalProtocolError):
        head(200, reason=reason)


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 199, 1000])
def test_a_status_of_no_final_response_is_refused(status: int) -> None:
    with pytest.raises(LocalProtocolError):
        head(status)


def test_two_lengths_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        head(200, [("Content-Length", "5"), ("content-length", "6")])


def test_repeated_responses_are_remembered_apart() -> None:
    for _ in range(3):
        for value in ("a", "b"):
            for status in (200, 404):
                assert f"X: {value}".encode() in lines(head(status, [("X", value)]))
                assert lines(head(status, [("X", value)]))[0].startswith(f"HTTP/1.1 {status}".encode())
                assert b"Set-Cookie: " + value.encode() in lines(head(status, [("Set-Cookie", value)]))


def test_fields_in_lists_are_taken() -> None:
    fields: Any = [["X", "y"]]
    assert b"X: y" in lines(head(200, fields))
