"""Streams to servers: what is sent at once, what waits, and how they end."""

from __future__ import annotations

import _socket
import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ConnectFailed, ConnectionFailed, ConnectTimeout, NameNotFound, PeerClosed
from skitai.net import connect as connecting
from skitai.net.channel import PlainChannel
from skitai.net.stream import HIGH_WATER, Stream


class Listener:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.errors: list[ConnectionFailed | None] = []
        self.lost = Event()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: ConnectionFailed | None) -> None:
        self.errors.append(error)
        self.lost.set()


@pytest.fixture
def pair() -> Iterator[tuple[Stream, Listener, Any]]:
    """A stream, its receiver, and the socket of its peer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        ours = _socket.socket()
        ours.connect(server.getsockname())
        ours.setblocking(False)
        theirs, _ = server.accept()
    receiver = Listener()
    stream = Stream(PlainChannel(ours), receiver)
    yield stream, receiver, theirs
    stream.close()
    theirs.close()


def read(sock: Any, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += sock.recv(65536)
    return bytes(data)


def test_a_small_write_goes_out_at_once(pair: Any) -> None:
    stream, _, peer = pair
    stream.write(b"abc")
    assert stream.unsent == 0
    assert peer.recv(10) == b"abc"


def test_what_the_socket_does_not_take_goes_out_in_order_later(pair: Any) -> None:
    stream, receiver, peer = pair
    pieces = [bytes([n]) * 3_000_000 for n in range(4)]
    for piece in pieces:
        stream.write(piece)
    assert stream.unsent > 0
    assert read(peer, 12_000_000) == b"".join(pieces)
    gevent.sleep(0)
    assert stream.unsent == 0
    stream.write(b"end")
    assert peer.recv(10) == b"end"
    assert receiver.errors == []


def test_a_writer_waits_while_too_much_is_unsent(pair: Any) -> None:
    stream, _, peer = pair
    seen = []

    def write() -> None:
        for _ in range(40):
            stream.write(b"x" * 1_000_000)
            stream.wait_until_drained()
            seen.append(stream.unsent)

    writer = gevent.spawn(write)
    assert len(read(peer, 40_000_000)) == 40_000_000
    writer.join()
    assert len(seen) == 40
    assert max(seen) <= HIGH_WATER


def test_a_writer_that_waits_goes_on_when_the_stream_ends(pair: Any) -> None:
    stream, _, _ = pair
    stream.write(b"x" * 20_000_000)
    writer = gevent.spawn(stream.wait_until_drained)
    gevent.sleep(0)
    stream.close()
    writer.join(5)
    assert writer.ready()
    stream.close()


def test_data_and_the_end_are_pushed(pair: Any) -> None:
    stream, receiver, peer = pair
    peer.sendall(b"hello")
    peer.close()
    assert receiver.lost.wait(5)
    assert (receiver.data, receiver.errors) == (b"hello", [None])
    assert stream.is_lost
    with pytest.raises(PeerClosed):
        stream.write(b"x")
    assert not stream.is_quiet()
    stream.poll()
    assert receiver.errors == [None]


def test_a_reset_is_an_error_with_its_cause(pair: Any) -> None:
    stream, receiver, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert receiver.lost.wait(5)
    assert isinstance(receiver.errors[0], PeerClosed)
    assert isinstance(receiver.errors[0].__cause__, ConnectionResetError)
    assert "lost" in repr(stream)


def test_writing_on_a_broken_connection_raises_and_sends_nothing(pair: Any) -> None:
    stream, _, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(PeerClosed):
        for _ in range(3):
            stream.write(b"abc")


def test_an_answer_is_read_before_a_broken_write_is_told(pair: Any) -> None:
    stream, receiver, peer = pair
    stream.write(b"x" * 20_000_000)
    peer.sendall(b"stop")
    peer.shutdown(socket.SHUT_WR)
    assert receiver.lost.wait(5)
    assert receiver.data == b"stop"


def test_polling_reads_without_the_hub(pair: Any) -> None:
    stream, receiver, peer = pair
    assert stream.is_quiet()
    peer._sock.send(b"now")  # not cooperative: the hub does not run between these lines
    stream.poll()
    assert receiver.data == b"now"
    peer._sock.send(b"more")
    assert not stream.is_quiet()


def test_an_unexpected_error_of_the_socket(pair: Any) -> None:
    stream, receiver, peer = pair

    def broken(size: int) -> bytes:
        raise OSError(errno.ENETDOWN, "network is down")

    stream._recv = broken
    peer.sendall(b"x")
    assert receiver.lost.wait(5)
    assert type(receiver.errors[0]) is ConnectionFailed
    assert "network is down" in str(receiver.errors[0])


# Connecting


def test_connecting_refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(ConnectFailed, match="Connection refused") as caught:
        connecting.connect("127.0.0.1", port, float("inf"))
    assert isinstance(caught.value.__cause__, OSError)


def test_a_name_without_an_address() -> None:
    with pytest.raises(NameNotFound, match=r"no-such-host\.invalid"):
        connecting.connect("no-such-host.invalid", 80, float("inf"))


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "..", "\x00"])
def test_what_is_no_name(host: str) -> None:
    with pytest.raises(NameNotFound):
        connecting.resolve(host, 80, float("inf"))


def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent.get_hub().resolver, "getaddrinfo", lambda *args: gevent.sleep(10))
    with pytest.raises(ConnectTimeout, match="slow"):
        connecting.resolve("slow.example", 80, 0.0)


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(connecting._socket, "socket", none_left)
    with pytest.raises(ConnectFailed, match="too many open files"):
        connecting.connect("127.0.0.1", 80, float("inf"))


def test_last_words_are_read_when_writing_breaks(pair: Any) -> None:
    """A server that answers 413 and closes breaks our writing; its answer matters more."""
    stream, receiver, peer = pair
    stream.write(b"x" * 20_000_000)
    peer._sock.send(b"413")

    def broken(data: bytes) -> int:
        raise BrokenPipeError(errno.EPIPE, "broken pipe")

    stream._send = broken
    stream._reader.stop()  # the write is seen first
    read(peer, 20_000_000 - stream.unsent)
    assert receiver.lost.wait(5)
    assert receiver.data == b"413"
    assert isinstance(receiver.errors[0], PeerClosed)
    assert "broken pipe" in str(receiver.errors[0])


class Ending:
    """A channel that says with its data that nothing more comes, as TLS may."""

    pending = False

    def __init__(self, sock: Any, unread: bytes = b"") -> None:
        self._socket = sock
        self._unread = unread
        self.fileno = sock.fileno
        self.close = self.drop = sock.close
        self.has_ended = False

    @property
    def has_unread(self) -> bool:
        return bool(self._unread)

    def recv(self, size: int) -> bytes:
        if self.has_ended:
            return b""
        data, self._unread = self._unread or self._socket.recv(size), b""
        self.has_ended = True
        return data

    def send(self, data: Any) -> int:
        return self._socket.send(data)

    def flush(self) -> None:
        """Nothing is pending."""


class Told:
    """A receiver that reads no more after each piece."""

    def __init__(self, pauses: bool = False) -> None:
        self.stream: Any = None
        self.told: list[object] = []
        self.pauses = pauses
        self.has_more = Event()

    def data_received(self, data: bytes) -> None:
        self.told.append(data)
        if self.pauses:
            self.stream.pause()
        self.has_more.set()

    def connection_lost(self, error: object) -> None:
        self.told.append(error)
        self.has_more.set()


def ending(unread: bytes = b"", pauses: bool = False) -> tuple[Any, Told]:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"data")
    ours.setblocking(False)
    told = Told(pauses)
    told.stream = Stream(Ending(ours, unread), told)
    return theirs, told


def test_an_end_that_comes_with_data() -> None:
    theirs, told = ending()
    told.has_more.wait(10)
    assert told.told == [b"data", None]
    assert told.stream.has_ended
    theirs.close()


def test_an_end_that_comes_with_data_waits_until_somebody_reads_again() -> None:
    theirs, told = ending(pauses=True)
    told.has_more.wait(10)
    gevent.sleep(0)
    assert told.told == [b"data"]
    assert told.stream.has_ended and not told.stream.is_lost and not told.stream.is_quiet()
    told.has_more.clear()
    told.stream.resume()
    told.has_more.wait(10)
    assert told.told == [b"data", None]
    theirs.close()


def test_what_was_read_with_the_handshake_is_not_waited_for() -> None:
    theirs, told = ending(unread=b"early")
    told.has_more.wait(10)
    assert told.told == [b"early", None]
    theirs.close()
