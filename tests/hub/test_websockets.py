"""WebSockets of WSGI apps: the handshake, the designs, closing, and both generations of the environ contract."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from flask import Flask, request
from gevent.monkey import get_original
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import skitai
from skitai import was
from skitai.was import _engine
from skitai.wire.ws_frames import frame
from skitai.wire.ws_messages import Close, Ping, Pong
from tests.hub.conftest import Running
from tests.scripts import Workplace
from tests.websocket_clients import HANDSHAKE, RawClient, get, talk

Serve = Callable[..., Running]


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Sends back what it gets as it came."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ.get("websocket.event") == skitai.WS_EVT_INIT:
        environ["websocket.config"] = (skitai.WS_SIMPLE, 60, None)
    elif "websocket.event" in environ and not environ["websocket.event"]:
        environ["websocket"].send(environ["websocket.message"])
    return [b""]


def configured(*config: Any, **options: Any) -> Callable[..., list[bytes]]:
    """An echo with another configuration."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        result = echo(environ, start_response)
        if environ.get("websocket.event") == skitai.WS_EVT_INIT:
            environ["websocket.config"] = config
            environ["websocket.options"] = options
        return result

    return app


@pytest.fixture
def knock() -> Iterator[Callable[..., RawClient]]:
    """``knock(running)`` opens a WebSocket."""
    clients: list[RawClient] = []

    def open_(running: Running, path: str = "/", **options: Any) -> RawClient:
        clients.append(RawClient.open(running.port, path, **options))
        return clients[-1]

    yield open_
    for client in clients:
        client.close()


Knock = Callable[..., RawClient]


# Examples of the documents, for Flask


def documented() -> Flask:
    app = Flask(__name__)

    @app.route("/websocket/echo")
    def echo() -> str:
        event = request.environ.get("websocket.event")
        client_id = request.environ.get("websocket.client")
        if event == skitai.WS_EVT_INIT:
            request.environ["websocket.config"] = (skitai.WS_SIMPLE, 60, ("message",))
            return ""
        elif event == skitai.WS_EVT_OPEN:
            return f"Welcome {client_id:d}"
        elif event:
            return ""
        return "ECHO:" + request.args.get("message", "")

    @app.route("/websocket/direct")
    def direct() -> str:
        event = request.environ.get("websocket.event")
        if event == skitai.WS_EVT_INIT:
            request.environ["websocket.config"] = (skitai.WS_SIMPLE, 60, ("message",))
            return ""
        elif event:
            return ""
        message = request.args["message"]
        request.environ["websocket"].send(f"You said, {message}".encode("iso8859-1"))
        request.environ["websocket"].send("I said acknowledge")
        return ""

    @app.route("/chat")
    def chat() -> str:
        client_id = request.environ.get("websocket.client")
        event = request.environ.get("websocket.event")
        if event == skitai.WS_EVT_INIT:
            request.environ["websocket.config"] = (skitai.WS_GROUPCHAT, 60, ("message", "room_id"))
            return ""
        elif event == skitai.WS_EVT_OPEN:
            return f"Client {client_id} has entered"
        elif event == skitai.WS_EVT_CLOSE:
            return f"Client {client_id} has leaved"
        return f"Client {client_id} Said: {request.args['message']}"

    @app.route("/websocket/talk")
    def talk_() -> str:
        if request.environ.get("websocket.event") == skitai.WS_EVT_INIT:
            request.environ["websocket.config"] = (skitai.WS_DEDICATE, 60, None)
            return ""
        ws = request.environ["websocket"]
        while True:
            message = ws.getwait()
            if message is None:
                break
            if message.lower() == "bye":
                ws.send("Bye, have a nice day." + message)
                ws.close()
                break
            ws.send(f"Hello, {request.args['name']}: {message}")
        return ""

    # As version 0.15 had it

    @app.route("/old/echo")
    def old_echo() -> str:
        if "websocket_init" in request.environ:
            request.environ["websocket_init"] = (skitai.WEBSOCKET_REQDATA, 60, "message")
            return ""
        return "ECHO:" + request.args.get("message", "")

    @app.route("/old/talk")
    def old_talk() -> str:
        if "websocket_init" in request.environ:
            request.environ["websocket_init"] = (skitai.WEBSOCKET_DEDICATE, 60, None)
            return ""
        ws = request.environ["websocket"]
        while True:
            messages = ws.getswait(10)
            if messages is None:
                break
            for m in messages:
                if m.lower() == "bye":
                    ws.send("Bye, have a nice day." + m)
                    ws.close()
                    break
                if m.lower() == "hello":
                    ws.send("Hello, " + request.args["name"])
                else:
                    ws.send("You Said:" + m)
        return ""

    @app.route("/old/chat")
    def old_chat() -> str:
        if "websocket_init" in request.environ:
            request.environ["websocket_init"] = (skitai.WEBSOCKET_MULTICAST, 60, "roomid")
            return ""
        ws = request.environ["websocket"]
        while True:
            messages = ws.getswait(10)
            if messages is None:
                break
            for client_id, m in messages:
                ws.sendall(f"Client {client_id:d} Said: {m}")
        return ""

    return app


