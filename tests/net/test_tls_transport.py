"""The server's transport under TLS, with the input cut everywhere."""

from __future__ import annotations

import _socket
import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import pytest
import trustme

from skitai.net import transport
from skitai.net.transport import PlainHttp, TlsTransport

authority = trustme.CA()


@pytest.fixture(autouse=True)
def _no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests have no loop whose turns could bound the steps."""
    monkeypatch.setattr(transport._steps, "take", lambda: True)


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(made)
    return made


@cache
def trusting(version: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(made)
    made.minimum_version = made.maximum_version = version
    return made


class Pair:
    """A transport and its client, who speaks from memory."""

    def __init__(self, context: ssl.SSLContext, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        ours, self.sock = _socket.socketpair()
        ours.setblocking(False)
        self.sock.setblocking(False)
        self.transport = TlsTransport(ours, context)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.engine = trusting(version).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def deliver(self, cut: int) -> list[bytes]:
        """Send what the client has said in pieces of ``cut`` bytes; return what the transport makes of it."""
        data = self.outgoing.read()
        found = []
        for start in range(0, len(data), cut):
            self.sock.send(data[start : start + cut])
            with suppress(BlockingIOError):
                found.append(self.transport.recv(transport.READ_SIZE))
        return found

    def take(self) -> None:
        """Let the client have what the transport has sent."""
        with suppress(BlockingIOError):
            self.incoming.write(self.sock.recv(1_000_000))

    def shake_hands(self, cut: int = 1_000_000) -> None:
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                self.engine.do_handshake()
            assert self.deliver(cut) == []
            self.take()
        self.engine.do_handshake()
        assert self.transport.is_ready

    def close(self) -> None:
        self.transport.close()
        self.sock.close()


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def pair(request: pytest.FixtureRequest, context: ssl.SSLContext) -> Iterator[Pair]:
    made = Pair(context, ssl.TLSVersion[request.param])
    yield made
    made.close()


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 1_000])
def test_input_in_pieces(pair: Pair, cut: int) -> None:
    pair.shake_hands(cut)
    for size in (1, 100, 2_000 if cut < 1_000 else 40_000):
        body = os.urandom(size)
        pair.engine.write(body)
        found = pair.deliver(cut)
        assert b"" not in found
        assert b"".join(found) == body
    assert pair.transport.send(b"answer") == 6
    pair.take()
    assert pair.engine.read(100) == b"answer"


def test_many_records_in_one_piece(pair: Pair) -> None:
    pair.shake_hands()
    for number in range(300):
        pair.engine.write(b"%d," % number)
    assert pair.deliver(1_000_000) == [b"".join(b"%d," % number for number in range(300))]


def test_a_record_and_a_half(pair: Pair) -> None:
    pair.shake_hands()
    pair.engine.write(b"one")
    first = pair.outgoing.read()
    pair.engine.write(b"x" * 3_000)
    second = pair.outgoing.read()
    pair.sock.send(first + second[:-1])
    assert pair.transport.recv(transport.READ_SIZE) == b"one"
    pair.sock.send(second[-1:])
    # One byte came, and it completes three thousand.
    assert pair.transport.recv(transport.READ_SIZE) == b"x" * 3_000


def test_the_end_after_data(pair: Pair) -> None:
    pair.shake_hands()
    pair.engine.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        pair.engine.unwrap()
    pair.sock.send(pair.outgoing.read())
    assert pair.transport.recv(transport.READ_SIZE) == b"last"
    pair.sock.shutdown(_socket.SHUT_WR)
    assert pair.transport.recv(transport.READ_SIZE) == b""


def test_an_end_without_close_notify(pair: Pair) -> None:
    pair.shake_hands()
    pair.sock.shutdown(_socket.SHUT_WR)
    assert pair.transport.recv(transport.READ_SIZE) == b""


def test_an_end_inside_the_handshake(pair: Pair) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.engine.do_handshake()
    pair.sock.send(pair.outgoing.read()[:-1])
    with pytest.raises(BlockingIOError):
        pair.transport.recv(transport.READ_SIZE)
    pair.sock.shutdown(_socket.SHUT_WR)
    with pytest.raises(ssl.SSLError):
        pair.transport.recv(transport.READ_SIZE)


def test_a_client_that_takes_little(pair: Pair) -> None:
    """What was taken is sent once and in order, whatever the socket takes at a time."""
    pair.shake_hands()
    body = os.urandom(3_000_000)
    sent, found = 0, b""
    while len(found) < len(body):
        try:
            sent += pair.transport.send(memoryview(body)[sent:]) if sent < len(body) else 0
            pair.transport.flush()
        except BlockingIOError:
            pass
        pair.take()
        try:
            while part := pair.engine.read(65536):
                found += part
        except ssl.SSLWantReadError:
            pass
    assert found == body
    assert not pair.transport.pending


def test_a_client_that_said_nothing(pair: Pair) -> None:
    tls = pair.transport
    assert not tls.has_begun and not tls.pending and tls.protocol is None and tls.client_certificate == {}
    with pytest.raises(BlockingIOError):
        tls.recv(10)
    with pytest.raises(BlockingIOError):
        tls.send(b"too early")
    tls.flush()
    tls.shutdown()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"P"])
def test_plain_http(pair: Pair, data: bytes) -> None:
    pair.sock.send(data)
    with pytest.raises(PlainHttp):
        pair.transport.recv(transport.READ_SIZE)
    pair.transport.send_in_plain(b"no")
    assert pair.sock.recv(10) == b"no"
