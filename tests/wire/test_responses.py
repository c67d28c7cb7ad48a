"""Client role: responses, their framing, and whether the connection may be used again."""

from __future__ import annotations

import pytest

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.http1 import END, Data, ResponseReader, header_value
from tests.wire.reading import in_bytes, in_two, read_response

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status", "body", "keeps"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
        (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
        (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", 200, b"hello", False),
        (OK + b"Content-Length: 5\r\nConnection: x, Close\r\n\r\nhello", 200, b"hello", False),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, b"hello", True),
        (CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 200, b"hello", True),
        (CHUNKED + b"0\r\n\r\n", 200, b"", True),
        (OK + b"Transfer-Encoding: Chunked \r\n\r\n0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b"", False),
        (b"HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", 205, b"", True),
        (b"HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\nx", 205, b"x", False),
        (b"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 205, b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b"", False),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 799 \xe9 \t\r\nContent-Length: 0\r\n\r\n", 799, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 5 + OK + b"Content-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", 200, b"x", False),
        # As a user agent reads servers (RFC 9112 sections 5.1, 5.2, 6.3 and 7.1).
        (OK + b"X: one,\r\n\ttwo\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"X: one \t\r\n \r\n\t  two\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"Content-Length:\r\n 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", 200, b"", False),
        (OK + b"Content-Length \t: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"X : y\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"Content-Length: 2, 2\r\n\r\nok", 200, b"ok", False),
        (OK + b"Content-Length: 2\r\nContent-Length: 2,2\r\n\r\nok", 200, b"ok", False),
        (CHUNKED + b"5  \r\nhello\r\n 0 \r\n\r\n", 200, b"hello", True),
        (CHUNKED + b"\t5\t;a=b\r\nhello\r\n000  ;x\r\n\r\n", 200, b"hello", True),
        (CHUNKED + b"0\r\nX : y,\r\n z\r\n\r\n", 200, b"", True),
    ],
)
def test_accepted(data: bytes, status: int, body: bytes, keeps: bool) -> None:
    for pieces in ([data], in_bytes(data), *in_two(data)):
        head, content, reader = read_response(pieces)
        assert head is not None
        assert (head.status, content, reader.keep_alive) == (status, body, keeps)
        assert reader.leftover == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1\t200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"220 mail ESMTP\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 5, 6\r\n\r\nhello",
        OK + b"Content-Length: 5,\r\n\r\nhello",
        OK + b"Content-Length: 5, 05\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 1\r\n 2\r\n\r\nhello hello!",
        OK + b"Content-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked,\r\n chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding:\r\n\r\n",
        OK + b"X y: z\r\n\r\n",
        OK + b" : y\r\n\r\n",
        OK + b" X: y\r\n\r\n",
        OK + b"X: y\r\n \x00z\r\n\r\n",
        OK + b"X: y\r\n z\n\r\n",
        OK + b"X: y\r\n" + b" z\r\n" * 200 + b"\r\n",
        OK + b"X: y\r\n" + b" z\r\n" * 50_000,
        OK + b"X: y\rz\r\n\r\n",
        OK + b" X: y\r\n\r\n",
        CHUNKED + b"x\r\n",
        CHUNKED + b"5 5\r\n",
        CHUNKED + b" \r\n",
        CHUNKED + b"5 x\r\n",
        CHUNKED + b"5\r\n\r\nhello",
        CHUNKED + b" " * 10_000 + b"5",
        CHUNKED + b"0\r\n X: y\r\n\r\n",
        CHUNKED + b"0\r\nX y: z\r\n\r\n",
        CHUNKED + b"5\r\nhelloX",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000,  # no recursion
        b"HTTP/1.1 100 Continue\r\n\r\nGARBAGE\r\n\r\n",
        OK + b"X: " + b"y" * 100_000,
        OK + b"X: y\r\n" * 101,
        b"HTTP/1.1 200 " + b"x" * 10_000,
    ],
)
def test_refused(data: bytes) -> None:
    for pieces in ([data], in_bytes(data[:200_000])):
        with pytest.raises(RemoteProtocolError):
            read_response(pieces)


