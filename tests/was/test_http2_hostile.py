"""Servers of HTTP/2 that mean harm: each call has its result in bounded time, and the next one is none the worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from hpack import Encoder

from skitai import was
from skitai.was import _engine
from skitai.was._context import wasc
from skitai.wire.http2 import frames
from skitai.wire.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    serialize,
)

from .conftest import Link, Peers, until

HELLO = serialize(SETTINGS, 0, 0) + serialize(SETTINGS, ACK, 0)


def section(*fields: tuple[str, str]) -> bytes:
    return bytes(Encoder().encode([(":status", "200"), *fields]))


def setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


OK = section()
HEAD = serialize(HEADERS, END_HEADERS, 1, OK)
#: What the server says, again and again: first once, then for ever.
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "PING": (b"", serialize(PING, 0, 0, b"12345678")),
    "answers to PING": (b"", serialize(PING, ACK, 0, b"12345678")),
    "SETTINGS": (b"", serialize(SETTINGS, 0, 0, setting(4, 1))),
    "unknown SETTINGS": (b"", serialize(SETTINGS, 0, 0, b"".join([setting(n, 1) for n in range(10_000, 12_700)]))),
    "unknown frames": (b"", serialize(0x77, 0, 0, b"x")),
    "empty DATA": (HEAD, serialize(DATA, 0, 1)),
    "CONTINUATION": (serialize(HEADERS, 0, 1, OK), serialize(CONTINUATION, 0, 1, b"\x88" * 100)),
    "a large section": (serialize(HEADERS, 0, 1, OK), serialize(CONTINUATION, 0, 1, section(("x", "y" * 16_000)))),
    "a bomb": (
        serialize(HEADERS, END_HEADERS, 1, OK + b"\x40\x01x\x7f\xbd\x1d" + b"a" * 3_900),
        serialize(HEADERS, END_HEADERS | END_STREAM, 1, b"\xbe" * 16_000),
    ),
    "WINDOW_UPDATE": (b"", serialize(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")),
    "PUSH_PROMISE": (b"", serialize(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + OK)),
    "a body without an end": (HEAD, serialize(DATA, 0, 1, b"x" * 16_000)),
}


def hostile(first: bytes, again: bytes) -> Callable[[Link], None]:
    """A server that does it on its first connection, and answers on all others."""

    links: list[Link] = []

    def behaviour(link: Link) -> None:
        links.append(link)
        link._socket.recv(65_536)
        link.send(HELLO)
        if len(links) > 1:
            link.send(serialize(HEADERS, END_HEADERS, 1, OK) + serialize(DATA, END_STREAM, 1, b"good"))
            while link._socket.recv(65_536):
                pass
            return
        link.send(first)
        while True:
            link.send(again * max(1, 16_384 // len(again)))
            gevent.sleep(0)

    return behaviour


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    wasc.configure(http2=True, body_bytes=10_000_000)
    yield
    until(lambda: all(not each.streams for pool in _engine.current().pools.values() for each in pool._open))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_call_and_harms_no_other(peers: Peers, name: str) -> None:
    peer = peers(hostile(*FLOODS[name]))
    result = was.get(peer.url(), timeout=1).getwait(10)
    assert result.status > 1 or result.code >= 700, result
    if name == "a body without an end":
        assert result.code == 718
        return  # of its connection only one stream was spoilt
    assert was.get(peer.url()).getwait(5).data == b"good"


SILENCES: dict[str, bytes] = {
    "nothing": b"",
    "no room for a body": serialize(SETTINGS, 0, 0, setting(4, 0)),
    "half a head": serialize(HEADERS, 0, 1, OK),
    "half a frame": HEAD[:-1],
    "a head alone": HEAD,
    "half a body": HEAD + serialize(DATA, 0, 1, b"half"),
    "an interim response": serialize(HEADERS, END_HEADERS, 1, bytes(Encoder().encode([(":status", "103")]))),
}


@pytest.mark.parametrize("name", SILENCES)
def test_a_server_that_says_no_more(peers: Peers, name: str) -> None:
    def behaviour(link: Link) -> None:
        link._socket.recv(65_536)
        link.send(HELLO + SILENCES[name])
        while link._socket.recv(65_536):
            pass

    result = was.post(peers(behaviour).url(), b"x" * 500_000, headers={"Content-Type": "a/b"}, timeout=0.3).getwait(5)
    assert (result.status, result.code) == (2, 702)


def test_a_response_that_drips_has_an_end_too(peers: Peers) -> None:
    def behaviour(link: Link) -> None:
        link._socket.recv(65_536)
        link.send(HELLO + HEAD)
        while True:
            link.send(serialize(DATA, 0, 1, b"x"))
            gevent.sleep(0.02)

    wasc.configure(total_time=0.5)
    result = was.get(peers(behaviour).url(), timeout=0.3).getwait(5)
    assert (result.status, result.code) == (2, 702)


def test_interim_responses_without_an_end(peers: Peers) -> None:
    interim = serialize(HEADERS, END_HEADERS, 1, bytes(Encoder().encode([(":status", "103")])))

    def behaviour(link: Link) -> None:
        link._socket.recv(65_536)
        link.send(HELLO)
        while True:
            link.send(interim * 10)
            gevent.sleep(0.01)

    wasc.configure(total_time=0.5)
    assert was.get(peers(behaviour).url(), timeout=0.3).getwait(5).status == 2


@pytest.mark.parametrize("code", [0, 1, 2, 8, 11, 0xFFFF])
def test_resets_and_goodbyes_in_the_middle(peers: Peers, code: int) -> None:
    for said in (serialize(RST_STREAM, 0, 1, code.to_bytes(4, "big")), frames.goaway(0, code), frames.goaway(1, code)):

        def behaviour(link: Link, said: bytes = said) -> None:
            link._socket.recv(65_536)
            link.send(HELLO + HEAD + serialize(DATA, 0, 1, b"half") + said)
            if said[3] == GOAWAY:
                link.close()

        result = was.get(peers(behaviour).url(), timeout=1).getwait(5)
        assert result.status == 2 and result.code in (700, 705), result  # 700: nobody looked at it, they say