@pytest.mark.row(
    "WS-01", "WS-10", "WS-18", "WS-30", "WS-31", "WS-32", "WS-33", "WS-34", "WS-35", "CONST-07", "CONST-14", "WSGI-05"
)
def test_flask_simple(serve: Serve) -> None:
    running = serve(documented())
    with talk(running.port, "/websocket/echo") as client:
        assert get(client) == "Welcome 1"
        for message in ("hello", "a&b=c d+e%20ä\x00日本", "x" * 5000, ""):
            client.send(message)
            assert get(client) == "ECHO:" + message
    with talk(running.port, "/websocket/echo") as client:
        assert get(client) == "Welcome 2"


@pytest.mark.row("WS-13", "WS-33", "WS-34")
def test_flask_sends_directly_and_binary(serve: Serve) -> None:
    running = serve(documented())
    with talk(running.port, "/websocket/direct") as client:
        client.send("grüß dich")
        assert get(client) == "You said, grüß dich".encode("iso8859-1")
        assert get(client) == "I said acknowledge"


@pytest.mark.row("WS-20", "WS-21", "WS-22", "WS-31", "CONST-08")
def test_flask_group_chat(serve: Serve) -> None:
    running = serve(documented())
    with talk(running.port, "/chat?room_id=1") as one, talk(running.port, "/chat?room_id=2") as other:
        assert get(one) == "Client 1 has entered"
        assert get(other) == "Client 2 has entered"
        with talk(running.port, "/chat?room_id=1") as two:
            assert get(one) == get(two) == "Client 3 has entered"
            two.send("hi")
            assert get(one) == get(two) == "Client 3 Said: hi"
        assert get(one) == "Client 3 has leaved"
        other.send("alone")
        assert get(other) == "Client 2 Said: alone"
    gevent.sleep(0)


def test_room_without_value_is_refused(serve: Serve) -> None:
    running = serve(documented())
    assert running.get("/chat", **_handshake()).status == 400


@pytest.mark.row("WS-26", "WS-27", "WS-31", "CONST-09")
def test_flask_dedicated(serve: Serve) -> None:
    running = serve(documented(), threads=1)
    with talk(running.port, "/websocket/talk?name=Kim") as one, talk(running.port, "/websocket/talk?name=Lee") as two:
        one.send("a")
        two.send("b")
        assert (get(one), get(two)) == ("Hello, Kim: a", "Hello, Lee: b")  # neither holds the only slot
        one.send("bye")
        assert get(one) == "Bye, have a nice day.bye"
        with pytest.raises(ConnectionClosed):
            get(one)
        assert one.close_code == 1000


@pytest.mark.row("WS-40", "WS-41", "WS-42", "WS-43", "CONST-10")
def test_old_request_and_response(serve: Serve) -> None:
    running = serve(documented())
    with talk(running.port, "/old/echo") as client:
        client.send("one")
        assert get(client) == "ECHO:one"  # and nothing when it was opened