def test_folded_lines_are_one_value() -> None:
    data = OK + b"X: a,\r\n\tb \r\n  c\r\nSet-Cookie \t: d=e\r\nContent-Length: 0\r\n\r\n"
    for pieces in ([data], in_bytes(data), *in_two(data)):
        head, _, _ = read_response(pieces)
        assert head is not None
        assert head.fields == [("X", "a, b  c"), ("Set-Cookie", "d=e"), ("Content-Length", "0")]


def test_many_blanks_are_read_in_time_that_grows_with_them() -> None:
    """As many as fit: a pattern that tries each of them as a beginning would take minutes."""
    blanks = b" " * 60_000
    for data in (OK + b"X: y" + blanks + b"z\r\n\r\n", OK + b"X: y\r\n" + blanks + b"z\r\nA:" + blanks + b"\r\n\r\n"):
        head, _, _ = read_response([data], limits=Limits(header_bytes=200_000))
        assert head is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX:",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Content-Length: 5\r\n\r\n",
        CHUNKED,
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_truncated(data: bytes) -> None:
    """A response that the end of the connection cuts off is never taken for a whole one."""
    if not data or data.endswith(b"Continue\r\n\r\n"):
        head, body, reader = read_response([data], is_over=True)
        assert (head, body, reader.keep_alive) == (None, None, False)
        return
    for pieces in ([data], in_bytes(data)):
        with pytest.raises(RemoteProtocolError):
            read_response(pieces, is_over=True)


@pytest.mark.parametrize("first_line", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"])
def test_a_body_that_ends_with_the_connection(first_line: bytes) -> None:
    data = first_line + b"\r\nhello\r\n0\r\n\r\n"
    for pieces in ([data], in_bytes(data)):
        head, body, reader = read_response(pieces)
        assert head is not None
        assert not head.keep_alive
        assert body is None
        head, body, reader = read_response(pieces, is_over=True)
        assert body == b"hello\r\n0\r\n\r\n"
        assert not reader.keep_alive


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_head_has_no_body(framing: bytes) -> None:
    head, body, reader = read_response([OK + framing + b"\r\n"], "HEAD")
    assert head is not None
    assert body == b""
    assert reader.keep_alive


def test_a_tunnel() -> None:
    head, body, reader = read_response([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother bytes"], "CONNECT")
    assert head is not None
    assert (body, reader.leftover) == (b"", b"other bytes")
    assert read_response([b"HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx"], "CONNECT")[1] == b"x"


def test_switching_protocols_leaves_the_rest_alone() -> None:
    head, body, reader = read_response([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x00GET"])
    assert head is not None
    assert head.status == 101
    assert (body, reader.leftover) == (b"", b"\x81\x00GET")


def test_bytes_behind_a_response_spoil_its_connection() -> None:
    """Nobody asked for them, so they may be the answer to somebody else's request."""
    _, body, reader = read_response([OK + b"Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n"])
    assert body == b"x"
    assert not reader.keep_alive
    assert reader.leftover == b"HTTP/1.1 200 OK\r\n"


def test_events() -> None:
    reader = ResponseReader("GET", Limits())
    reader.feed(OK + b"Set-Cookie: a\r\nset-cookie: b\r\nContent-Length: 2\r\n\r\nx")
    head = reader.next()
    assert head.fields == [("Set-Cookie", "a"), ("set-cookie", "b"), ("Content-Length", "2")]  # type: ignore[union-attr]
    assert header_value(head, "set-cookie") == "a"  # type: ignore[arg-type]
    assert header_value(head, "x", "none") == "none"  # type: ignore[arg-type]
    assert reader.next() == Data(b"x")
    assert reader.next() is None
    assert not reader.is_between
    reader.feed(b"y")
    assert reader.next() == Data(b"y")
    assert not reader.is_between
    assert reader.next() is END
    assert reader.is_between
    assert repr(END) == "END"
