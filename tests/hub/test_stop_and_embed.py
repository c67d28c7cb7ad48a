"""How a server ends, and a server inside somebody else's process."""

from __future__ import annotations

import io
import socket
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ConfigurationError
from skitai.hub import make_server
from skitai.hub.binding import bind
from skitai.settings import Limits, ServerSettings


class Slow:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.go = Event()
        self.began = Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.began.set()
            self.go.wait()
        start_response("200 OK", [])
        return [b"done"]


SLOW = "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n"


def test_a_stop_lets_requests_in_flight_end(serve):
    app = Slow()
    server = serve(app)
    client = server.connect().send(SLOW)
    app.began.wait(5)
    stopping = gevent.spawn(server.server.stop, 10)
    with pytest.raises(OSError):
        for _ in range(1000):
            server.connect().close()
            gevent.sleep(0.002)
    assert not stopping.ready()
    app.go.set()
    response = client.read()
    assert (response.status, response.body, response.get("Connection")) == (200, b"done", "close")
    client.expect_end()
    stopping.get(timeout=5)


def test_a_stop_closes_idle_connections_at_once(serve):
    server = serve(Slow(), limits={"keep_alive": 60})
    clients = [server.connect() for _ in range(3)]
    for each in clients[:2]:
        assert each.request().status == 200
    stopping = gevent.spawn(server.server.stop, 10)
    for each in clients:
        each.expect_end()
        each.close()
    stopping.get(timeout=5)


def test_a_stop_does_not_wait_for_clients_that_forget_to_close(serve):
    server = serve(Slow(), limits={"keep_alive": 60})
    client = server.connect()
    assert client.request().status == 200
    with gevent.Timeout(5):
        server.server.stop(60)


def test_a_request_that_was_sent_before_the_stop_is_answered(serve):
    """It is in the socket's buffer, and the server has not looked."""
    server = serve(Slow(), limits={"keep_alive": 60})
    client = server.connect()
    assert client.request().status == 200
    client.sock.setblocking(False)
    client.sock.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.sock.settimeout(5)
    stopping = gevent.spawn(server.server.stop, 10)
    assert client.read().get("Connection") == "close"
    stopping.get(timeout=5)


def test_a_stop_waits_for_a_streamed_response(serve):
    go = Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        go.wait()
        yield b"two"

    server = serve(app)
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    stopping = gevent.spawn(server.server.stop, 10)
    gevent.sleep(0.05)
    go.set()
    assert client.read_rest() == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    stopping.get(timeout=5)


def test_the_grace_is_bounded(serve):
    app = Slow()
    server = serve(app)
    client = server.connect().send(SLOW)
    app.began.wait(5)
    with gevent.Timeout(5):
        server.server.stop(0.1)
    assert server.server.connections == 0
    assert client.read_rest() == b""
    app.go.set()


def test_a_request_half_sent_is_answered_while_there_is_grace(serve):
    server = serve(Slow())
    client = server.connect().send("GET / HTTP/1.1\r\n")
    gevent.sleep(0.01)
    stopping = gevent.spawn(server.server.stop, 10)
    gevent.sleep(0.05)
    client.send("Host: test\r\n\r\n")
    assert client.read().get("Connection") == "close"
    client.expect_end()
    stopping.get(timeout=5)


def test_serve_forever_ends_with_stop(serve):
    server = serve(Slow())
    serving = gevent.spawn(server.server.serve_forever)
    server.server.stop(1)
    serving.get(timeout=5)
    server.server.stop(1)  # a second one changes nothing


# make_server


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello " + environ["SERVER_PORT"].encode()]


def get(port: int, target: str = "/") -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        data = b""
        while part := sock.recv(65536):
            data += part
        return data


def test_make_server_with_an_address_and_logs():
    log, error_log = io.StringIO(), io.StringIO()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/bad":
            raise ValueError("oops")
        return hello(environ, start_response)

    server = make_server(("127.0.0.1", 0), app, log, error_log)
    server.start()
    assert get(server.server_port).endswith(b"hello %d" % server.server_port)
    assert b" 500 " in get(server.server_port, "/bad")
    server.stop()
    assert "GET / HTTP/1.0 200" in log.getvalue() and "GET /bad HTTP/1.0 500" in log.getvalue()
    assert "ValueError" in error_log.getvalue() and "ValueError" not in log.getvalue()
    with pytest.raises(ConnectionRefusedError):
        get(server.server_port)


def test_make_server_with_a_bound_socket():
    sock = bind("127.0.0.1", 0)[0]
    port = sock.getsockname()[1]
    server = make_server(sock, hello)
    assert server.server_port == port
    server.start()
    assert get(port).endswith(b"hello %d" % port)
    server.stop()


def test_make_server_over_ipv6():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = make_server(("::1", 0), hello)
    except OSError:
        pytest.skip("no IPv6 here")
    server.start()
    with socket.create_connection(("::1", server.server_port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        assert b"hello" in sock.recv(65536)
    server.stop()


def test_make_server_over_a_unix_socket(tmp_path):
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    server = make_server(listener, hello)
    server.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"hello" in sock.recv(65536)
    server.stop()


def test_several_servers_in_one_process():
    servers = [make_server(("127.0.0.1", 0), hello) for _ in range(3)]
    for each in servers:
        each.start()
    for each in servers:
        assert get(each.server_port).endswith(b"hello %d" % each.server_port)
    servers[0].stop()
    assert get(servers[1].server_port)
    for each in servers[1:]:
        each.stop()


def test_a_new_server_on_the_port_of_one_that_stopped():
    port = 0
    for _ in range(3):
        server = make_server(("127.0.0.1", port), hello)
        port = server.server_port
        server.start()
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"hello" in client.recv(65536)
        server.stop()
        client.close()


def test_a_taken_address_is_an_error():
    sock = bind("127.0.0.1", 0)[0]
    with sock, pytest.raises(ConfigurationError, match="already in use"):
        make_server(("127.0.0.1", sock.getsockname()[1]), hello)


def test_serve_forever_of_an_embedded_server():
    server = make_server(("127.0.0.1", 0), hello, settings=ServerSettings(threads=2, limits=Limits(queue=1)))
    serving = gevent.spawn(server.serve_forever)
    gevent.sleep(0)
    assert get(server.server_port)
    server.stop()
    serving.get(timeout=5)


def test_a_server_that_was_never_started_can_be_stopped():
    server = make_server(("127.0.0.1", 0), hello)
    server.stop()
    make_server(("127.0.0.1", server.server_port), hello).stop()


def test_a_server_can_be_asked_from_inside_its_own_app():
    """The app's greenlet waits, the server goes on."""
    ports: list[int] = []

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/outer":
            start_response("200 OK", [])
            return [get(ports[0], "/inner")]
        return hello(environ, start_response)

    server = make_server(("127.0.0.1", 0), app)
    ports.append(server.server_port)
    server.start()
    assert get(ports[0], "/outer").endswith(b"hello %d" % ports[0])
    server.stop()
