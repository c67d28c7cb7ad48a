"""What becomes of open connections when their server stops: one more answer for those that are idle."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.hub import server as server_module
from skitai.wire.http2 import frames
from skitai.wire.http2.frames import MAX_STREAM
from tests.hub.http2_client import Http2Client

Serve = Callable[..., Any]

#: Seconds of drain that no test waits for.
LONG = 60


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def stop(server: Any, drain: float | None = LONG) -> gevent.Greenlet:
    """Begin to stop; returns when the listening socket is closed."""
    stopping = gevent.spawn(server.server.stop, LONG, drain)
    with pytest.raises(OSError):
        while True:
            server.connect().close()
            gevent.sleep(0.001)
    return stopping


def test_an_idle_connection_gets_one_more_answer_that_says_close(serve: Serve) -> None:
    server = serve(hello, limits={"keep_alive": LONG})
    clients = [server.connect() for _ in range(3)]
    for each in clients:
        assert each.request().get("Connection") != "close"
    stopping = stop(server)
    for each in clients:
        response = each.request()
        assert (response.status, response.body, response.get("Connection")) == (200, b"hello", "close")
        each.expect_end()
        each.close()
    stopping.get(timeout=10)


def test_a_connection_without_any_request_yet_gets_an_answer(serve: Serve) -> None:
    server = serve(hello)
    client = server.connect()
    server.get()
    stopping = stop(server)
    assert client.request().get("Connection") == "close"
    client.expect_end()
    client.close()
    stopping.get(timeout=10)


def test_idle_connections_are_closed_after_the_drain(serve: Serve) -> None:
    server = serve(hello, limits={"keep_alive": LONG})
    client = server.connect()
    client.request()
    stopping = stop(server, 0.01)
    client.expect_end()
    client.close()
    stopping.get(timeout=10)


def test_an_idle_connection_is_closed_by_its_own_time_within_the_drain(serve: Serve) -> None:
    server = serve(hello, limits={"keep_alive": 0.01})
    client = server.connect()
    client.request()
    stopping = stop(server)
    client.expect_end()
    client.close()
    stopping.get(timeout=10)


def test_hastening_ends_the_wait_for_idle_connections(serve: Serve) -> None:
    server = serve(hello, limits={"keep_alive": LONG})
    client = server.connect()
    client.request()
    stopping = stop(server)
    server.server.hasten()
    client.expect_end()
    client.close()
    stopping.get(timeout=10)


@pytest.mark.parametrize("body", [b"", b"x" * 1000, b"x" * 200_000])
def test_a_request_that_arrives_as_the_drain_ends_is_answered(serve: Serve, monkeypatch: Any, body: bytes) -> None:
    """It is in the buffer of the socket when the connection is about to be closed."""

    def length(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"%d" % len(environ["wsgi.input"].read())]

    server = serve(length, limits={"keep_alive": LONG})
    client = server.connect()
    client.request()
    close_if_idle = server_module.Server._close_if_idle
    has_begun = Event()

    def late(self: Any, connection: Any) -> None:
        has_begun.set()
        client.sock.setblocking(False)
        client.sock.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:1000])
        client.sock.settimeout(10)
        close_if_idle(self, connection)

    monkeypatch.setattr(server_module.Server, "_close_if_idle", late)
    stopping = stop(server, 0.01)
    assert has_begun.wait(10)
    client.send(body[1000:])
    response = client.read()
    assert (response.body, response.get("Connection")) == (b"%d" % len(body), "close")
    client.close()
    stopping.get(timeout=10)


def test_clients_that_wait_to_be_accepted_are_served(serve: Serve) -> None:
    """More of them than are accepted in one turn; the server has not looked since they came."""
    server = serve(hello)
    socks = []
    for _ in range(100):
        sock = socket.socket()
        sock.setblocking(False)  # so that no turn of the loop comes between
        with pytest.raises(BlockingIOError):
            sock.connect((server.host, server.port))
        socks.append(sock)
    stopping = gevent.spawn(server.server.stop, LONG, LONG)
    for sock in socks:
        sock.settimeout(10)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    for sock in socks:
        with sock, sock.makefile("rb") as file:
            assert file.readline() == b"HTTP/1.1 200 OK\r\n"
    stopping.get(timeout=10)


# HTTP/2: RFC 9113 section 6.8


def test_http2_is_told_in_two_steps(serve: Serve) -> None:
    server = serve(hello)
    client = Http2Client(server.connect().sock)
    assert client.request().status == 200
    stopping = stop(server)
    crossing = client.open()  # it has not read that the server stops
    assert client.finish(crossing).status == 200
    client.until_closed()
    assert [each.last for each in client.goodbyes] == [MAX_STREAM, crossing]
    stopping.get(timeout=10)


def test_http2_without_a_request_yet_is_told_too(serve: Serve) -> None:
    server = serve(hello)
    client = Http2Client(server.connect().sock)
    client.until(lambda: client.engine.has_settings)
    stopping = stop(server)
    crossing = client.open()
    assert client.finish(crossing).status == 200
    client.until_closed()
    assert [each.last for each in client.goodbyes] == [MAX_STREAM, crossing]
    stopping.get(timeout=10)


def test_http2_that_answers_no_ping_is_not_waited_for(serve: Serve) -> None:
    server = serve(hello)
    client = Http2Client(server.connect().sock)
    assert client.request().status == 200
    stopping = stop(server)
    data = b""
    while part := client.sock.recv(65_536):  # reads, and says nothing
        data += part
    assert data.endswith(frames.goaway(1, 0))
    assert frames.goaway(MAX_STREAM, 0) in data
    client.sock.close()
    stopping.get(timeout=10)


def test_http2_that_begins_while_the_server_stops_gets_one_answer(serve: Serve) -> None:
    server = serve(hello)
    sock = server.connect().sock
    server.get()
    stopping = stop(server)
    client = Http2Client(sock)
    assert client.request().status == 200
    client.until_closed()
    assert [each.last for each in client.goodbyes] == [1]
    stopping.get(timeout=10)
