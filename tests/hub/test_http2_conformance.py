"""Conformance of the server over sockets, case by case as public suites check it, with TLS and without.

The numbers are those of RFC 9113 (``http2``; some were others in RFC 7540) and RFC 7541 (``hpack``); ``generic`` is
what every server must bear.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from skitai.net.tls import server_context
from skitai.settings import Limits, ServerSettings
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
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Step,
    Wire,
    acknowledged,
    alive,
    answered,
    broken,
    closed,
    continuation,
    data,
    dependency,
    ended,
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
from tests.hub.conftest import Running, make_site

P, FLOW, CLOSED, SIZE, COMPRESSION = (
    PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR,
)  # fmt: skip
#: What the app answers to everything.
BODY = b"hello, world"
#: The greeting of a client.
HELLO = PREFACE + settings() + frame(SETTINGS, ACK)
OPEN = END_HEADERS  # a request whose body is to come
AUTHORITY = section((":authority", "test"))
#: "custom-key" and "custom-value" in Huffman's code (RFC 7541 appendix C.4.3).
KEY, VALUE = bytes.fromhex("25a849e95ba97d7f"), bytes.fromhex("25a849e95bb8e8b4bf")

Case = tuple[str, tuple[Step, ...]]


def cases(scheme: str) -> list[Case]:
    """What is said and what must come of it."""
    by_scheme = b"\x86" if scheme == "http" else b"\x87"
    get = b"\x82" + by_scheme + b"\x84" + AUTHORITY
    post = b"\x83" + by_scheme + b"\x84" + AUTHORITY
    return [
        *_generic(get, post, by_scheme),
        *_connection(get),
        *_streams(get, post),
        *_frames(get, post),
        *_windows(get, post),
        *_messages(get, post, scheme),
        *_compression(get),
    ]


def _generic(get: bytes, post: bytes, by_scheme: bytes) -> list[Case]:
    request = headers(1, get)
    pad = b"\0" * 8
    cookies = section(("x-dummy", "a" * 500))
    return [
        ("generic-1-preface", (alive,)),
        ("generic-2-priority-on-idle", (priority(1), request, answered(1))),
        ("generic-2-window-on-half-closed", (settings((4, 0)), request, window(1, 100), answered(1))),
        ("generic-2-priority-on-half-closed", (request, priority(1), answered(1))),
        ("generic-2-reset-on-half-closed", (settings((4, 0)), request, reset(1), alive)),
        ("generic-2-priority-on-closed", (request, ended(1), priority(1), alive)),
        ("generic-3.1-data", (headers(1, post, OPEN), data(1), answered(1))),
        ("generic-3.1-more-data", (headers(1, post, OPEN), data(1, b"x", 0), data(1), answered(1))),
        (
            "generic-3.1-padded-data",
            (headers(1, post, OPEN), frame(DATA, END_STREAM | PADDED, 1, b"\x08test" + pad), answered(1)),
        ),
        ("generic-3.2-headers", (request, answered(1))),
        (
            "generic-3.2-padded",
            (headers(1, b"\x08" + get + pad, PADDED | END_HEADERS | END_STREAM), answered(1)),
        ),
        (
            "generic-3.2-with-priority",
            (headers(1, dependency() + get, WITH_PRIORITY | END_HEADERS | END_STREAM), answered(1)),
        ),
        (
            "generic-3.2-padded-with-priority",
            (
                headers(1, b"\x08" + dependency(3, 255, True) + get + pad, 0x2D),
                answered(1),
            ),
        ),
        ("generic-3.3-weight-1", (request, priority(1, 0, 0), answered(1))),
        ("generic-3.3-weight-256", (request, priority(1, 0, 255), answered(1))),
        ("generic-3.3-dependency", (priority(3, 1), request, priority(1, 5), answered(1))),
        ("generic-3.3-exclusive", (request, priority(3, 1, 15, True), answered(1))),
        ("generic-3.3-idle-then-a-lower-number", (priority(5), request, answered(1))),
        ("generic-3.4-reset", (headers(1, post, OPEN), reset(1), alive)),
        ("generic-3.5-settings", (settings((1, 4096), (3, 100), (4, 65_535), (5, MOST)), acknowledged, alive)),
        ("generic-3.7-ping", (alive,)),
        ("generic-3.8-goaway", (goaway(), ping(), closed)),
        ("generic-3.9-window-of-connection", (window(0, 1), request, answered(1))),
        ("generic-3.9-window-of-stream", (settings((4, 0)), request, window(1, 12), answered(1))),
        ("generic-3.10-continuation", (headers(1, get, END_STREAM), continuation(1, cookies), answered(1))),
        (
            "generic-3.10-continuations",
            (
                headers(1, get, END_STREAM),
                continuation(1, cookies, 0),
                continuation(1, b"", 0),
                continuation(1, cookies),
                answered(1),
            ),
        ),
        ("generic-4-get", (request, answered(1))),
        ("generic-4-head", (headers(1, b"\x02\x04HEAD" + get[1:]), _empty_answer)),
        ("generic-4-post", (headers(1, post, OPEN), data(1), answered(1))),
        (
            "generic-4-post-with-trailers",
            (headers(1, post, OPEN), data(1, b"test", 0), headers(1, section(("x-sum", "1"))), answered(1)),
        ),
        *[
            (f"generic-5-{name}", (headers(1, get + representation), answered(1)))
            for name, representation in {
                "indexed": b"\x90",
                "incremental-indexed-name": integer(58, 6, 0x40) + string("skitai"),
                "incremental-indexed-name-huffman": integer(58, 6, 0x40) + string(VALUE, True),
                "incremental-new-name": b"\x40" + string("custom-key") + string("custom-value"),
                "incremental-new-name-huffman": b"\x40" + string(KEY, True) + string(VALUE, True),
                "without-indexed-name": integer(58, 4) + string("skitai"),
                "without-indexed-name-huffman": integer(58, 4) + string(VALUE, True),
                "without-new-name": b"\0" + string("custom-key") + string("custom-value"),
                "without-new-name-huffman": b"\0" + string(KEY, True) + string(VALUE, True),
                "never-indexed-name": integer(58, 4, 0x10) + string("skitai"),
                "never-indexed-name-huffman": integer(58, 4, 0x10) + string(VALUE, True),
                "never-new-name": b"\x10" + string("custom-key") + string("custom-value"),
                "never-new-name-huffman": b"\x10" + string(KEY, True) + string(VALUE, True),
                "of-the-table": b"\x40" + string("custom-key") + string("custom-value") + integer(62, 7, 0x80),
            }.items()
        ],
        ("generic-5-table-size", (headers(1, integer(128, 5, 0x20) + get), answered(1))),
        (
            "generic-5-table-sizes",
            (
                headers(1, integer(128, 5, 0x20) + integer(4096, 5, 0x20) + get),
                answered(1),
                headers(3, get),
                answered(3),
            ),
        ),
    ]


def _empty_answer(wire: Wire) -> None:
    found = wire.until(lambda each: each.kind == HEADERS and each.stream == 1, "response")
    assert found.flags & END_STREAM and found.payload.startswith(b"\x88"), wire.frames
    alive(wire)


def _connection(get: bytes) -> list[Case]:
    """Sections 3.4 to 4.3."""
    request, rest = headers(1, get), 0x16
    return [
        ("http2-3.4-settings-first", (_settings_first,)),
        ("http2-4.1-unknown-frame", (frame(rest, 0xFF, 0, b"?" * 8), frame(0xFF, 0, 9, b""), alive)),
        ("http2-4.1-undefined-flags", (ping(b"12345678", rest), _pong, alive)),
        ("http2-4.1-reserved-bit", (frame(PING, 0, 1 << 31, b"12345678"), _pong, alive)),
        (
            "http2-4.2-largest-data",
            (headers(1, b"\x83" + get[1:], OPEN), data(1, b"x" * MOST), answered(1)),
        ),
        (
            "http2-4.2-data-too-large",
            (headers(1, b"\x83" + get[1:], OPEN), data(1, b"x" * (MOST + 1)), broken(SIZE)),
        ),
        ("http2-4.2-headers-too-large", (headers(1, get + section(("x", "a" * MOST))), broken(SIZE))),
        ("http2-4.2-settings-too-large", (frame(SETTINGS, 0, 0, b"", 6 * 4096), broken(SIZE))),
        ("http2-4.3-section-that-is-none", (headers(1, get + b"\0\x7f\xff\xff\xff\xff"), broken(COMPRESSION))),
        (
            "http2-4.3-priority-inside-a-section",
            (headers(1, get, END_STREAM), priority(1), continuation(1, b""), broken(P)),
        ),
        (
            "http2-4.3-other-headers-inside-a-section",
            (headers(1, get, END_STREAM), headers(3, get), broken(P)),
        ),
        ("http2-5.5-unknown-frame-twice", (frame(rest, 0, 0, b""), frame(rest, 0, 0, b"x"), request, answered(1))),
        (
            "http2-5.5-unknown-frame-inside-a-section",
            (headers(1, get, END_STREAM), frame(rest, 0, 0, b"?" * 8), broken(P)),
        ),
    ]


def _settings_first(wire: Wire) -> None:
    alive(wire)
    first = wire.frames[0]
    assert first.kind == SETTINGS and not first.flags & ACK and first.stream == 0


def _pong(wire: Wire) -> None:
    found = wire.until(lambda each: each.kind == PING, "answer to PING")
    assert found == (PING, ACK, 0, b"12345678")


def _streams(get: bytes, post: bytes) -> list[Case]:
    """Sections 5.1 to 5.4."""
    request, upload = headers(1, get), headers(1, post, OPEN)
    over = (request, ended(1))
    return [
        ("http2-5.1-idle-data", (data(1), broken(P))),
        ("http2-5.1-idle-reset", (reset(1), broken(P))),
        ("http2-5.1-idle-window", (window(1, 100), broken(P))),
        ("http2-5.1-idle-continuation", (continuation(1, get), broken(P))),
        ("http2-5.1-half-closed-data", (settings((4, 0)), request, data(1), refused(1, CLOSED))),
        ("http2-5.1-half-closed-headers", (settings((4, 0)), request, request, refused(1, CLOSED))),
        ("http2-5.1-half-closed-continuation", (request, continuation(1, get), broken(CLOSED, P))),
        ("http2-5.1-closed-by-reset-data", (upload, reset(1), data(1), refused(1, CLOSED))),
        ("http2-5.1-closed-by-reset-headers", (upload, reset(1), headers(1, get), refused(1, CLOSED))),
        ("http2-5.1-closed-by-reset-continuation", (upload, reset(1), continuation(1, get), broken(CLOSED, P))),
        ("http2-5.1-closed-data", (*over, data(1), refused(1, CLOSED))),
        ("http2-5.1-closed-headers", (*over, request, broken(CLOSED))),
        ("http2-5.1-closed-continuation", (*over, continuation(1, get), broken(CLOSED, P))),
        ("http2-5.1-closed-window-and-reset", (*over, window(1, 9), reset(1), alive)),
        ("http2-5.1.1-even", (headers(2, get), broken(P))),
        ("http2-5.1.1-lower", (headers(5, get), headers(3, get), broken(P))),
        ("http2-5.1.1-lower-after-the-end", (headers(5, get), ended(5), headers(3, get), broken(P))),
        (
            "http2-5.1.2-one-stream-too-many",
            (
                settings((4, 0)),
                *[headers(each, get) for each in range(1, 259, 2)],
                only_refused(257, REFUSED_STREAM, P),
            ),
        ),
        (
            "http2-5.3.1-headers-on-itself",
            (headers(1, dependency(1) + get, WITH_PRIORITY | END_HEADERS | END_STREAM), refused(1, P)),
        ),
        ("http2-5.3.1-priority-on-itself", (priority(2, 2), refused(2, P))),
        ("http2-5.4.1-it-is-closed", (frame(PING, 0, 3, b"12345678"), closed)),
        ("http2-5.4.1-goaway-before", (request, ended(1), frame(PING, 0, 3, b"12345678"), _last_was_1)),
    ]


def _last_was_1(wire: Wire) -> None:
    broken(P)(wire)
    assert wire.frames[-1].payload[:4] == number(1)


def _frames(get: bytes, post: bytes) -> list[Case]:
    """Sections 6.1 to 6.8 and 6.10, and section 7."""
    request, upload = headers(1, get), headers(1, post, OPEN)
    part = headers(1, get, END_STREAM)
    return [
        ("http2-6.1-stream-0", (data(0), broken(P))),
        ("http2-6.1-not-open", (request, ended(1), data(1), refused(1, CLOSED))),
        ("http2-6.1-padding", (upload, frame(DATA, END_STREAM | PADDED, 1, b"\x05test"), broken(P))),
        ("http2-6.1-padding-without-a-length", (upload, frame(DATA, END_STREAM | PADDED, 1), broken(SIZE, P))),
        ("http2-6.2-no-end-and-priority", (part, priority(1), broken(P))),
        ("http2-6.2-no-end-and-other-headers", (part, headers(3, get), broken(P))),
        ("http2-6.2-stream-0", (headers(0, get), broken(P))),
        (
            "http2-6.2-padding",
            (headers(1, bytes((len(get) + 1,)) + get, PADDED | END_HEADERS | END_STREAM), broken(P)),
        ),
        (
            "http2-6.2-padding-over-the-priority",
            (headers(1, bytes((len(get) + 5,)) + dependency() + get, 0x2D), broken(P)),
        ),
        ("http2-6.2-too-short-for-its-priority", (headers(1, b"\0\0\0", 0x25), broken(SIZE, P))),
        ("http2-6.3-stream-0", (priority(0), broken(P))),
        ("http2-6.3-length", (request, frame(PRIORITY, 0, 1, b"1234"), refused(1, SIZE))),
        ("http2-6.4-stream-0", (reset(0), broken(P))),
        ("http2-6.4-idle", (reset(1), broken(P))),
        ("http2-6.4-length", (upload, frame(RST_STREAM, 0, 1, b"123"), broken(SIZE))),
        ("http2-6.5-ack-with-payload", (frame(SETTINGS, ACK, 0, b"\0"), broken(SIZE))),
        ("http2-6.5-on-a-stream", (frame(SETTINGS, 0, 1, settings((3, 100))[9:]), broken(P))),
        ("http2-6.5-length", (frame(SETTINGS, 0, 0, b"123"), broken(SIZE))),
        ("http2-6.5.2-push", (settings((2, 2)), broken(P))),
        ("http2-6.5.2-window", (settings((4, LARGEST + 1)), broken(FLOW))),
        ("http2-6.5.2-frame-too-small", (settings((5, MOST - 1)), broken(P))),
        ("http2-6.5.2-frame-too-large", (settings((5, 1 << 24)), broken(P))),
        ("http2-6.5.2-unknown", (settings((0xFF, 1)), acknowledged, alive)),
        ("http2-6.5.3-in-order", (settings((4, 100), (4, 1)), acknowledged, request, got(1, 1), reset(1), alive)),
        ("http2-6.5.3-in-order-invalid-first", (settings((4, LARGEST + 1), (4, 1)), broken(FLOW))),
        ("http2-6.5.3-acknowledged", (settings(), acknowledged, alive)),
        ("http2-6.7-answered", (ping(), _pong, alive)),
        ("http2-6.7-ack", (ping(b"not this", ACK), ping(), _pong, alive)),
        ("http2-6.7-on-a-stream", (frame(PING, 0, 1, b"12345678"), broken(P))),
        ("http2-6.7-length", (frame(PING, 0, 0, b"123456"), broken(SIZE))),
        ("http2-6.8-on-a-stream", (frame(GOAWAY, 0, 1, bytes(8)), broken(P))),
        ("http2-6.8-streams-go-on", (upload, goaway(), data(1), ended(1), closed, _was_answered)),
        ("http2-6.10-several", (part, continuation(1, b"", 0), continuation(1, section(("x", "1"))), answered(1))),
        ("http2-6.10-and-data", (part, continuation(1, b"", 0), data(1), broken(P))),
        ("http2-6.10-stream-0", (part, continuation(0, b""), broken(P))),
        ("http2-6.10-other-stream", (part, continuation(3, b""), broken(P))),
        ("http2-6.10-after-the-end", (request, continuation(1, b""), broken(P, CLOSED))),
        ("http2-6.10-after-its-own-end", (part, continuation(1, b""), continuation(1, b""), broken(P, CLOSED))),
        ("http2-6.10-after-data", (upload, data(1, b"x", 0), continuation(1, b""), broken(P))),
        ("http2-7-unknown-code-of-goaway", (goaway(0, 0xFF), closed, _in_peace)),
        ("http2-7-unknown-code-of-reset", (upload, reset(1, 0xFF), alive)),
        ("http2-8.4-push-promise", (request, frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + get), broken(P))),
    ]


def _was_answered(wire: Wire) -> None:
    assert b"".join([each.payload for each in wire.frames if each.kind == DATA]) == BODY


def _in_peace(wire: Wire) -> None:
    assert [each.payload[4:8] for each in wire.frames if each.kind == GOAWAY] == [number(0)]


def _windows(get: bytes, post: bytes) -> list[Case]:
    """Section 6.9."""
    request = headers(1, get)
    return [
        ("http2-6.9-0-of-connection", (window(0, 0), broken(P))),
        ("http2-6.9-0-of-stream", (settings((4, 0)), request, window(1, 0), only_refused(1, P))),
        ("http2-6.9-length", (frame(WINDOW_UPDATE, 0, 0, b"123"), broken(SIZE))),
        (
            "http2-6.9-length-on-a-stream",
            (settings((4, 0)), request, frame(WINDOW_UPDATE, 0, 1, b"12345"), broken(SIZE)),
        ),
        (
            "http2-6.9.1-of-1",
            (settings((4, 1)), request, got(1, 1), window(1, 3), got(1, 3), window(1, 99), answered_rest),
        ),
        ("http2-6.9.1-of-connection", (settings(), window(0, LARGEST), window(0, LARGEST), broken(FLOW))),
        (
            "http2-6.9.1-of-stream",
            (headers(1, post, OPEN), window(1, LARGEST), window(1, LARGEST), only_refused(1, FLOW)),
        ),
        (
            "http2-6.9.2-changed",
            (settings((4, 0)), request, acknowledged, settings((4, 1)), got(1, 1), reset(1), alive),
        ),
        (
            "http2-6.9.2-negative",
            (
                settings((4, 3)),
                request,
                got(1, 3),
                settings((4, 2)),
                acknowledged,
                alive,
                window(1, 1),
                window(1, 1),
                got(1, 1),
                reset(1),
                alive,
            ),
        ),
        ("http2-6.9.2-too-large", (request, settings((4, LARGEST + 1)), broken(FLOW))),
        (
            "http2-6.9.2-too-large-with-its-updates",
            (settings((4, 0)), request, window(1, LARGEST), settings((4, 1)), broken(FLOW)),
        ),
    ]


def answered_rest(wire: Wire) -> None:
    ended(1)(wire)
    _was_answered(wire)
    alive(wire)


def _messages(get: bytes, post: bytes, scheme: str) -> list[Case]:
    """Section 8."""
    method, path, authority = (":method", "GET"), (":path", "/"), (":authority", "test")
    by = (":scheme", scheme)
    upload = headers(1, post, OPEN)
    malformed = {
        "8.2.1-upper-case": [method, by, path, authority, ("X-Name", "a")],
        "8.2.1-control": [method, by, path, authority, ("x-name", "a\r\nb: c")],
        "8.2.2-connection": [method, by, path, authority, ("connection", "keep-alive")],
        "8.2.2-upgrade": [method, by, path, authority, ("upgrade", "h2c")],
        "8.2.2-transfer-encoding": [method, by, path, authority, ("transfer-encoding", "chunked")],
        "8.2.2-te": [method, by, path, authority, ("trailers", "x"), ("te", "trailers, deflate;q=0.5")],
        "8.3-unknown": [method, by, path, authority, (":test", "ok")],
        "8.3-of-a-response": [method, by, path, authority, (":status", "200")],
        "8.3-behind-a-field": [method, by, authority, ("x-name", "a"), path],
        "8.3.1-empty-path": [method, by, (":path", ""), authority],
        "8.3.1-no-method": [by, path, authority],
        "8.3.1-no-scheme": [method, path, authority],
        "8.3.1-no-path": [method, by, authority],
        "8.3.1-two-methods": [method, method, by, path, authority],
        "8.3.1-two-schemes": [method, by, by, path, authority],
        "8.3.1-two-paths": [method, by, path, path, authority],
        "8.1.1-length-without-a-body": [method, by, path, authority, ("content-length", "1")],
    }
    return [
        *[
            (f"http2-{name}", (headers(1, section(*fields)), only_refused(1, P), headers(3, get), answered(3)))
            for name, fields in malformed.items()
        ],
        ("http2-8.1-headers-again", (upload, headers(1, section(("x", "1")), OPEN), refused(1, P))),
        ("http2-8.1-request-again", (upload, headers(1, post, OPEN), refused(1, P))),
        (
            "http2-8.3-in-trailers",
            (upload, data(1, b"test", 0), headers(1, section(method)), only_refused(1, P)),
        ),
        (
            "http2-8.1.1-length",
            (headers(1, post + section(("content-length", "1")), OPEN), data(1), only_refused(1, P)),
        ),
        (
            "http2-8.1.1-length-of-several",
            (
                headers(1, post + section(("content-length", "1")), OPEN),
                data(1, b"test", 0),
                data(1),
                only_refused(1, P),
            ),
        ),
        (
            "http2-8.1.1-too-short",
            (headers(1, post + section(("content-length", "9")), OPEN), data(1), only_refused(1, P)),
        ),
    ]


def _compression(get: bytes) -> list[Case]:
    """RFC 7541."""

    def case(name: str, content: bytes) -> Case:
        return f"hpack-{name}", (headers(1, content), broken(COMPRESSION))

    return [
        case("2.3.3-indexed", get + integer(70, 7, 0x80)),
        case("2.3.3-literal", get + integer(70, 6, 0x40) + string("x")),
        case("2.3.3-empty-table", get + integer(62, 7, 0x80)),
        case("4.2-at-the-end", get + integer(1, 5, 0x20)),
        case("5.1-no-end", get + b"\xff" + b"\x80" * 20),
        case("5.2-padding-of-8-bits", get + b"\0" + string("x") + string(VALUE + b"\xff", True)),
        case("5.2-padding-of-zeros", get + b"\0" + string("x") + string(b"\x1c\x64\x08", True)),
        case("5.2-end-of-string", get + b"\0" + string("x") + string(b"\xff\xff\xff\xff" + VALUE, True)),
        case("5.2-cut", get + b"\0" + string("x") + b"\x09four"),
        case("6.1-0", get + b"\x80"),
        case("6.3-too-large", integer(4097, 5, 0x20) + get),
    ]


# The servers


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    return server_context(str(path))


@pytest.fixture(scope="module")
def plain_server() -> Iterator[Running]:
    running = Running(make_site(app), ServerSettings(limits=Limits()), None, "127.0.0.1")
    yield running
    running.end()


@pytest.fixture(scope="module")
def tls_server(tls: ssl.SSLContext) -> Iterator[Running]:
    running = Running(make_site(app), ServerSettings(limits=Limits()), tls, "127.0.0.1")
    yield running
    running.end()


def encrypted(sock: socket.socket, *protocols: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(sock)


def _ids(given: list[Case]) -> Any:
    return [pytest.param(steps, id=name) for name, steps in given]


@pytest.mark.row("H2-02")
@pytest.mark.parametrize("steps", _ids(cases("http")))
def test_by_prior_knowledge(plain_server: Running, steps: tuple[Step, ...]) -> None:
    with socket.create_connection((plain_server.host, plain_server.port)) as sock:
        play(Wire(sock, HELLO), steps)
    _is_in_peace(plain_server)


@pytest.mark.row("H2-01")
@pytest.mark.parametrize("steps", _ids(cases("https")))
def test_by_alpn(tls_server: Running, steps: tuple[Step, ...]) -> None:
    with encrypted(socket.create_connection((tls_server.host, tls_server.port)), "h2", "http/1.1") as sock:
        play(Wire(sock, HELLO), steps)
    _is_in_peace(tls_server)


def _is_in_peace(server: Running) -> None:
    """What clients do wrong is no fault of ours, and of no app."""
    assert "Traceback" not in server.messages_text() + server.app_text()


#: Where HTTP/1.1 is spoken as well, none of these is a request that could be answered in it.
BAD = {
    "words": b"INVALID CONNECTION PREFACE\r\n\r\n",
    "other-end": PREFACE[:-1] + b"!",
    "no-end": PREFACE[:16] + b"Host: test\r\n\r\n",
    "no-settings": PREFACE + ping(),
    "acknowledged-only": PREFACE + frame(SETTINGS, ACK),
}


@pytest.mark.row("H2-02")
@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
def test_3_4_a_preface_that_is_none_on_a_port_that_speaks_http1_too(plain_server: Running, said: bytes) -> None:
    with socket.create_connection((plain_server.host, plain_server.port)) as sock:
        wire = Wire(sock, said)
        if said.startswith(PREFACE[:16]):
            broken(P)(wire)
        else:
            assert wire.is_closed() and not wire.frames


@pytest.mark.row("H2-01")
@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
def test_3_4_a_preface_that_is_none_where_http2_was_agreed(tls_server: Running, said: bytes) -> None:
    with encrypted(socket.create_connection((tls_server.host, tls_server.port)), "h2") as sock:
        broken(P)(Wire(sock, said))
