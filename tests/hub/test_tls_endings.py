"""Clients that say close_notify in one piece with their request (RFC 8446 section 6.1), and wait for the server's."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event

from skitai.hub.connection import Connection
from skitai.net.tls import server_context as make_context
from skitai.net.transport import PlainTransport


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body) + 1))])
    return [b"<" + body]


def say(port: int, authority: trustme.CA, version: ssl.TLSVersion, data: bytes) -> bytes:
    """What a server answers that is told ``data`` and the end of it in one piece, until it ends the connection."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        while True:
            try:
                engine.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        for start in range(0, len(data), 10_000):
            engine.write(data[start : start + 10_000])
        with pytest.raises(ssl.SSLWantReadError):
            engine.unwrap()
        sock.sendall(outgoing.read())  # the end of the handshake, the data and close_notify
        received = b""
        while piece := sock.recv(65536):  # a server that does not see the end keeps the connection
            received += piece
        incoming.write(received)
    answer = b""
    try:
        while part := engine.read(65536):
            answer += part
    except (ssl.SSLZeroReturnError, ssl.SSLWantReadError):
        pass
    return answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_a_request_and_the_end(serve, server_context, authority, version, size) -> None:
    port = serve(echo, tls=server_context, limits={"keep_alive": 60}).port
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    answer = say(port, authority, version, request)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n<" + b"x" * size)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_several_requests_and_the_end(serve, server_context, authority, version) -> None:
    port = serve(echo, tls=server_context, limits={"keep_alive": 60}).port
    answer = say(port, authority, version, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_half_a_request_and_the_end(serve, server_context, authority, version) -> None:
    """Nobody waits for the rest of it."""
    port = serve(echo, tls=server_context, limits={"header_time": 60, "body_time": 60}).port
    assert b" 200 " not in say(port, authority, version, b"GET / HTTP/1.1\r\nHost: local")
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf"
    assert b" 200 " not in say(port, authority, version, half)


def test_suites(serve, authority, tmp_path) -> None:
    """A client that knows nothing but CBC is refused, one with AEAD gets in."""
    path = str(tmp_path / "server.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    server = serve(echo, tls=make_context(path))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM")
    assert server.connect_tls(context).request().status == 200
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA")
    with pytest.raises(ssl.SSLError):
        server.connect_tls(context)


class Reader:
    """A session that reads only when it is told to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.told: list[str] = []
        self.has_more = Event()

    def receive(self, data: bytes) -> None:
        self.told.append(data.decode())
        self.connection.pause()
        self.has_more.set()

    def end_of_input(self) -> None:
        self.told.append("the end")
        self.has_more.set()

    def closed(self) -> None:
        self.told.append("closed")


def test_an_end_waits_until_somebody_reads_again(serve, server_context) -> None:
    """As that of TCP does, which nobody sees who does not read."""

    class Ending(PlainTransport):
        """Says with what it reads that nothing more comes, as TLS may."""

        __slots__ = ("has_ended",)

        def __init__(self, sock: Any) -> None:
            super().__init__(sock)
            self.has_ended = False
            self.recv = self._recv

        def _recv(self, size: int) -> bytes:
            self.has_ended = True
            return self._socket.recv(size)

    ours, theirs = socket.socketpair()
    theirs.sendall(b"data")
    ours.setblocking(False)
    server = serve(echo).server
    connection = Connection(server, Ending(ours), ("127.0.0.1", 1), server._listeners[0], 1)
    session: Any = Reader(connection)
    connection.start(session)
    session.has_more.wait(10)
    gevent.sleep(0)
    assert session.told == ["data"]
    session.has_more.clear()
    connection.resume()
    session.has_more.wait(10)
    assert session.told == ["data", "the end"]
    connection.abort()
    theirs.close()