@pytest.mark.row("WS-44", "CONST-11")
def test_old_dedicated(serve: Serve) -> None:
    running = serve(documented())
    with talk(running.port, "/old/talk?name=Member") as client:
        client.send("hello")
        assert get(client) == "Hello, Member"
        client.send("what")
        assert get(client) == "You Said:what"
        client.send("bye")
        assert get(client) == "Bye, have a nice day.bye"
        with pytest.raises(ConnectionClosed):
            get(client)


@pytest.mark.row("WS-45", "CONST-12")
def test_old_multicast(serve: Serve, until: Callable[..., None]) -> None:
    running = serve(documented())
    with talk(running.port, "/old/chat?roomid=1") as one, talk(running.port, "/old/chat?roomid=1") as two:
        with talk(running.port, "/old/chat?roomid=2") as other:
            one.send("hi")
            assert get(one) == get(two) == "Client 1 Said: hi"
            other.send("alone")
            assert get(other) == "Client 3 Said: alone"
        two.send("ho")
        assert get(one) == get(two) == "Client 2 Said: ho"
    until(lambda: len(running.server.rooms) == 0, "empty rooms are forgotten")
    with talk(running.port, "/old/chat?roomid=1") as again:  # a new loop
        again.send("hi")
        assert get(again) == "Client 4 Said: hi"


@pytest.mark.row("WS-45")
def test_multicast_to_one_and_refused_send(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if "websocket_init" in environ:
            environ["websocket_init"] = (skitai.WEBSOCKET_MULTICAST, 60, "room")
            return [b""]
        ws = environ["websocket"]
        while messages := ws.getswait():
            for client, message in messages:
                with pytest.raises(AssertionError):
                    ws.send(message)
                ws.sendto(client, f"only you: {message}")
                ws.sendto(12345, "nobody")
        return [b""]

    running = serve(app)
    with talk(running.port, "/?room=a") as one, talk(running.port, "/?room=a") as two:
        one.send("x")
        two.send("y")
        assert (get(one), get(two)) == ("only you: x", "only you: y")


# The handshake


def _handshake(**changes: str | None) -> dict[str, str]:
    fields = {name.replace("-", "_"): value for name, value in HANDSHAKE.items()} | changes
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.row("WS-01")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec_WebSocket_Version": None}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Sec_WebSocket_Extensions": ";;"}, 400),
        ({"Upgrade": "h2c"}, 200),  # another protocol that is not spoken is ignored
        ({"Connection": "close"}, 200),
        ({"Upgrade": None}, 200),
    ],
)
def test_handshakes_that_open_nothing(serve: Serve, changes: dict[str, str | None], status: int) -> None:
    response = serve(echo).get(**_handshake(**changes))
    assert response.status == status
    if status == 426:
        assert response.get("Sec-WebSocket-Version") == "13"
        assert response.get("Upgrade") == "websocket"


def test_handshake_by_post_and_by_http_1_0(serve: Serve) -> None:
    running = serve(echo)
    response = running.connect().request("POST", Content_Length="0", **_handshake())
    assert (response.status, response.get("Allow")) == (405, "GET")
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    assert running.connect().send(f"GET / HTTP/1.0\r\n{lines}\r\n").read().status == 200


def test_connection_goes_on_after_a_refusal(serve: Serve) -> None:
    client = serve(echo).connect()
    assert client.request(**_handshake(Sec_WebSocket_Version="8")).status == 426
    assert client.request().status == 200


@pytest.mark.row("WS-01", "WS-02")
def test_unknown_paths_and_functions_that_know_no_websocket(serve: Serve) -> None:
    app = Flask(__name__)
    app.add_url_rule("/page", endpoint="page", view_func=lambda: "a page")
    app.add_url_rule("/breaks", endpoint="breaks", view_func=lambda: 1 / 0)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    running = serve(app)
    for path, status in (("/nowhere", 404), ("/page", 200), ("/breaks", 500)):
        with pytest.raises(InvalidStatus) as raised, talk(running.port, path):
            pass
        assert raised.value.response.status_code == status
        assert ("[expt:" in running.app_text()) == (path == "/breaks")


