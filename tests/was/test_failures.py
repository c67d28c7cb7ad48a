"""Every way in which a call can fail: a status of 1 or 2, a 7xx code, the first error, and nothing left open."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai import was
from skitai.errors import (
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    LocalProtocolError,
    NameNotFound,
    OperationTimeout,
    PeerClosed,
    ReadTimeout,
    RemoteProtocolError,
    RequestFailed,
    TlsFailed,
    UnknownAlias,
    WriteTimeout,
)
from skitai.net import connect
from skitai.was import _engine, _settings
from skitai.wire.outcomes import BodyTooLarge, UnreadableBody

from .conftest import Link, Peers, Received


def failed(result: Any, code: int, error: type[BaseException]) -> None:
    assert (result.status, result.code, result.status_code) == (2, code, code), result
    assert isinstance(result.error, error)
    assert (result.data, result.content, result.text) == (None, b"", "")
    with pytest.raises(RequestFailed, match=str(code)) as caught:
        result.reraise()
    assert caught.value.__cause__ is result.error


def no_connection_is_left() -> None:
    assert _engine.current().pools == {}


# Before anything is sent


@pytest.mark.row("WAS-RES-15")
def test_refused(peers: Peers) -> None:
    failed(was.get(f"http://{peers.refusing()}/").getwait(5), 714, ConnectFailed)
    no_connection_is_left()


def test_a_name_that_does_not_exist() -> None:
    failed(was.get("http://no-such-host.invalid/").getwait(5), 704, NameNotFound)
    no_connection_is_left()


def test_a_server_that_does_not_accept() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # Fill the backlog: from then on the kernel answers no SYN.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        gevent.sleep(0.01)
        failed(was.get(f"http://127.0.0.1:{address[1]}/", timeout=0.2).getwait(5), 702, ConnectTimeout)
        for filler in fillers:
            filler.close()
    no_connection_is_left()


@pytest.mark.row("WAS-REQ-13")
@pytest.mark.parametrize(
    ("service", "args", "kwargs"),
    [
        ("get", ("nonsense",), {}),
        ("get", ("ftp://127.0.0.1/",), {}),
        ("get", ("http://127.0.0.1/\r\nX: y",), {}),
        ("get", ("http://127.0.0.1/", 5), {}),
        ("post", ("http://127.0.0.1/", object()), {}),
        ("postxml", ("http://127.0.0.1/", {}), {}),
        ("upload", ("http://127.0.0.1/", b"no multipart"), {}),
        ("get", ("http://127.0.0.1/",), {"headers": {"X-A": "a\r\nX-B: b"}}),
        ("get", ("http://127.0.0.1/",), {"headers": {"X A": "a"}}),
        ("get", ("http://127.0.0.1/",), {"headers": {"X-A": "€"}}),
        ("get", ("http://127.0.0.1/",), {"headers": {"Transfer-Encoding": "chunked"}}),
        ("get", ("http://127.0.0.1/",), {"auth": "token"}),
        ("get", ("http://127.0.0.1/",), {"timeout": "long"}),
    ],
)
def test_a_call_that_cannot_be_made(service: str, args: Any, kwargs: Any, capfd: pytest.CaptureFixture[str]) -> None:
    from skitai.net import logs

    failed(getattr(was, service)(*args, **kwargs).getwait(5), 731, Exception)
    logs.current().flush()
    assert f"Request Failed: was.{service}" in capfd.readouterr().out
    no_connection_is_left()


@pytest.mark.row("WAS-GEN-08")
@pytest.mark.parametrize("service", ["get", "post", "upload", "rpc"])
def test_no_target(service: str) -> None:
    with pytest.raises(AssertionError, match="Missing param uri or cluster name"):
        getattr(was, service)()


@pytest.mark.parametrize("service", ["get", "post", "rpc"])
@pytest.mark.parametrize("kind", ["", "lb", "map"])
def test_an_unknown_alias(service: str, kind: str) -> None:
    called = getattr(was, service)
    called = getattr(called, kind) if kind else called
    with pytest.raises(UnknownAlias, match="nope"):
        called("@nope/x").method() if service == "rpc" else called("@nope/x")


# On the way out


def test_a_server_that_takes_nothing(peers: Peers) -> None:
    release = Event()
    peer = peers(lambda link: release.wait())
    result = was.post(peer.url(), b"x" * (32 << 20), timeout=0.3).getwait(10)
    release.set()
    failed(result, 702, WriteTimeout)
    no_connection_is_left()


def test_a_generator_that_fails(peers: Peers) -> None:
    def pieces():
        yield b"a"
        raise ZeroDivisionError

    peer = peers.saying(b"ok")
    failed(was.post(peer.url(), pieces()).getwait(5), 731, ZeroDivisionError)
    no_connection_is_left()


def test_a_file_that_becomes_shorter(peers: Peers, tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    file = path.open("rb")
    started = was.put(peers.saying(b"ok").url(), file)
    path.write_bytes(b"x")
    failed(started.getwait(5), 700, OSError)


def test_an_answer_before_the_body_was_sent(peers: Peers) -> None:
    def refuse(link: Link) -> None:
        link._until(b"\r\n\r\n")
        link.reply(b"too much", "413 Content Too Large", "Connection: close")
        link.wait_for_close()

    peer = peers(refuse)
    result = was.post(peer.url(), b"x" * (8 << 20)).getwait(5)
    assert (result.status, result.code, result.data) == (3, 413, b"too much")
    no_connection_is_left()


# What a broken server says

PIECES = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(0, len(PIECES), 3))
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_ends_at_any_point(peers: Peers, cut: int, how: str) -> None:
    def behave(link: Link) -> None:
        link.read()
        link.send(PIECES[:cut])
        getattr(link, how)()

    failed(was.get(peers(behave).url()).getwait(5), 705, PeerClosed)
    no_connection_is_left()


def test_a_chunked_answer_that_ends_early(peers: Peers) -> None:
    def behave(link: Link) -> None:
        link.read()
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        link.close()

    failed(was.get(peers(behave).url()).getwait(5), 705, PeerClosed)
    no_connection_is_left()


GARBAGE = [
    b"garbage\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
    b"HTTP/1.1 200 OK\r\n X: folded into the status line\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
    b"HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage(peers: Peers, garbage: bytes) -> None:
    def behave(link: Link) -> None:
        link.read()
        link.send(garbage)
        link.wait_for_close()

    failed(was.get(peers(behave).url(), timeout=1).getwait(5), 716, RemoteProtocolError)
    no_connection_is_left()


# Slow servers


@pytest.mark.row("WAS-GEN-14")
def test_a_server_that_never_answers(peers: Peers) -> None:
    peer = peers(lambda link: link.wait_for_close())
    failed(was.get(peer.url(), timeout=0.2).getwait(5), 702, ReadTimeout)
    assert peer.all_closed.wait(5)
    no_connection_is_left()


def test_a_server_that_drips_is_not_silent(peers: Peers) -> None:
    def drip(link: Link) -> None:
        link.read()
        for byte in PIECES:
            link.send(bytes([byte]))
            gevent.sleep(0.01)

    assert was.get(peers(drip).url(), timeout=0.3).getwait(5).data == b"hello"


def test_a_server_that_drips_without_end(peers: Peers) -> None:
    _settings.configure(total_time=0.3)

    def drip(link: Link) -> None:
        link.read()
        link.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            link.send(b"x")
            gevent.sleep(0.02)

    peer = peers(drip)
    failed(was.get(peer.url()).getwait(10), 702, ReadTimeout)
    assert peer.all_closed.wait(5)


# Bodies


def test_a_body_that_does_not_decompress(peers: Peers) -> None:
    peer = peers.saying(b"\x1f\x8bgarbage, by any measure", "200 OK", "Content-Encoding: gzip")
    failed(was.get(peer.url()).getwait(5), 717, UnreadableBody)


@pytest.mark.parametrize("coding", ["compress", "UTF-8", "none", "sdch, x"])
def test_an_answer_with_a_coding_that_is_not_known_is_given_as_it_is(peers: Peers, coding: str) -> None:
    peer = peers.saying(b"\x1f\x8bplain", "200 OK", f"Content-Encoding: {coding}")
    result = was.get(peer.url()).getwait(5)
    assert (result.status, result.content, result.undecoded) == (3, b"\x1f\x8bplain", coding.lower())
    assert was.get(peers.saying(b"x").url()).getwait(5).undecoded == ""


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_holds_up_nobody(peers: Peers, coding: str) -> None:
    """It is decoded in turns: others are answered meanwhile, and its bound ends it."""
    import brotli
    import zstandard

    zeros = b"\0" * (64 << 20)
    pack = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
    packed = pack[coding](zeros) if coding in pack else brotli.compress(zeros, quality=1)
    request = was.get(peers.saying(packed, "200 OK", f"Content-Encoding: {coding}").url())
    other = peers.saying(b"ok")
    answered = 0
    while not request.is_done:
        assert was.get(other.url()).getwait(5).content == b"ok"
        answered += 1
    assert answered >= 2
    failed(request.getwait(5), 718, BodyTooLarge)
    assert "decode_ratio" in str(request.getwait(5).error)


@pytest.mark.parametrize("size", [255_000, 300_000, 3_000_000])
def test_large_answers_come_whole_and_free_their_connection(peers: Peers, size: int) -> None:
    body = b"".join(b'{"id": %d}' % number for number in range(size // 10))
    peer = peers.saying(gzip.compress(body), "200 OK", "Content-Encoding: gzip")
    for _ in range(3):
        assert was.get(peer.url()).getwait(5).content == body
    assert peer.links == 1


def test_a_bomb(peers: Peers) -> None:
    _settings.configure(body_bytes=1 << 20)
    peer = peers.saying(gzip.compress(b"\0" * (32 << 20)), "200 OK", "Content-Encoding: gzip")
    failed(was.get(peer.url()).getwait(5), 718, BodyTooLarge)
    assert peer.links == 1  # the answer came whole: its connection is fit for others


def test_a_body_that_is_too_large(peers: Peers) -> None:
    _settings.configure(body_bytes=1000)
    assert was.get(peers.saying(b"x" * 1000).url()).getwait(5).status == 3
    failed(was.get(peers.saying(b"x" * 1001).url()).getwait(5), 718, BodyTooLarge)

    def endless(link: Link) -> None:
        link.read()
        link.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            link.send(b"x" * 65536)

    peer = peers(endless)
    failed(was.get(peer.url()).getwait(5), 718, BodyTooLarge)
    assert peer.all_closed.wait(5)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_content_codings_are_undone(peers: Peers, coding: str) -> None:
    import zlib

    import brotli
    import zstandard

    squeeze: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }  # fmt: skip
    body = b"hello " * 10_000
    peer = peers.saying(squeeze[coding](body), "200 OK", f"Content-Encoding: {coding}")
    assert was.get(peer.url()).getwait(5).content == body


# Framings that are right

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "code", "body", "kept"),
    [
        (CHUNKED, 200, b"abcde", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PIECES, 200, b"hello", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, b"ab", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", 200, b"ab", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabEXTRA", 200, b"ab", False),
    ],
)  # fmt: skip
def test_framings(peers: Peers, answer: bytes, code: int, body: bytes, kept: bool) -> None:
    peer = peers.http(lambda received, link: link.send(answer))
    for _ in range(2):
        result = was.get(peer.url()).getwait(5)
        assert (result.status, result.code, result.content) == (3, code, body)
    assert peer.links == (1 if kept else 2)


def test_a_body_that_ends_with_its_connection(peers: Peers) -> None:
    def behave(link: Link) -> None:
        link.read()
        link.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert was.get(peers(behave).url()).getwait(5).data == b"all of it"
    no_connection_is_left()


def test_head_has_no_body_whatever_it_says(peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"))
    for _ in range(2):
        assert was.head(peer.url()).getwait(5).content == b""
    assert peer.links == 1


def test_an_upgrade_that_nobody_asked_for_is_not_kept(peers: Peers) -> None:
    peer = peers.http(lambda received, link: link.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"))
    assert was.get(peer.url()).getwait(5).code == 101
    no_connection_is_left()


# Timeouts of waiting


@pytest.mark.row("WAS-RES-14", "WAS-REQ-01")
def test_a_wait_that_times_out(peers: Peers) -> None:
    release = Event()

    def answer(received: Received, link: Link) -> None:
        release.wait()
        link.reply(b"late")

    peer = peers.http(answer)
    request = was.get(peer.url())
    result = request.getwait(0.05)
    assert (result.status, result.code, result.reason, result.data) == (1, 730, "Timeout", None)
    assert request.getwait(5) is result
    with pytest.raises(OperationTimeout, match="730 Timeout"):
        result.reraise()
    release.set()


def test_local_errors_say_who_is_wrong() -> None:
    result = was.get("http://127.0.0.1/", headers={"X": "a\nb"}).getwait(5)
    assert isinstance(result.error, LocalProtocolError)


# TLS


def test_a_server_that_speaks_no_tls(peers: Peers) -> None:
    peer = peers(lambda link: link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    failed(was.get(peer.url().replace("http", "https")).getwait(5), 715, TlsFailed)
    no_connection_is_left()


def test_a_handshake_that_hangs(peers: Peers) -> None:
    peer = peers(lambda link: link.wait_for_close())
    failed(was.get(peer.url().replace("http", "https"), timeout=0.2).getwait(5), 702, ConnectTimeout)
    assert peer.all_closed.wait(5)


def test_names_are_resolved_once_for_a_burst(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = gevent.get_hub()
    asked = []
    real = hub.resolver.getaddrinfo
    monkeypatch.setattr(connect, "_names", {})
    monkeypatch.setattr(hub.resolver, "getaddrinfo", lambda *args: asked.append(args) or real(*args))
    peer = peers.saying(b"ok")
    url = f"http://localhost:{peer.port}/"
    assert was.get(url).getwait(5).status == 3
    _engine.current().close()
    assert was.get(url).getwait(5).status == 3
    assert len(asked) == 1


def test_a_file_of_authorities_that_is_missing() -> None:
    result = was.get("https://127.0.0.1:1/", verify="/no/such/file.pem").getwait(5)
    failed(result, 731, ConfigurationError)
    assert "/no/such/file.pem" in str(result.error)
