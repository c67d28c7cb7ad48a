"""A channel that looks like a socket."""

from __future__ import annotations

import _socket
import ssl
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import trustme

from skitai.net import descriptors
from skitai.net.channel import PlainChannel, TlsChannel
from skitai.net.cooperative import MOST_AT_ONCE, CooperativeSocket


@pytest.fixture
def pair() -> Iterator[tuple[CooperativeSocket, CooperativeSocket]]:
    one, other = _pair()
    sockets = CooperativeSocket(PlainChannel(one)), CooperativeSocket(PlainChannel(other))
    yield sockets
    for each in sockets:
        each.close()


def _pair() -> tuple[Any, Any]:
    one, other = _socket.socketpair()
    made = [_socket.socket(fileno=each.detach()) for each in (one, other)]
    for each in made:
        each.setblocking(False)
    return made[0], made[1]


def test_more_than_a_buffer_goes_through_while_both_wait(pair: tuple[CooperativeSocket, CooperativeSocket]) -> None:
    one, other = pair
    data = bytes(range(256)) * 40_000
    sending = gevent.spawn(one.sendall, data)
    received = bytearray()
    while len(received) < len(data):
        received += other.recv(65536)
    sending.get()
    assert received == data


def test_under_tls() -> None:
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("peer.test").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    mine, theirs = _pair()
    blocking = __import__("socket").socket(fileno=theirs.detach())

    def serve() -> bytes:
        with server_context.wrap_socket(blocking, server_side=True) as sock:
            data = b""
            while len(data) < 300_000:
                data += sock.recv(65536)
            sock.sendall(data)
            return sock.recv(1)

    serving = gevent.spawn(serve)
    channel = TlsChannel(mine, client_context, "peer.test")
    while not channel.shake_hands():
        gevent.sleep(0)
    sock = CooperativeSocket(channel)
    data = b"abc" * 100_000
    sock.sendall(data)
    back = b""
    while len(back) < len(data):
        back += sock.recv(65536)
    assert back == data
    sock.close()
    assert serving.get() == b""


def test_others_have_a_turn_while_nothing_has_to_be_waited_for() -> None:
    class Endless(PlainChannel):
        def __init__(self, sock: Any) -> None:
            super().__init__(sock)
            self.recv = lambda size: bytes(size)
            self.send = len

    mine, theirs = _pair()
    sock = CooperativeSocket(Endless(mine))
    turns: list[int] = []

    def take_turns() -> None:
        while len(turns) < 4:
            turns.append(1)
            gevent.sleep(0)

    waiting = gevent.spawn(take_turns)
    for _ in range(3 * MOST_AT_ONCE // 65536):
        sock.recv(65536)
    read = len(turns)
    assert read >= 2
    sock.sendall(bytes(3 * MOST_AT_ONCE))
    sock.sendall(b"x")
    assert len(turns) > read
    waiting.get()
    sock.close()
    theirs.close()


def test_timeouts(pair: tuple[CooperativeSocket, CooperativeSocket]) -> None:
    one, other = pair
    one.settimeout(0)
    with pytest.raises(BlockingIOError):
        one.recv(1)
    one.settimeout(0.01)
    with pytest.raises(TimeoutError):
        one.recv(1)
    other.sendall(b"x")
    assert one.recv(10) == b"x"
    with pytest.raises(TimeoutError):
        one.sendall(bytes(10_000_000))


def test_into_a_buffer(pair: tuple[CooperativeSocket, CooperativeSocket]) -> None:
    one, other = pair
    other.sendall(b"abc")
    buffer = bytearray(10)
    assert (one.recv_into(buffer), bytes(buffer[:3])) == (3, b"abc")


def test_a_channel_that_gives_more_than_was_asked_for() -> None:
    class Generous(PlainChannel):
        def __init__(self, sock: Any) -> None:
            super().__init__(sock)
            self.recv = lambda size: sock.recv(100)

    mine, theirs = _pair()
    one, other = CooperativeSocket(Generous(mine)), CooperativeSocket(PlainChannel(theirs))
    other.sendall(b"abcdefgh")
    assert one.recv(3) == b"abc"
    assert one.pending() == 5
    buffer = bytearray(2)
    assert (one.recv_into(buffer), buffer) == (2, b"de")
    assert (one.recv(100), one.pending()) == (b"fgh", 0)
    one.close()
    assert other.recv(1) == b""
    other.close()


def test_who_waits_sees_that_it_was_shut_down(pair: tuple[CooperativeSocket, CooperativeSocket]) -> None:
    one, _ = pair
    waiting = gevent.spawn(one.recv, 10)
    gevent.sleep(0)
    descriptors.shut_down(one.fileno())
    assert waiting.get() == b""


@pytest.mark.parametrize("timeout", [None, 10])
def test_who_waits_sees_that_it_was_closed(
    pair: tuple[CooperativeSocket, CooperativeSocket], timeout: float | None
) -> None:
    one, other = pair
    one.settimeout(timeout)
    waiting = gevent.spawn(one.recv, 10)
    gevent.sleep(0)
    one.close()
    one.close()
    assert one.is_closed and one.fileno() == -1
    with pytest.raises(OSError, match="closed"):
        waiting.get()
    assert other.recv(1) == b""
    assert repr(one) == "<CooperativeSocket -1>"