@pytest.mark.parametrize("config", [(99, 60, None), "simple", (1, "long", None), (1, 60, None, 4)])
def test_configurations_that_cannot_be(serve: Serve, config: Any) -> None:
    running = serve(configured(*config) if isinstance(config, tuple) else configured(config))
    assert running.get(**_handshake()).status == 500


@pytest.mark.row("WS-37")
@pytest.mark.parametrize(
    ("allowed", "origin", "host", "status"),
    [
        (None, None, "test", 101),
        (None, "http://test", "test", 101),
        (None, "https://test", "test:443", 101),
        (None, "http://evil.example", "test", 403),
        (None, "null", "test", 403),
        ("*", "http://evil.example", "test", 101),
        (["https://good.example"], "https://GOOD.example", "test", 101),
        (["https://good.example"], "https://evil.example", "test", 403),
    ],
)
def test_origins(serve: Serve, allowed: Any, origin: str | None, host: str, status: int) -> None:
    app = Flask(__name__)
    app.wsgi_app = echo  # type: ignore[method-assign]
    app.access_control_allow_origin = allowed  # type: ignore[attr-defined]
    client = serve(app).connect()
    fields = _handshake(Host=host, Origin=origin)
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    client.send(f"GET / HTTP/1.1\r\n{lines}\r\n")
    assert client.read_head().status == status


def test_subprotocols_and_compression(serve: Serve) -> None:
    chosen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket") is not None:
            chosen.append(environ["websocket"].subprotocol)
        return configured(1, 60, None, subprotocols=["b", "a"], compression=False)(environ, start_response)

    running = serve(app)
    with talk(running.port, "/", subprotocols=["a", "b"]) as client:
        assert client.subprotocol == "b"
        assert client.protocol.extensions == []
        client.send("x")
        assert get(client) == "x"
    assert chosen[0] == "b"
    with talk(serve(echo).port, "/") as client:
        assert [each.name for each in client.protocol.extensions] == ["permessage-deflate"]
        client.send("y" * 100_000)
        assert get(client) == "y" * 100_000


def test_mount_point_itself_is_not_redirected(serve: Serve, mounted: Any) -> None:
    from skitai.hub.site import Site

    site = Site()
    site.mount_app("/app", mounted(echo))
    with talk(serve(site=site).port, "/app") as client:
        client.send("x")
        assert get(client) == "x"


def test_frames_behind_the_handshake_in_one_piece(serve: Serve) -> None:
    running = serve(echo)
    client = RawClient(socket.create_connection(("127.0.0.1", running.port)))
    client.shake_hands("/", rest=client.engine.message("early") + client.engine.message(b"bird"))
    assert client.status == 101
    assert [client.next(), client.next()] == ["early", b"bird"]
    client.close()


# Messages


@pytest.mark.row("WS-12", "WS-38")
def test_text_binary_fragments_and_control_frames(serve: Serve, knock: Knock) -> None:
    client = knock(serve(echo))
    client.send(frame(0x01, b"on", True) + frame(0x89, b"ping", True) + frame(0x80, b"e", True))
    assert {client.next(), client.next()} == {"one", Pong(b"ping")}
    client.say(b"\x00\xff").send(frame(0x8A, b"unasked", True))
    assert client.next() == b"\x00\xff"
    client.send(client.engine.close(4321, "enough"))
    assert client.next() == Close(4321)
    assert client.next() is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02hi", 1002),  # not masked
        (frame(0x81, b"\xff", True), 1007),
        (frame(0xC1, b"x", True), 1002),
        (frame(0x83, b"", True), 1002),
        (frame(0x88, b"\x03", True), 1002),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4), 1009),
    ],
    ids=["not masked", "not UTF-8", "reserved bit", "unknown", "short close", "too large"],  # their masks are random
)
def test_clients_that_break_the_rules(serve: Serve, data: bytes, code: int, knock: Knock) -> None:
    running = serve(echo)
    client = knock(running).send(data)
    event = client.next()
    assert isinstance(event, Close) and event.code == code
    assert client.next() is None
    assert f"closed with {code}" in running.messages_text()


