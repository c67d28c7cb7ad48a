"""WebSockets of libraries that know other servers: simple-websocket (Flask-Sock, Socket.IO) and gevent-websocket."""

from __future__ import annotations

import importlib
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
import socketio
import trustme
from flask import Flask, Response, request
from flask_sock import Sock
from flask_socketio import SocketIO
from gevent.event import Event
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.hub.http2_client import Http2Client

Serve = Callable[..., Any]

HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ASKING = [(":protocol", "websocket"), ("sec-websocket-version", "13")]


def talk(port: int, path: str, **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{port}{path}", **{"close_timeout": 5, "proxy": None, "max_size": None} | options)


def sock_app(**options: Any) -> Flask:
    app = Flask(__name__)
    app.config["SOCK_SERVER_OPTIONS"] = options
    sock = Sock(app)

    @sock.route("/echo")
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    @sock.route("/once/<word>")
    def once(ws: Any, word: str) -> None:
        ws.send(f"{word} {request.args.get('q')} {ws.subprotocol}")

    @sock.route("/breaks")
    def breaks(ws: Any) -> None:
        ws.send("before")
        raise ZeroDivisionError("in the middle")

    @app.get("/page")
    def page() -> str:
        return f"a page for {request.headers.get('Upgrade')}"

    @app.get("/stream")
    def stream() -> Response:
        return Response(part for part in ("a", " ", "stream"))

    return app


# Flask-Sock


def test_flask_sock(serve: Serve) -> None:
    running = serve(sock_app())
    with talk(running.port, "/echo") as client:
        for message in ("text", b"bytes", "x" * 3_000_000, ""):
            client.send(message)
            assert client.recv() == message
    with talk(running.port, "/once/word?q=1", subprotocols=["a"]) as client:
        assert client.recv() == "word 1 None"
        with pytest.raises(ConnectionClosed) as raised:
            client.recv()
        assert raised.value.rcvd.code == 1000
    assert "[expt:" not in running.app_text()
    assert "/echo closed" in running.messages_text()


def test_flask_sock_with_pings_and_subprotocols(serve: Serve) -> None:
    running = serve(sock_app(ping_interval=1, subprotocols=["b", "a"]))
    with talk(running.port, "/once/word", subprotocols=["a", "b"]) as client:
        assert client.recv() == "word None a"


def test_a_view_that_breaks(serve: Serve, until: Any) -> None:
    app = sock_app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    running = serve(app)
    with talk(running.port, "/breaks") as client:
        assert client.recv() == "before"
        with pytest.raises(ConnectionClosed):
            client.recv()
    until(lambda: "in the middle" in running.app_text())


def test_many_clients_hold_no_slot(serve: Serve) -> None:
    running = serve(sock_app(), threads=2)
    with ExitStack() as stack:
        clients = [stack.enter_context(talk(running.port, "/echo")) for _ in range(20)]
        assert running.get("/page").status == 200

        def say(number: int) -> bool:
            for count in range(20):
                clients[number].send(f"{number} {count}")
                if clients[number].recv() != f"{number} {count}":
                    return False
            return True

        assert all(each.get(timeout=20) for each in [gevent.spawn(say, number) for number in range(20)])


def test_the_client_goes(serve: Serve, until: Any) -> None:
    left = Event()
    app = sock_app()

    @Sock(app).route("/wait")
    def wait(ws: Any) -> None:
        try:
            ws.receive()
        finally:
            left.set()

    running = serve(app)
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in HANDSHAKE.items())
    for way in ("reset", "close"):
        left.clear()
        client = running.connect()
        client.send(f"GET /wait HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
        assert client.read_head().status == 101
        getattr(client, way)()
        assert left.wait(5)
    until(lambda: running.server.connections == 0)
    assert "[expt:" not in running.app_text()


def test_what_the_client_says_ahead_of_the_answer(serve: Serve) -> None:
    running = serve(sock_app())
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in HANDSHAKE.items())
    client = running.connect()
    client.send(f"GET /echo HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode() + b"\x81\x82\0\0\0\0hi")
    head = client.read_head()
    assert (head.status, head.get("Sec-WebSocket-Accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert client.read_exactly(4) == b"\x81\x02hi"


def test_a_server_that_stops_tells_the_app(serve: Serve) -> None:
    running = serve(sock_app())
    with talk(running.port, "/echo") as client:
        stopping = gevent.spawn(running.server.stop, 5)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    assert stopping.get(timeout=4) is None


def test_over_tls(serve: Serve) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    running = serve(sock_app(), tls=served)
    with connect(f"wss://localhost:{running.port}/echo", ssl=trusting, proxy=None) as client:
        client.send("x" * 1_000_000)
        assert client.recv() == "x" * 1_000_000


def test_over_http2(serve: Serve) -> None:
    running = serve(sock_app())
    client = Http2Client(running.connect().sock)
    stream = client.open("CONNECT", "/echo", ASKING, end=False)
    answer = client.answers[stream]
    client.until(lambda: answer.status)
    assert answer.status == 200
    assert not {"connection", "upgrade", "sec-websocket-accept"} & {name for name, _ in answer.fields}
    for _ in range(3):
        answer.body = b""
        client.send(stream, b"\x81\x82\0\0\0\0hi")
        client.until(lambda: len(answer.body) == 4)
        assert answer.body == b"\x81\x02hi"
    client.send(stream, b"\x88\x82\0\0\0\0\x03\xe8")
    client.until(lambda: answer.has_ended)
    assert client.request("GET", "/page").status == 200
    once = client.open("CONNECT", "/once/word", ASKING, end=False)
    client.until(lambda: client.answers[once].has_ended)
    assert b"word None None" in client.answers[once].body
    client.give_up(once)
    assert client.request("GET", "/page").status == 200


# Views that know nothing of WebSockets


@pytest.mark.parametrize("wrap", [lambda app: app, lambda app: lambda *args: app(*args)])
def test_views_that_know_nothing_answer_as_ever(serve: Serve, wrap: Any) -> None:
    running = serve(wrap(sock_app()))
    client = running.connect()
    assert client.request("GET", "/page", **HANDSHAKE).body == b"a page for None"
    assert client.request("GET", "/stream", **HANDSHAKE).body == b"a stream"
    assert client.request("GET", "/nowhere", **HANDSHAKE).status == 404
    assert client.request("GET", "/page", Origin="http://evil.example", **HANDSHAKE).status == 200
    with talk(running.port, "/echo") as socket:
        socket.send("x")
        assert socket.recv() == "x"
    assert "[expt:" not in running.app_text()


def test_generators_and_write_answer_as_ever(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/write":
            write(b"first, ")
        yield b"then "
        yield b"last"

    client = serve(app).connect()
    assert client.request("GET", "/", **HANDSHAKE).body == b"then last"
    assert client.request("GET", "/write", **HANDSHAKE).body == b"first, then last"
    assert client.request("GET", "/").body == b"then last"


def test_django_bottle_and_falcon_answer_as_ever(serve: Serve) -> None:
    from tests.hub.test_spool import bottle_app, django_app, falcon_app

    for make in (bottle_app, django_app, falcon_app):
        client = serve(make()).connect()
        assert client.request("GET", "/", **HANDSHAKE).status == client.request("GET", "/").status


# What apps may do wrong with the socket


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", 500),
        (b"no response", 500),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: because\r\n\r\nno", 403),
        (b"nonsense\r\n\r\n", 500),
        (b"HTTP/1.1 101 Switching\r\nno colon\r\n\r\n", 500),
    ],
)
def test_an_app_that_opens_nothing(serve: Serve, said: bytes, status: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if "HTTP_UPGRADE" not in environ:
            start_response("200 OK", [])
            return [b"plain"]
        sock = environ["gunicorn.socket"]
        sock.fileno()
        if said:
            sock.send(said)
        return []

    running = serve(app)
    client = running.connect()
    response = client.request("GET", "/", **HANDSHAKE)
    assert response.status == status
    if status == 403:
        assert (response.body, response.get("X-Why")) == (b"no", "because")
    else:
        assert "socket" in running.app_text()
    h2 = Http2Client(running.connect().sock)
    stream = h2.open("CONNECT", "/", ASKING, end=False)
    h2.until(lambda: h2.answers[stream].status)
    assert h2.answers[stream].status == status
    assert running.get().body == b"plain"


def test_a_socket_is_no_way_around_an_answer(serve: Serve) -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.append(environ["gunicorn.socket"])
        kept.append(environ["wsgi.websocket"])
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    client = serve(app).connect()
    assert client.request("GET", "/", **HANDSHAKE).body == b"hello"
    for late in (lambda: kept[0].send(b"x"), lambda: kept[1].send("x"), lambda: kept[1].receive()):
        with pytest.raises(Exception, match="answered"):
            late()
    assert client.request("GET", "/", **HANDSHAKE).body == b"hello"


# gevent-websocket


def test_the_websocket_of_gevent_websocket(serve: Serve) -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        ws = environ["wsgi.websocket"]
        seen.append((ws.path, ws.origin, ws.version, ws.closed))
        while (message := ws.receive()) is not None:
            ws.send(message)
        seen.append(ws.closed)
        return []

    running = serve(app)
    with talk(running.port, "/room", origin="http://elsewhere.example") as client:
        for message in ("text", b"bytes"):
            client.send(message)
            assert client.recv() == message
    assert seen[0] == ("/room", "http://elsewhere.example", "13", False)
    h2 = Http2Client(running.connect().sock)
    stream = h2.open("CONNECT", "/", ASKING, end=False)
    h2.send(stream, b"\x81\x82\0\0\0\0hi")
    h2.until(lambda: len(h2.answers[stream].body) == 4)
    assert h2.answers[stream].body == b"\x81\x02hi"
    h2.send(stream, b"\x88\x82\0\0\0\0\x03\xe8", True)
    h2.until(lambda: h2.answers[stream].has_ended)
    assert seen[-1] is True


def test_a_closed_websocket_raises_the_error_of_the_library(serve: Serve, until: Any) -> None:
    from geventwebsocket.exceptions import WebSocketError

    errors: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        ws = environ["wsgi.websocket"]
        assert ws.receive() is None
        for use in (lambda: ws.send("x"), ws.receive):
            try:
                use()
            except WebSocketError as error:
                errors.append(error)
        return []

    running = serve(app)
    with talk(running.port, "/"):
        pass
    until(lambda: len(errors) == 2)


# Socket.IO


@pytest.fixture(params=["gevent-websocket", "simple-websocket"])
def socket_io(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An app of Flask-SocketIO, in both ways in which its gevent mode can speak WebSocket."""
    if request.param == "simple-websocket":
        monkeypatch.setitem(sys.modules, "geventwebsocket", None)
    driver = importlib.import_module("engineio.async_drivers.gevent")
    importlib.reload(driver)
    app = Flask(__name__)
    io = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")

    @io.on("add")
    def add(one: int, two: int) -> int:
        return one + two

    @io.on("shout")
    def shout(text: str) -> None:
        io.emit("heard", text)

    app.add_url_rule("/page", endpoint="page", view_func=lambda: "a page")
    yield app
    monkeypatch.undo()
    importlib.reload(driver)


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_flask_socketio(serve: Serve, socket_io: Flask, transports: list[str]) -> None:
    running = serve(socket_io, threads=50)

    def client(number: int) -> str:
        it = socketio.SimpleClient()
        it.connect(f"http://127.0.0.1:{running.port}", transports=transports, wait_timeout=10)
        try:
            for count in range(5):
                assert it.call("add", (number, count), timeout=10) == number + count
            return str(it.transport)
        finally:
            it.disconnect()

    used = [each.get(timeout=30) for each in [gevent.spawn(client, number) for number in range(20)]]
    assert used == [transports[-1]] * 20
    assert running.connect().request("GET", "/page", **HANDSHAKE).body == b"a page"
    assert "[expt:" not in running.app_text()


def test_rooms_of_flask_socketio(serve: Serve, socket_io: Flask) -> None:
    running = serve(socket_io)
    clients = [socketio.SimpleClient() for _ in range(3)]
    for each, transport in zip(clients, ("polling", "websocket", "websocket"), strict=True):
        each.connect(f"http://127.0.0.1:{running.port}", transports=[transport], wait_timeout=10)
    clients[0].emit("shout", "hello")
    for each in clients:
        assert each.receive(timeout=10) == ["heard", "hello"]
        each.disconnect()


def test_a_plain_get_to_a_websocket_rule(serve: Serve) -> None:
    running = serve(sock_app())
    assert running.get("/echo").status == 400
    with pytest.raises(InvalidStatus):
        talk(running.port, "/nowhere").__enter__()
