"""WebSockets of Saddle: every example of the documents, arguments, encodings, guards and hooks."""

from __future__ import annotations

import json
import sys
import threading
import xmlrpc.client
from collections.abc import Callable
from subprocess import PIPE, Popen
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import skitai
from skitai.saddle import Saddle
from skitai.was import _modes
from tests.saddle.conftest import Running
from tests.websocket_clients import get, talk

Run = Callable[..., Running]


def refused(port: int, path: str, **options: Any) -> int:
    """The status with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as raised, talk(port, path, **options):
        pass
    return raised.value.response.status_code


# Examples of the documents


@pytest.mark.row("WS-02", "WS-03", "WS-04", "WS-05", "WS-07", "WS-08", "WS-10", "WS-11", "WS-12", "WS-14", "UTIL-09")
def test_full_example(app: Saddle, run: Run) -> None:
    seen: list[Any] = []

    @app.route("/websocket/echo")
    def echo(was: Any, message: str) -> Any:
        seen.append((was.wsinit(), was.wsopened(), was.wsclosed(), was.wshasevent(), message))
        # -- event handling
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60)
        elif was.wsopened():
            return f"Welcome Client {was.wsclient()}"
        elif was.wshasevent():
            return None
        # -- message handling
        return "ECHO:" + message

    port = run({"": app}).port
    with talk(port, "/websocket/echo") as client:
        assert get(client) == "Welcome Client 1"
        client.send("hello")
        assert get(client) == "ECHO:hello"
    assert seen[:3] == [
        (True, False, False, "init", ""),
        (False, True, False, "open", ""),
        (False, False, False, None, "hello"),
    ]


@pytest.mark.row("WS-02", "WS-06", "WS-08", "WS-11", "WS-19")
def test_further_arguments_and_clients(app: Saddle, run: Run, until: Callable[..., None]) -> None:
    num_sent: dict[int, int] = {}

    @app.route("/websocket/echo")
    def echo(was: Any, message: str, client_name: str, greeting: str = "said") -> Any:
        client_id = was.wsclient()
        assert client_id == was.env.get("websocket.client")
        if was.wsinit():
            num_sent[client_id] = 0
            return was.wsconfig(skitai.WS_SIMPLE, 60)
        elif was.wsopened():
            return None
        elif was.wsclosed():
            del num_sent[client_id]
            return None
        elif was.wshasevent():
            return None
        num_sent[client_id] += 1
        return f"{client_name} {greeting}: {message} ({num_sent[client_id]})"

    port = run({"": app}).port
    with talk(port, "/websocket/echo?client_name=stevemartine") as client:
        client.send("hi")
        client.send("ho")
        assert get(client) == "stevemartine said: hi (1)"
        assert get(client) == "stevemartine said: ho (2)"
        assert list(num_sent.values()) == [2]
    until(lambda: not num_sent)
    assert refused(port, "/websocket/echo") == 400
    with talk(port, "/websocket/echo?client_name=a&unknown=b") as client:
        client.send("hi")
        assert get(client) == "a said: hi (1)"
    app.config.strict_arguments = True
    assert refused(port, "/websocket/echo?client_name=a&unknown=b") == 400


@pytest.mark.row("WS-13", "WS-12")
def test_messages_sent_directly(app: Saddle, run: Run) -> None:
    @app.route("/websocket/echo")
    def echo(was: Any, message: Any) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60)
        elif was.wshasevent():  # ignore all events
            return None
        assert was.websocket is was.env["websocket"]
        was.websocket.send("You said," + message)
        was.websocket.send("I said acknowledge")
        return b"bytes" if message == "b" else ("as bytes", skitai.WS_OPCODE_BINARY) if message == "t" else ""

    with talk(run({"": app}).port, "/websocket/echo") as client:
        client.send("b")
        assert [get(client) for _ in range(3)] == ["You said,b", "I said acknowledge", b"bytes"]
        client.send("x")
        client.send("t")
        assert [get(client) for _ in range(5)] == [
            "You said,x", "I said acknowledge", "You said,t", "I said acknowledge", b"as bytes",
        ]  # fmt: skip


@pytest.mark.row("WS-16")
def test_json_messages(app: Saddle, run: Run) -> None:
    @app.route("/websocket/json")
    def search(was: Any, message: Any) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60, skitai.WS_MSG_JSON)
        elif was.wshasevent():
            return None
        was.websocket.send({"got": message})
        return [message["query"], message["offset"], "ä"]

    with talk(run({"": app}).port, "/websocket/json") as client:
        client.send(json.dumps({"query": "q", "offset": 2}))
        assert json.loads(get(client)) == {"got": {"query": "q", "offset": 2}}
        assert get(client) == '["q", 2, "ä"]'
        client.send("{no json")
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1007


@pytest.mark.row("WS-17")
def test_xmlrpc_messages(app: Saddle, run: Run) -> None:
    @app.route("/websocket/rpc")
    def rpc(was: Any, message: Any) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60, skitai.WS_MSG_XMLRPC)
        elif was.wshasevent():
            return None
        params, method = message
        return (method, sum(params))

    with talk(run({"": app}).port, "/websocket/rpc") as client:
        client.send(xmlrpc.client.dumps((1, 2, 3), "add"))
        assert xmlrpc.client.loads(str(get(client)))[0] == ("add", 6)
        client.send("<no xml")
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1007


@pytest.mark.row("WS-06", "WS-20", "WS-21", "WS-22", "WS-23", "WS-24")
def test_group_chat(app: Saddle, run: Run) -> None:
    @app.route("/chat")
    def chat(was: Any, message: str, room_id: str) -> Any:
        client_id = was.wsclient()
        if was.wsinit():
            return was.wsconfig(skitai.WS_GROUPCHAT, 60)
        elif was.wsopened():
            return f"Client {client_id} has entered"
        elif was.wsclosed():
            return f"Client {client_id} has leaved"
        clients = list(was.websocket.clients.keys())
        if message == "first":
            was.websocket.send("Hi", clients[0])
            return None
        if message == "last":
            return "Ho", clients[-1]
        if message == "nobody":
            return "lost", 999
        if message == "all":
            was.websocket.send(f"all of {room_id}")
            return ""
        return f"Client {client_id} Said: {message}"

    port = run({"": app}).port
    with talk(port, "/chat?room_id=1") as one, talk(port, "/chat?room_id=2") as other:
        assert (get(one), get(other)) == ("Client 1 has entered", "Client 2 has entered")
        with talk(port, "/chat?room_id=1") as two:
            assert get(one) == get(two) == "Client 3 has entered"
            one.send("hello")
            assert get(one) == get(two) == "Client 1 Said: hello"
            two.send("first")
            assert get(one) == "Hi"
            one.send("last")
            assert get(two) == "Ho"
            one.send("nobody")
            one.send("all")
            assert get(one) == get(two) == "all of 1"
        assert get(one) == "Client 3 has leaved"
        other.send("x")
        assert get(other) == "Client 2 Said: x"
    assert refused(port, "/chat") == 400


class Calculator:
    """The example of the documents, with its faults mended."""

    def __init__(self, ws: Any) -> None:
        self.ws = ws
        self.p: Popen[str] | None = None

    def calculate(self, count: int) -> None:
        script = f"for i in range({count}): print(i, flush=True)"
        self.p = Popen([sys.executable, "-c", script], universal_newlines=True, stdout=PIPE)
        assert self.p.stdout is not None
        for line in iter(self.p.stdout.readline, ""):
            self.ws.send(line.strip())
        self.p.stdout.close()
        self.p.wait()
        self.p = None
        self.ws.send("done")

    def run(self, count: int) -> bool:
        if self.p is None:
            threading.Thread(target=self.calculate, args=(count,)).start()
            return True
        return False


@pytest.mark.row("WS-26", "WS-27", "WS-28", "WS-29")
def test_dedicated(app: Saddle, run: Run) -> None:
    ended = threading.Event()

    @app.route("/websocket/calculate")
    def calculate(was: Any) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_DEDICATE, 60)
        ws = was.websocket
        calculator = Calculator(ws)
        while True:
            m = ws.getwait(10)
            if m is None:  # client disconnected
                ended.set()
                break
            if m.lower() == "bye":
                ws.send("Bye, have a nice day." + m)
                ws.close()
                break
            if m.lower()[:3] == "run":
                calculator.run(int(m[3:].strip()))
            else:
                ws.send(f"You said {m} but I can't understatnd")
        return None

    port = run({"": app}, threads=1).port
    with talk(port, "/websocket/calculate") as client:
        client.send("what")
        assert get(client) == "You said what but I can't understatnd"
        client.send("run 3")
        assert [get(client) for _ in range(4)] == ["0", "1", "2", "done"]
        client.send("bye")
        assert get(client) == "Bye, have a nice day.bye"
        with pytest.raises(ConnectionClosed):
            get(client)
    with talk(port, "/websocket/calculate"):
        pass
    assert ended.wait(10)


@pytest.mark.row("WS-29", "WS-16")
def test_dedicated_with_query_and_encoding(app: Saddle, run: Run) -> None:
    @app.route("/talk")
    def talk_(was: Any, name: str = "nobody") -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_DEDICATE, 60, skitai.WS_MSG_JSON)
        while (message := was.websocket.getwait()) is not None:
            was.websocket.send([name, message])
        return None

    port = run({"": app}).port
    for query, name in (("?name=jamesmilton", "jamesmilton"), ("", "nobody")):
        with talk(port, "/talk" + query) as client:
            client.send("{}")
            assert json.loads(get(client)) == [name, {}]


# As version 0.15 had it


@pytest.mark.row("WS-40", "WS-42", "WS-43", "WS-44", "WS-45", "WS-46")
def test_old_designs(app: Saddle, run: Run) -> None:
    @app.route("/websocket/echo")
    def echo(was: Any, before: str = "", message: str = "") -> Any:
        if "websocket_init" in was.env:
            was.env["websocket_init"] = (skitai.WEBSOCKET_REQDATA, 60, "message")
            return ""
        return "ECHO:" + message

    @app.route("/websocket/talk")
    def talk_(was: Any, name: str) -> Any:
        if "websocket_init" in was.env:
            was.env["websocket_init"] = (skitai.WEBSOCKET_DEDICATE, 60, None)
            return ""
        ws = was.env["websocket"]
        while True:
            messages = ws.getswait(10)
            if messages is None:
                break
            for m in messages:
                ws.send("Hello, " + name if m.lower() == "hello" else "You Said:" + m)
        return ""

    @app.route("/websocket/chat")
    def chat(was: Any, roomid: str) -> Any:
        if "websocket_init" in was.env:
            was.env["websocket_init"] = (skitai.WEBSOCKET_MULTICAST, 60, "roomid")
            return ""
        ws = was.env["websocket"]
        while True:
            messages = ws.getswait(10)
            if messages is None:
                break
            for client_id, m in messages:
                ws.sendall(f"Client {client_id:d} Said: {m}")
        return ""

    port = run({"": app}).port
    with talk(port, "/websocket/echo") as client:
        client.send("x")
        assert get(client) == "ECHO:x"
    with talk(port, "/websocket/talk?name=Member") as client:
        client.send("hello")
        client.send("y")
        assert (get(client), get(client)) == ("Hello, Member", "You Said:y")
    with talk(port, "/websocket/chat?roomid=1") as one, talk(port, "/websocket/chat?roomid=1") as two:
        one.send("hi")
        assert get(one) == get(two) == "Client 3 Said: hi"
    assert refused(port, "/websocket/chat") == 400


# What stands around the function


@pytest.mark.row("WS-36", "SAD-AUTH-12")
def test_logins_are_not_demanded_but_checked(app: Saddle, run: Run) -> None:
    app.authenticate, app.authorization, app.realm = True, "basic", "r"
    app.users = {"kim": "secret"}

    @app.route("/")
    def echo(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None if was.wshasevent() else message

    running = run({"": app})
    assert running.request("GET", "/", [("Host", "x")]).status == 401
    for login in ({}, {"Authorization": "Basic a2ltOnNlY3JldA=="}):
        with talk(running.port, "/", additional_headers=login) as client:
            client.send("x")
            assert get(client) == "x"
    assert refused(running.port, "/", additional_headers={"Authorization": "Basic a2ltOndyb25n"}) == 401


@pytest.mark.row("WS-37")
def test_origins(app: Saddle, run: Run) -> None:
    @app.route("/")
    def echo(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None

    @app.route("/open", access_control_allow_origin=["https://good.example"])
    def open_(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None

    port = run({"": app}).port
    assert refused(port, "/", origin="https://evil.example") == 403
    assert refused(port, "/open", origin="https://evil.example") == 403
    for path, origin in (("/", f"http://127.0.0.1:{port}"), ("/open", "https://good.example")):
        with talk(port, path, origin=origin):
            pass


@pytest.mark.row("WS-15")
def test_hooks_and_services(app: Saddle, run: Run, until: Callable[..., None]) -> None:
    calls: list[str] = []

    @app.before_request
    def before(was: Any) -> None:
        calls.append("before")

    @app.teardown_request
    def after(was: Any) -> None:
        calls.append("after")

    @app.route("/simple/<name>")
    def simple(was: Any, name: str, message: str) -> Any:
        if was.wsinit():
            was.cookie.set("seen", "yes")
            return was.wsconfig(skitai.WS_SIMPLE, 60)
        if was.wshasevent():
            return None
        from skitai import was as found

        assert found.wsclient() == was.wsclient()
        return was.tojson([name, was.request.path, was.ab("simple", "x"), was.fromjson(message)])

    @app.route("/loop")
    def loop(was: Any) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_DEDICATE, 60)
        calls.append("loop")
        while was.websocket.getwait() is not None:
            pass
        return None

    port = run({"/app": app}).port
    with talk(port, "/app/simple/kim") as client:
        assert client.response is not None
        assert "seen=yes" in client.response.headers["Set-Cookie"]
        for _ in range(2):
            client.send("[1]")
            assert json.loads(get(client)) == ["kim", "/app/simple/kim", "/app/simple/x", [1]]
    assert calls == ["before", "after"]
    with talk(port, "/app/loop"):
        pass
    until(lambda: calls[2:] == ["before", "after", "before", "loop", "after"])


def test_functions_that_do_not_fit(app: Saddle, run: Run, written: Any) -> None:
    @app.route("/none")
    def none(was: Any) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None

    @app.route("/grpc")
    def grpc(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60, skitai.WS_MSG_GRPC)

    @app.route("/page")
    def page(was: Any) -> str:
        return "a page"

    @app.route("/object")
    def object_(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None if was.wshasevent() else {"no": "encoding"}

    port = run({"": app}).port
    assert [refused(port, path) for path in ("/none", "/grpc", "/page", "/nowhere")] == [500, 500, 200, 404]
    with talk(port, "/object") as client:
        client.send("x")
        with pytest.raises(ConnectionClosed):
            get(client)
        assert client.close_code == 1011
    assert "say how to encode it" in written.app


def test_options_of_wsconfig(app: Saddle, run: Run) -> None:
    @app.route("/")
    def echo(was: Any, message: str) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60, subprotocols=["v2", "v1"], compression=False)
        return None if was.wshasevent() else f"{was.websocket.subprotocol} {message}"

    with talk(run({"": app}).port, "/", subprotocols=["v1", "v2"]) as client:
        client.send("x")
        assert get(client) == "v2 x"
        assert client.protocol.extensions == []


def test_outside_of_websockets(app: Saddle, run: Run) -> None:
    @app.route("/")
    def page(was: Any) -> str:
        return repr([was.wsinit(), was.wsopened(), was.wsclosed(), was.wshasevent(), was.wsclient(), was.websocket])

    response = run({"": app}).request("GET", "/", [("Host", "x")])
    assert response.content == b"[False, False, False, None, None, None]"  # type: ignore[attr-defined]


def test_messages_of_an_async_response_in_the_single_thread_mode(
    app: Saddle, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There nobody may wait: a WebSocket service of the same server is asked with a handler."""
    monkeypatch.setattr(_modes, "current", _modes.Mode())
    _modes.current.threads = 0

    @app.route("/echo")
    def echo(was: Any, message: str) -> Any:
        return was.wsconfig(skitai.WS_SIMPLE, 60) if was.wsinit() else None if was.wshasevent() else message.upper()

    def handler(response: Any, proxy: Any) -> None:
        proxy.done(f"{response.reqid}: {response.data}")

    @app.route("/page")
    def page(was: Any) -> Any:
        with pytest.raises(RuntimeError):
            was.ws(f"ws://{was.request.get_header('host')}/echo", "x")
        with pytest.raises(RuntimeError):
            was.ws.connect(f"ws://{was.request.get_header('host')}/echo")
        proxy = was.aresponse(handler)
        proxy.ws("one", f"ws://{was.request.get_header('host')}/echo", "hello")
        return proxy

    running = run({"": app}, threads=0)
    response = running.request("GET", "/page", [("Host", f"127.0.0.1:{running.port}")])
    assert response.content == b"one: HELLO"  # type: ignore[attr-defined]