def test_most_bytes_of_one_websocket(serve: Serve, knock: Knock) -> None:
    client = knock(serve(configured(1, 60, None, most_bytes=10)))
    client.say("x" * 10)
    assert client.next() == "x" * 10
    client.say("x" * 11)
    event = client.next()
    assert isinstance(event, Close) and event.code == 1009


@pytest.mark.row("WS-10")
def test_messages_of_one_client_are_served_in_order(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gevent.sleep(0.001 if int(environ["websocket.message"]) % 3 else 0.003)
        return echo(environ, start_response)

    with talk(serve(app).port, "/") as client:
        for number in range(60):
            client.send(str(number))
        assert [get(client) for _ in range(60)] == [str(number) for number in range(60)]


def test_app_that_fails_closes_with_1011(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message") == "bad":
            raise ValueError("on purpose")
        return echo(environ, start_response)

    running = serve(app)
    with talk(running.port, "/") as client:
        client.send("bad")
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1011
    assert "on purpose" in running.app_text()


def test_busy_server_closes_with_1013(serve: Serve, knock: Knock) -> None:
    gate = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gate.wait()
        return echo(environ, start_response)

    running = serve(app, threads=1, limits={"queue": 1})
    clients = [knock(running) for _ in range(3)]
    for client in clients:
        client.say("x")
        gevent.sleep(0.02)
    clients[2].expect_close(1013)
    gate.set()
    assert clients[0].next() == "x"
    assert clients[1].next() == "x"
    for client in clients:
        client.close()


@pytest.mark.row("WS-13", "WS-28")
def test_sending_from_other_greenlets_and_threads_and_later(serve: Serve) -> None:
    sockets: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.event") == skitai.WS_EVT_OPEN:
            sockets.append(environ["websocket"])
        return echo(environ, start_response)

    with talk(serve(app).port, "/") as client:
        client.send("x")
        assert get(client) == "x"
        (ws,) = sockets
        ws.send("from a greenlet")
        assert get(client) == "from a greenlet"
        thread = threading.Thread(target=ws.send, args=("from a thread",))
        thread.start()
        assert get(client) == "from a thread"
        get_original("_thread", "start_new_thread")(ws.send, ("from a native thread",))
        assert get(client) == "from a native thread"
        get_original("_thread", "start_new_thread")(ws.close, (4000, "a reason"))
        with pytest.raises(ConnectionClosed):
            get(client)
        assert (client.close_code, client.close_reason) == (4000, "a reason")
    with pytest.raises(ConnectionError):
        ws.send("too late")


def test_opcodes_in_place_of_types(serve: Serve, knock: Knock) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if environ["websocket.event"] == skitai.WS_EVT_INIT:
            environ["websocket.config"] = (skitai.WS_SIMPLE, 60)
        elif not environ["websocket.event"]:
            ws = environ["websocket"]
            ws.send("as bytes", skitai.WS_OPCODE_BINARY)
            ws.send(b"as text", skitai.WS_OPCODE_TEXT)
            ws.send(b"p", skitai.WS_OPCODE_PING)
            ws.send(b"q", skitai.WS_OPCODE_PONG)
            ws.send(b"\x03\xe8", skitai.WS_OPCODE_CLOSE)
        return [b""]

    client = knock(serve(app)).say("go")
    assert [client.next() for _ in range(4)] == [b"as bytes", "as text", Ping(b"p"), Pong(b"q")]
    client.expect_close(1000)


# Time


@pytest.mark.row("WS-09")
def test_keep_alive_timeout(serve: Serve, knock: Knock) -> None:
    running = serve(configured(1, 0.3, None))
    client = knock(running)
    client.expect_close(1001)
    assert "keep-alive timeout" in running.messages_text()


@pytest.mark.row("WS-09")
def test_traffic_and_answered_pings_keep_it_alive(serve: Serve, knock: Knock) -> None:
    running = serve(configured(1, 0.8, None, ping=0.3))
    client = knock(running)
    for _ in range(4):
        assert client.next() == Ping(b"")
        client.send(client.engine.pong())
    client.say("x")
    assert client.next() == "x"
    while isinstance(event := client.next(), Ping):
        pass  # not answered any more
    assert isinstance(event, Close) and event.code == 1001


def test_slow_function_is_no_silence(serve: Serve, knock: Knock) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gevent.sleep(1.0)
        return configured(1, 0.3, None)(environ, start_response)

    client = knock(serve(app)).say("x")
    assert client.next() == "x"


def test_client_that_does_not_answer_a_close(serve: Serve, knock: Knock) -> None:
    running = serve(configured(1, 0.2, None), limits={"websocket_close_time": 0.2})
    client = knock(running)
    assert isinstance(client.next(), Close)
    assert client.next() is None
    assert running.server.connections == 0


@pytest.mark.row("WS-06", "WS-39")
@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_close_event_comes_last_and_is_logged(serve: Serve, until: Callable[..., None], how: str, knock: Knock) -> None:
    calls: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gevent.sleep(0.05)
        calls.append(environ["websocket.event"] or environ["websocket.message"])
        return echo(environ, start_response)

    running = serve(app)
    client = knock(running).say("one").say("two")
    if how == "close":
        client.send(client.engine.close(1000))
    elif how == "half":
        client.sock.shutdown(socket.SHUT_WR)
    else:
        client.close()
    until(lambda: calls[-1:] == [skitai.WS_EVT_CLOSE])
    assert calls == [skitai.WS_EVT_INIT, skitai.WS_EVT_OPEN, "one", "two", skitai.WS_EVT_CLOSE]
    client.close()
    line = next(each for each in running.messages_text().splitlines() if "websocket" in each)
    assert "/ closed with " + ("1000" if how == "close" else "1006") in line
    assert " bytes in, " in line and line.endswith(" s")
    assert " 101 " in running.request_lines()[0]


# Stopping


@pytest.mark.row("WS-39")
def test_stop_closes_with_1001_after_what_is_being_done(serve: Serve, knock: Knock) -> None:
    started, gate = gevent.event.Event(), gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message") == "slow":
            started.set()
            gate.wait()
        return echo(environ, start_response)

    running = serve(app)
    idle, busy = knock(running), knock(running).say("slow").say("dropped")
    started.wait()
    stopping = gevent.spawn(running.server.stop, 5)
    idle.expect_close(1001)
    gate.set()
    assert busy.next() == "slow"
    busy.expect_close(1001)
    stopping.get(timeout=10)


@pytest.mark.row("WS-39")
def test_stop_tells_functions_that_pull_their_messages(serve: Serve, knock: Knock) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if environ.get("websocket.event") == skitai.WS_EVT_INIT:
            environ["websocket.config"] = (skitai.WS_DEDICATE, 60, None)
            return [b""]
        ws = environ["websocket"]
        while (message := ws.getwait()) is not None:
            ws.send(message)
        ws.send("good bye")
        return [b""]

    running = serve(app)
    client = knock(running).say("x")
    assert client.next() == "x"
    stopping = gevent.spawn(running.server.stop, 5)
    assert client.next() == "good bye"
    client.expect_close(1001)
    stopping.get(timeout=10)


@pytest.mark.row("WS-39")
def test_stop_ends_functions_that_never_look(serve: Serve, knock: Knock) -> None:
    ended = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if environ.get("websocket.event") == skitai.WS_EVT_INIT:
            environ["websocket.config"] = (skitai.WS_DEDICATE, 60, None)
            return [b""]
        try:
            while True:
                environ["websocket"].send("tick")
                gevent.sleep(0.01)
        finally:
            ended.set()

    running = serve(app)
    client = knock(running)
    assert client.next() == "tick"
    stopping = gevent.spawn(running.server.stop, 0.6)
    while (event := client.next()) == "tick":
        pass
    assert isinstance(event, Close) and event.code == 1001
    stopping.get(timeout=5)
    assert ended.wait(5)


def test_multicast_that_fails_closes_those_who_came_later_with_1011(
    serve: Serve, knock: Knock, until: Callable[..., None]
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if "websocket_init" in environ:
            environ["websocket_init"] = (skitai.WEBSOCKET_MULTICAST, 60, "room")
            return [b""]
        while True:
            for _, message in environ["websocket"].getswait():
                assert message != "fail"

    running = serve(app)
    first = knock(running, "/?room=1")
    until(lambda: len(running.server.rooms) == 1)
    second = knock(running, "/?room=1")
    second.say("fail")
    first.expect_close(1011)
    second.expect_close(1011)


def test_multicast_holds_few_bytes(serve: Serve, knock: Knock, until: Callable[..., None]) -> None:
    gate = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if "websocket_init" in environ:
            environ["websocket_init"] = (skitai.WEBSOCKET_MULTICAST, 60, "room")
            return [b""]
        gate.wait()
        while environ["websocket"].getswait():
            pass
        return [b""]

    running = serve(app)
    client = knock(running, "/?room=1")
    client.sock.settimeout(0.5)
    message = client.engine.message(b"x" * 1_000_000)
    with pytest.raises(TimeoutError):
        for _ in range(100):
            client.sock.sendall(message)
    (room,) = running.server.rooms._rooms.values()
    assert room.loop.socket._size < 6_000_000
    gate.set()
    until(lambda: not room.loop.socket._size)


def test_stop_does_not_wait_for_those_who_do_not_answer(serve: Serve, knock: Knock) -> None:
    running = serve(echo)
    knock(running)
    with gevent.Timeout(5):
        running.server.stop(0.5)
    assert running.server.connections == 0


@pytest.mark.row("WS-06")
def test_client_that_goes_away_before_it_is_answered(serve: Serve, until: Callable[..., None]) -> None:
    """An app that counts its clients at the handshake hears of their end in any case."""
    gate, events = gevent.event.Event(), []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        events.append(environ["websocket.event"])
        if environ["websocket.event"] == skitai.WS_EVT_INIT:
            environ["websocket.config"] = (skitai.WS_GROUPCHAT, 60, ("message", "room"))
            gate.wait()
        return [b""]

    running = serve(app)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    client = running.connect().send(f"GET /?room=1 HTTP/1.1\r\n{lines}\r\n")
    until(lambda: events)
    client.reset()
    until(lambda: not running.server.connections)
    gate.set()
    until(lambda: events[-1] == skitai.WS_EVT_CLOSE)
    assert len(running.server.rooms) == 0


def test_loop_that_fails_closes_its_clients(serve: Serve) -> None:
    app = Flask(__name__)

    @app.route("/")
    def loop() -> str:
        if request.environ.get("websocket.event") == skitai.WS_EVT_INIT:
            request.environ["websocket.config"] = (skitai.WS_DEDICATE, 60, None)
            return ""
        raise ValueError("on purpose")

    with talk(serve(app).port, "/") as client:
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1011


# Over TLS, and over real processes


@pytest.mark.row("WAS-WS-01", "CONST-02")
def test_over_tls_by_a_foreign_client_and_by_ours(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    running = serve(echo, tls=context)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    url = f"wss://localhost:{running.port}/"
    with connect(url, ssl=trusting, proxy=None) as client:
        for message in ("hello", "x" * 300_000):
            client.send(message)
            assert get(client) == message
    assert was.ws(url, "hello", verify=str(tmp_path / "ca.pem")).getwait().data == "hello"
    assert was.wss(url, b"hello", verify=False).getwait().data == b"hello"
    assert was.wss(url, "hello").getwait().code == 715  # nobody vouches for it
    with was.ws.connect(url, verify=False) as ws:
        ws.send("x" * 300_000)
        assert ws.getwait(10) == "x" * 300_000
    _engine.current().close()


SCRIPT = """
import os
import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)

@app.route("/pid")
def pid(was, message):
    if was.wsinit():
        return was.wsconfig(skitai.WS_SIMPLE, 60)
    return None if was.wshasevent() else str(os.getpid())

skitai.mount("/", app)
skitai.run(port=0, workers=1)
"""


@pytest.mark.row("WS-39")
def test_reload_drains_with_1001(workplace: Workplace) -> None:
    script = workplace.serve(SCRIPT)
    port = script.port
    with talk(port, "/pid") as client:
        client.send("?")
        before = get(client)
        script.signal(signal.SIGHUP)
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1001
    with talk(port, "/pid") as client:
        client.send("?")
        assert get(client) != before
    assert script.stop() == 0
