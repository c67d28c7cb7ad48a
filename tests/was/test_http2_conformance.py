"""Conformance of the client over sockets, case by case: a server that does each wrong thing once, with TLS and without.

Whatever it does, the call has a result, the server is told what was wrong, and the next call is answered.
The numbers are those of RFC 9113 (``http2``) and RFC 7541 (``hpack``).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Literal

import pytest
import trustme
from gevent.event import AsyncResult

from skitai import was
from skitai.errors import ConnectionFailed, RemoteProtocolError
from tests.http2_wire import (
    ACK,
    COMPRESSION_ERROR,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    LARGEST,
    MOST,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Step,
    Wire,
    acknowledged,
    alive,
    broken,
    closed,
    continuation,
    data,
    dependency,
    frame,
    goaway,
    got,
    headers,
    integer,
    number,
    only_refused,
    ping,
    play,
    priority,
    refused,
    reset,
    section,
    settings,
    string,
    window,
)

from .conftest import Link, Peers

P, FLOW, CLOSED, SIZE, COMPRESSION = (
    PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR,
)  # fmt: skip
OK = b"\x88"
HEAD = headers(1, OK, END_HEADERS)
FINE = HEAD + data(1, b"fine")
#: "custom-value" in Huffman's code (RFC 7541 appendix C.4.3).
VALUE = bytes.fromhex("25a849e95bb8e8b4bf")

Outcome = Literal["fine", "failed", "either"]
Case = tuple[str, Outcome, tuple[Step, ...]]


def cases() -> list[Case]:
    return [*_connection(), *_streams(), *_frames(), *_windows(), *_messages(), *_compression()]


def _connection() -> list[Case]:
    """Sections 3.4 to 4.3."""
    rest = 0x16
    return [
        ("http2-3.4-preface-and-settings", "fine", (_greeted, FINE, alive)),
        ("http2-4.1-unknown-frame", "fine", (frame(rest, 0xFF, 0, b"?" * 8), frame(0xFF, 0, 9, b""), alive, FINE)),
        ("http2-4.1-undefined-flags", "fine", (ping(b"12345678", rest), _pong, FINE)),
        ("http2-4.1-reserved-bit", "fine", (frame(PING, 0, 1 << 31, b"12345678"), _pong, FINE)),
        ("http2-4.2-largest-data", "either", (HEAD, data(1, b"x" * MOST), alive)),
        ("http2-4.2-data-too-large", "failed", (HEAD, data(1, b"x" * (MOST + 1)), broken(SIZE))),
        ("http2-4.2-headers-too-large", "failed", (headers(1, OK + section(("x", "a" * MOST))), broken(SIZE))),
        ("http2-4.3-section-that-is-none", "failed", (headers(1, b"\0\x7f\xff\xff\xff\xff"), broken(COMPRESSION))),
        (
            "http2-4.3-priority-inside-a-section",
            "failed",
            (headers(1, OK, END_STREAM), priority(1), continuation(1, b""), broken(P)),
        ),
        ("http2-4.3-headers-inside-a-section", "failed", (headers(1, OK, END_STREAM), headers(3, OK), broken(P))),
        ("http2-5.5-unknown-frame-inside-a-section", "failed", (headers(1, OK, 0), frame(rest, 0, 0, b"?"), broken(P))),
    ]


def _greeted(wire: Wire) -> None:
    alive(wire)
    first = wire.frames[0]
    assert first.kind == SETTINGS and not first.flags & ACK
    assert any(each.kind == SETTINGS and each.flags & ACK for each in wire.frames)


def _pong(wire: Wire) -> None:
    found = wire.until(lambda each: each.kind == PING, "answer to PING")
    assert found == (PING, ACK, 0, b"12345678")


def _streams() -> list[Case]:
    """Sections 5.1 to 5.4."""
    return [
        ("http2-5.1-idle-data", "failed", (data(3), broken(P))),
        ("http2-5.1-idle-data-of-ours", "failed", (data(2), broken(P))),
        ("http2-5.1-idle-headers", "failed", (headers(3, OK), broken(P))),
        ("http2-5.1-idle-reset", "failed", (reset(3), broken(P))),
        ("http2-5.1-idle-reset-of-ours", "failed", (reset(2), broken(P))),
        ("http2-5.1-idle-window", "failed", (window(3, 100), broken(P))),
        ("http2-5.1-idle-window-of-ours", "failed", (window(2, 100), broken(P))),
        ("http2-5.1-idle-continuation", "failed", (continuation(1, OK), broken(P))),
        ("http2-5.1-idle-priority", "fine", (priority(3), priority(2, 1), FINE, alive)),
        ("http2-5.1-closed-data", "fine", (FINE, data(1), refused(1, CLOSED))),
        ("http2-5.1-closed-headers", "fine", (FINE, headers(1, OK), refused(1, CLOSED))),
        ("http2-5.1-closed-continuation", "fine", (FINE, continuation(1, b""), broken(CLOSED, P))),
        ("http2-5.1-closed-window-and-reset", "fine", (FINE, window(1, 9), reset(1, 0), priority(1), alive)),
        ("http2-5.1-closed-by-reset-data", "failed", (reset(1), data(1), refused(1, CLOSED))),
        ("http2-5.1-closed-by-reset-headers", "failed", (reset(1), headers(1, OK), refused(1, CLOSED))),
        ("http2-5.1.1-even", "failed", (headers(2, OK), broken(P))),
        (
            "http2-5.3.1-headers-on-itself",
            "failed",
            (headers(1, dependency(1) + OK, WITH_PRIORITY | END_HEADERS | END_STREAM), refused(1, P)),
        ),
        ("http2-5.3.1-priority-on-itself", "failed", (priority(1, 1), refused(1, P))),
        ("http2-5.4.1-goaway-and-end", "failed", (frame(PING, 0, 3, b"12345678"), broken(P))),
    ]


def _frames() -> list[Case]:
    """Sections 6.1 to 6.8 and 6.10, and section 7."""
    part = headers(1, OK, END_STREAM)
    return [
        ("http2-6.1-stream-0", "failed", (HEAD, data(0), broken(P))),
        ("http2-6.1-padded", "fine", (HEAD, frame(DATA, END_STREAM | PADDED, 1, b"\x02fine\0\0"), alive)),
        ("http2-6.1-padding", "failed", (HEAD, frame(DATA, END_STREAM | PADDED, 1, b"\x05test"), broken(P))),
        ("http2-6.2-no-end-and-priority", "failed", (part, priority(1), broken(P))),
        ("http2-6.2-no-end-and-other-headers", "failed", (part, headers(3, OK), broken(P))),
        (
            "http2-6.2-padded",
            "fine",
            (headers(1, b"\x02" + OK + b"\0\0", PADDED | END_HEADERS), data(1, b"fine"), alive),
        ),
        ("http2-6.2-with-priority", "fine", (headers(1, dependency() + OK, 0x24), data(1, b"fine"), alive)),
        ("http2-6.2-stream-0", "failed", (headers(0, OK), broken(P))),
        ("http2-6.2-padding", "failed", (headers(1, b"\x02" + OK, PADDED | END_HEADERS | END_STREAM), broken(P))),
        ("http2-6.2-padding-over-the-priority", "failed", (headers(1, b"\x06" + dependency() + OK, 0x2D), broken(P))),
        ("http2-6.3-stream-0", "failed", (priority(0), broken(P))),
        ("http2-6.3-length", "failed", (frame(PRIORITY, 0, 1, b"1234"), refused(1, SIZE))),
        ("http2-6.4-stream-0", "failed", (reset(0), broken(P))),
        ("http2-6.4-length", "failed", (frame(RST_STREAM, 0, 1, b"123"), broken(SIZE))),
        ("http2-6.5-ack-with-payload", "failed", (frame(SETTINGS, ACK, 0, b"\0"), broken(SIZE))),
        ("http2-6.5-on-a-stream", "failed", (frame(SETTINGS, 0, 1, settings((3, 100))[9:]), broken(P))),
        ("http2-6.5-length", "failed", (frame(SETTINGS, 0, 0, b"123"), broken(SIZE))),
        ("http2-6.5.2-push-2", "failed", (settings((2, 2)), broken(P))),
        ("http2-6.5.2-push-of-a-server", "failed", (settings((2, 1)), broken(P))),
        ("http2-6.5.2-window", "failed", (settings((4, LARGEST + 1)), broken(FLOW))),
        ("http2-6.5.2-frame-too-small", "failed", (settings((5, MOST - 1)), broken(P))),
        ("http2-6.5.2-frame-too-large", "failed", (settings((5, 1 << 24)), broken(P))),
        ("http2-6.5.2-unknown", "fine", (settings((0xFF, 1)), acknowledged, alive, FINE)),
        ("http2-6.5.2-no-streams-for-a-while", "fine", (settings((3, 0)), acknowledged, FINE, settings((3, 9)), alive)),
        ("http2-6.5.3-acknowledged", "fine", (settings(), acknowledged, FINE)),
        ("http2-6.6-push-promise", "failed", (frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + b"\x82"), broken(P))),
        ("http2-6.7-answered", "fine", (ping(), _pong, FINE)),
        ("http2-6.7-ack", "fine", (ping(b"not this", ACK), ping(), _pong, FINE)),
        ("http2-6.7-on-a-stream", "failed", (frame(PING, 0, 1, b"12345678"), broken(P))),
        ("http2-6.7-length", "failed", (frame(PING, 0, 0, b"123456"), broken(SIZE))),
        ("http2-6.8-on-a-stream", "failed", (frame(GOAWAY, 0, 1, bytes(8)), broken(P))),
        ("http2-6.8-streams-go-on", "fine", (goaway(1), FINE, closed)),
        ("http2-6.8-and-what-was-not-looked-at-goes-elsewhere", "fine", (goaway(0), closed)),
        (
            "http2-6.10-several",
            "fine",
            (headers(1, OK, 0), continuation(1, b"", 0), continuation(1, b""), data(1, b"fine")),
        ),
        ("http2-6.10-and-data", "failed", (headers(1, OK, 0), continuation(1, b"", 0), data(1), broken(P))),
        ("http2-6.10-stream-0", "failed", (part, continuation(0, b""), broken(P))),
        ("http2-6.10-after-the-end", "either", (headers(1, OK), continuation(1, b""), broken(P, CLOSED))),
        ("http2-6.10-after-its-own-end", "failed", (headers(1, OK, 0), *[continuation(1, b"")] * 2, broken(P, CLOSED))),
        ("http2-6.10-after-data", "failed", (HEAD, data(1, b"x", 0), continuation(1, b""), broken(P))),
        ("http2-7-unknown-code-of-goaway", "fine", (goaway(1, 0xFF), FINE, closed)),
        ("http2-7-unknown-code-of-reset", "failed", (reset(1, 0xFF), alive)),
    ]


def _windows() -> list[Case]:
    """Section 6.9."""
    return [
        ("http2-6.9-0-of-connection", "failed", (window(0, 0), broken(P))),
        ("http2-6.9-0-of-stream", "failed", (window(1, 0), only_refused(1, P))),
        ("http2-6.9-length", "failed", (frame(WINDOW_UPDATE, 0, 0, b"123"), broken(SIZE))),
        ("http2-6.9-length-on-a-stream", "failed", (frame(WINDOW_UPDATE, 0, 1, b"12345"), broken(SIZE))),
        ("http2-6.9.1-of-connection", "failed", (window(0, LARGEST), broken(FLOW))),
        ("http2-6.9.1-of-stream", "failed", (window(1, LARGEST), only_refused(1, FLOW))),
        ("http2-6.9.1-more-than-ours", "failed", (HEAD, *[data(1, b"x" * MOST, 0)] * 3, _leave_window_shut, alive)),
        ("http2-6.9.2-too-large", "failed", (settings((4, LARGEST + 1)), broken(FLOW))),
        (
            "http2-6.9.2-too-large-with-its-updates",
            "failed",
            (window(1, LARGEST - 65_535), settings((4, 65_536)), broken(FLOW)),
        ),
    ]


def _leave_window_shut(wire: Wire) -> None:
    wire.send(reset(1))


def _messages() -> list[Case]:
    """Section 8."""
    status = (":status", "200")
    malformed = {
        "8.2.1-upper-case": [status, ("X-Name", "a")],
        "8.2.1-control": [status, ("x-name", "a\r\nb: c")],
        "8.2.2-connection": [status, ("connection", "keep-alive")],
        "8.2.2-transfer-encoding": [status, ("transfer-encoding", "chunked")],
        "8.3-unknown": [status, (":test", "ok")],
        "8.3-of-a-request": [status, (":path", "/")],
        "8.3-behind-a-field": [("x-name", "a"), status],
        "8.3.2-none": [("x-name", "a")],
        "8.3.2-two": [status, status],
        "8.3.2-not-a-number": [(":status", "2xx")],
        "8.6-switching": [(":status", "101")],
        "8.1.1-length-without-a-body": [status, ("content-length", "4")],
        "8.1.1-two-lengths": [status, ("content-length", "0"), ("content-length", "1")],
    }
    length = section(("content-length", "1"))
    return [
        *[
            (f"http2-{name}", "failed", (headers(1, section(*fields)), only_refused(1, P)))
            for name, fields in malformed.items()
        ],
        ("http2-8.1-interim", "fine", (headers(1, section((":status", "103")), END_HEADERS), FINE, alive)),
        ("http2-8.1-interim-that-ends", "failed", (headers(1, section((":status", "103"))), refused(1, P))),
        ("http2-8.1-data-first", "failed", (data(1), refused(1, P))),
        ("http2-8.1-head-again", "failed", (HEAD, HEAD, refused(1, P))),
        ("http2-8.1-trailers", "fine", (HEAD, data(1, b"fine", 0), headers(1, section(("x-sum", "1"))), alive)),
        (
            "http2-8.1-trailers-that-do-not-end",
            "failed",
            (HEAD, headers(1, section(("x", "1")), END_HEADERS), refused(1, P)),
        ),
        ("http2-8.3-in-trailers", "failed", (HEAD, data(1, b"x", 0), headers(1, OK), only_refused(1, P))),
        ("http2-8.1.1-length", "failed", (headers(1, OK + length, END_HEADERS), data(1), only_refused(1, P))),
        (
            "http2-8.1.1-length-of-several",
            "failed",
            (headers(1, OK + length, END_HEADERS), data(1, b"x", 0), data(1), only_refused(1, P)),
        ),
        ("http2-8.1.1-too-short", "failed", (headers(1, OK + length, END_HEADERS), data(1, b""), only_refused(1, P))),
    ]


def _compression() -> list[Case]:
    """RFC 7541."""

    def case(name: str, content: bytes) -> Case:
        return f"hpack-{name}", "failed", (headers(1, content), broken(COMPRESSION))

    return [
        case("2.3.3-indexed", OK + integer(70, 7, 0x80)),
        case("2.3.3-literal", OK + integer(70, 6, 0x40) + string("x")),
        case("4.2-at-the-end", OK + integer(1, 5, 0x20)),
        case("5.2-padding-of-8-bits", OK + b"\0" + string("x") + string(VALUE + b"\xff", True)),
        case("5.2-padding-of-zeros", OK + b"\0" + string("x") + string(b"\x1c\x64\x08", True)),
        case("5.2-end-of-string", OK + b"\0" + string("x") + string(b"\xff\xff\xff\xff" + VALUE, True)),
        case("6.1-0", OK + b"\x80"),
        case("6.3-too-large", integer(4097, 5, 0x20) + OK),
        ("hpack-6.3-smaller", "fine", (headers(1, integer(0, 5, 0x20) + OK, END_HEADERS), data(1, b"fine"), alive)),
    ]


# The servers


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


class Once:
    """What a server does: the steps of a case with one request, and a good answer to all others.

    Args:
        steps: of the case. hello: the SETTINGS of the first connection. before: requests before that one.

    Attributes:
        outcome: of the steps.
    """

    def __init__(self, steps: tuple[Step, ...], hello: bytes = settings(), before: int = 0) -> None:
        self._steps: tuple[Step, ...] | None = steps
        self._hello = hello
        self._before = before
        self.outcome: AsyncResult[None] = AsyncResult()

    def __call__(self, link: Link) -> None:
        wire = Wire(link._socket, self._hello + frame(SETTINGS, ACK))
        wire.skip(PREFACE)
        self._hello = settings()
        while (found := wire.next()) is not None:
            if found.kind != HEADERS:
                continue
            self._before -= 1
            if self._steps is None or self._before >= 0:
                wire.send(headers(found.stream, OK, END_HEADERS) + data(found.stream, b"fine"))
                continue
            steps, self._steps = self._steps, None
            try:
                play(wire, steps)
            except BaseException as error:
                self.outcome.set_exception(error)
                raise
            self.outcome.set(None)


@pytest.fixture(params=["h2c", "tls"])
def ask(request: pytest.FixtureRequest, peers: Peers, tls: ssl.SSLContext, ca_file: str) -> Callable[..., Any]:
    """Start a server that plays a case; returns ``get()`` and ``post(body)`` to it."""

    def start(once: Once) -> Callable[..., Any]:
        where = {"ssl_context": tls} if request.param == "tls" else {}
        peer = peers(once, **where)
        options: dict[str, Any] = {"verify": ca_file} if where else {"http2": True}

        def call(body: bytes | None = None) -> Any:
            if body is None:
                return was.get(peer.url(), use_cache=False, **options).getwait(5)
            return was.post(peer.url(), body, headers={"Content-Type": "a/b"}, **options).getwait(5)

        return call

    return start


@pytest.mark.parametrize(
    ("expected", "steps"), [pytest.param(expected, steps, id=name) for name, expected, steps in cases()]
)
def test_what_a_server_does_wrong(
    ask: Callable[..., Any], capfd: pytest.CaptureFixture[str], expected: Outcome, steps: tuple[Step, ...]
) -> None:
    once = Once(steps)
    call = ask(once)
    result = call()
    if expected == "fine":
        assert (result.status, result.data) == (3, b"fine"), result.error
    elif expected == "failed":
        assert result.status == 2 and 700 <= result.code < 800
        assert isinstance(result.error, (ConnectionFailed, RemoteProtocolError)) and str(result.error)
    once.outcome.get(timeout=5)
    again = call()
    assert (again.status, again.data) == (3, b"fine"), again.error
    assert "Traceback" not in "".join(capfd.readouterr())


WINDOWS: dict[str, tuple[int, tuple[Step, ...]]] = {
    "6.9.1": (1, (got(3, 1), window(3, 2), got(3, 2), window(3, 2), got(3, 2))),
    "6.9.2-changed": (0, (settings((4, 1)), got(3, 1), settings((4, 5)), got(3, 4))),
    "6.9.2-negative": (
        3,
        (
            got(3, 3),
            settings((4, 1)),
            acknowledged,
            window(3, 2),
            alive,
            window(3, 1),
            got(3, 1),
            window(3, 1),
            got(3, 1),
        ),
    ),
    "6.5.3-in-order": (LARGEST, (got(3, 5),)),
}


@pytest.mark.parametrize(("size", "steps"), WINDOWS.values(), ids=WINDOWS)
def test_no_more_is_sent_than_the_window(ask: Callable[..., Any], size: int, steps: tuple[Step, ...]) -> None:
    """Section 6.9; the settings of a server are known with its first answer."""
    once = Once((*steps, headers(3, OK, END_HEADERS) + data(3, b"fine")), settings((4, 9), (4, size)), before=1)
    call = ask(once)
    call()
    assert call(b"12345").data == b"fine"
    once.outcome.get(timeout=5)


@pytest.mark.parametrize(
    "hello",
    [
        ping(),
        frame(SETTINGS, ACK),
        settings((4, LARGEST + 1)),
        frame(SETTINGS, 0, 0, b"123"),
        headers(1, OK),
        b"\0" * 9,
    ],
)
def test_3_4_servers_whose_first_words_are_no_settings(ask: Callable[..., Any], hello: bytes) -> None:
    """A server that was only believed to speak HTTP/2 is asked by HTTP/1.1; one that agreed on it has failed."""
    result = ask(Once((), hello))()
    assert result.status == 2 or result.data == b"fine"
