"""WebSockets over HTTP/2 (RFC 8441): the same apps, a stream for a connection."""

from __future__ import annotations

import contextlib
import copy
import itertools
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme

import skitai
from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.hub.http2 import Http2Session
from skitai.hub.outbox import HIGH_WATER
from skitai.hub.site import Site
from skitai.saddle import Saddle
from skitai.settings import Limits
from skitai.wire.http2.coders import raw_field
from skitai.wire.http2.engine import CONNECTION_WINDOW, STREAM_WINDOW, Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_messages import Close, Event
from tests.browser import Browser, needs_browser
from tests.hub.conftest import PATIENCE, Fixed, Running
from tests.hub.http2_client import Answer, Http2Client
from tests.hub.test_websockets import configured, documented, echo

Serve = Callable[..., Running]
ASKING = [(":protocol", "websocket"), ("sec-websocket-version", "13")]


class Tunnel:
    """The client's side of a stream that carries a WebSocket."""

    def __init__(self, client: Http2Client, path: str = "/", fields: list[tuple[str, str]] | None = None) -> None:
        self.client = client
        self.stream = client.open("CONNECT", path, [*ASKING, *(fields or [])], end=False)
        self.answer = client.answers[self.stream]
        client.until(lambda: self.answer.status or self.answer.has_ended)
        self.engine = WebSocket(False, 1 << 26)
        self.events: list[Event] = []
        self._read = 0

    def send(self, data: bytes, end: bool = False) -> Tunnel:
        self.client.send(self.stream, data, end)
        return self

    def say(self, content: str | bytes) -> Tunnel:
        return self.send(self.engine.message(content))

    def next(self) -> Event | None:
        """The next event, ``None`` when the server ended the stream."""
        while not self.events:
            self.client.until(lambda: len(self.answer.body) > self._read or self.answer.has_ended)
            data, self._read = self.answer.body[self._read :], len(self.answer.body)
            if not data:
                return None
            self.events += self.engine.receive(data)
        return self.events.pop(0)

    def expect_close(self, code: int) -> None:
        event = self.next()
        assert isinstance(event, Close) and event.code == code, event
        self.send(self.engine.reply(event), True)
        assert self.next() is None


@pytest.fixture
def client() -> Iterator[Callable[..., Http2Client]]:
    socks: list[socket.socket] = []

    def open_(running: Running, engine: Http2Engine | None = None, **options: Any) -> Http2Client:
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(("127.0.0.1", running.port))
        socks.append(sock)
        return Http2Client(sock, engine=engine, **options)

    yield open_
    for sock in socks:
        sock.close()


Open = Callable[..., Http2Client]


def _engine(settings: dict[int, int]) -> Http2Engine:
    engine = Http2Engine(False, Limits())
    engine.begin()
    engine._h2.local_settings = copy.deepcopy(engine._h2.local_settings)  # all engines have the same object
    engine._h2.update_settings(settings)
    return engine


# What apps see


def test_echo_beside_requests_on_one_connection(serve: Serve, client: Open) -> None:
    running = serve(documented())
    first = client(running)
    one, two = Tunnel(first, "/websocket/echo"), Tunnel(first, "/websocket/echo")
    assert first.engine.peer_has_connect_protocol
    assert [one.answer.status, one.answer.get("sec-websocket-accept"), one.answer.get("content-length")] == [
        *(200, None, None)
    ]
    assert {one.next(), two.next()} == {"Welcome 1", "Welcome 2"}
    for number in range(3):
        one.say(f"one {number}")
        two.say(f"two {number}" * 20_000)
        assert first.request("GET", "/nowhere").status == 404
        assert (one.next(), two.next()) == (f"ECHO:one {number}", "ECHO:" + f"two {number}" * 20_000)
    one.send(one.engine.close(1000, "done"))
    one.expect_close(1000)
    assert two.say("x").next() == "ECHO:x"
    assert " GET /websocket/echo HTTP/2.0 200 " in running.request_lines()[0]


def test_saddle_sees_the_get_of_http_1_1(serve: Serve, client: Open) -> None:
    app = Saddle(__name__)

    @app.route("/chat")
    def chat(was: Any, message: str, name: str) -> Any:
        if was.wsinit():
            return was.wsconfig(skitai.WS_SIMPLE, 60, subprotocols=["v2"])
        if was.wshasevent():
            return None
        return f"{name} {message} {was.request.method} {was.request.version} {was.websocket.subprotocol}"

    running = serve(app)
    tunnel = Tunnel(client(running), "/chat?name=kim", [("sec-websocket-protocol", "v1, v2")])
    assert tunnel.answer.get("sec-websocket-protocol") == "v2"
    assert tunnel.say("hi").next() == "kim hi GET 2.0 v2"


def test_pulled_messages_group_chat_and_compression(serve: Serve, client: Open) -> None:
    running = serve(documented())
    first = client(running)
    talking = Tunnel(first, "/websocket/talk?name=kim")
    assert talking.say("hi").next() == "Hello, kim: hi"
    assert talking.say("bye").next() == "Bye, have a nice day.bye"
    talking.expect_close(1000)
    one = Tunnel(first, "/chat?room_id=1")
    assert one.next() == "Client 2 has entered"
    two = Tunnel(client(running), "/chat?room_id=1")
    assert one.next() == two.next() == "Client 3 has entered"
    two.say("hello")
    assert one.next() == two.next() == "Client 3 Said: hello"
    two.client.give_up(two.stream)
    assert one.next() == "Client 3 has leaved"
    asking = [("sec-websocket-extensions", "permessage-deflate")]
    assert Tunnel(first, "/chat?room_id=2", asking).answer.get("sec-websocket-extensions") is not None


@pytest.mark.parametrize("end", ["reset", "end of stream", "end of connection"])
def test_end_without_a_close_frame(serve: Serve, client: Open, until: Callable[..., None], end: str) -> None:
    calls: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        calls.append(environ["websocket.event"] or environ["websocket.message"])
        return echo(environ, start_response)

    running = serve(app)
    tunnel = Tunnel(client(running)).say("x")
    assert tunnel.next() == "x"
    if end == "reset":
        tunnel.client.give_up(tunnel.stream)
    elif end == "end of stream":
        tunnel.send(b"", True)
        assert tunnel.next() is None and tunnel.answer.reset is None
    else:
        tunnel.client.sock.close()
    until(lambda: calls[-1:] == [skitai.WS_EVT_CLOSE])
    assert "/ closed with 1006" in running.messages_text()
    if end != "end of connection":
        assert Tunnel(tunnel.client).say("y").next() == "y"


def test_failing_app_and_broken_frames_leave_the_other_streams_alone(serve: Serve, client: Open) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message") == "fail":
            raise ValueError
        return echo(environ, start_response)

    first = client(serve(app))
    one, two, three = Tunnel(first), Tunnel(first), Tunnel(first)
    one.say("fail").expect_close(1011)
    two.send(b"\x83\x80\0\0\0\0").expect_close(1002)
    assert three.say("x").next() == "x"
    assert one.answer.reset is two.answer.reset is None


# Opening


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/nothing/here", ASKING, 404),
        ("/static/file.txt", ASKING, 405),
        ("/app", [ASKING[0], ("sec-websocket-version", "12")], 400),
        ("/app", [ASKING[0]], 400),
        ("/app", [(":protocol", "connect-udp")], 501),
        ("/app", [*ASKING, ("origin", "https://elsewhere.example")], 403),
        ("/app", [*ASKING, ("sec-websocket-protocol", "a b")], 400),
        ("/app/plain", ASKING, 405),
        ("/app/refusing", ASKING, 302),
        ("/app", [(":protocol", "WebSocket"), ASKING[1]], 200),
    ],
)
def test_what_opens_and_what_does_not(
    serve: Serve, client: Open, tmp_path: Path, path: str, fields: list[tuple[str, str]], status: int
) -> None:
    """A response of 2xx opens a tunnel (RFC 9110 section 9.3.6), so there is none from those who know no WebSocket."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/refusing":
            start_response("302 Found", [("Location", "/")])
            return [b""]
        if environ["PATH_INFO"] == "/plain":
            start_response("200 OK", [])
            return [b"hello"]
        return echo(environ, start_response)

    (tmp_path / "file.txt").write_text("text")
    site = Site()
    site.mount_app("/app", Fixed(app))
    site.mount_directory("/static", str(tmp_path))
    running = serve(site=site)
    first = client(running)
    stream = first.open("CONNECT", path, fields, end=False)
    answer = first.answers[stream]
    first.until(lambda: answer.status)
    assert answer.status == status
    if status != 200:
        first.send(stream, b"", True)
        first.finish(stream)
        assert answer.reset is None
        if status == 400 and len(fields) < 3:
            assert answer.get("sec-websocket-version") == "13" and answer.get("upgrade") is None
    assert Tunnel(first, "/app").say("x").next() == "x"


def test_connect_that_has_ended_opens_nothing(serve: Serve, client: Open) -> None:
    first = client(serve(echo))
    assert first.finish(first.open("CONNECT", "/", ASKING, end=True)).status == 405


def test_connect_to_a_host_is_refused_at_once(serve: Serve, client: Open) -> None:
    first = client(serve(echo))
    raw = [raw_field(b":method", b"CONNECT"), raw_field(b":authority", b"elsewhere.example:443")]
    stream = first.engine.open(raw, False)
    first.answers[stream] = Answer()
    first.flush()
    answer = first.finish(stream)
    assert (answer.status, answer.get("allow")) == (405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


def test_frames_ahead_of_the_answer(serve: Serve, client: Open) -> None:
    """A client may send before it has its 200; what it sent is not lost, and bounded by the window."""
    gate = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        gate.wait()
        return echo(environ, start_response)

    first = client(serve(app))
    stream = first.open("CONNECT", "/", ASKING, end=False)
    engine = WebSocket(False, 1 << 26)
    first.send(stream, engine.message("first") + engine.message("x" * 100_000))
    gate.set()
    answer, seen = first.answers[stream], b""
    first.until(lambda: len(answer.body) >= len(seen) + 100_000)
    assert engine.receive(answer.body) == ["first", "x" * 100_000]


def test_messages_and_the_end_ahead_of_the_answer(serve: Serve, client: Open, until: Callable[..., None]) -> None:
    gate, calls = gevent.event.Event(), []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        calls.append(environ["websocket.event"] or environ["websocket.message"])
        if environ["websocket.event"] == skitai.WS_EVT_INIT:
            gate.wait()
        return echo(environ, start_response)

    first = client(serve(app))
    stream = first.open("CONNECT", "/", ASKING, end=False)
    first.send(stream, WebSocket(False, 1 << 26).message("said"), True)
    until(lambda: calls)
    gate.set()
    until(lambda: calls[-1:] == [skitai.WS_EVT_CLOSE])
    assert calls == [skitai.WS_EVT_INIT, skitai.WS_EVT_OPEN, "said", skitai.WS_EVT_CLOSE]
    assert first.finish(stream).reset is None


def test_client_that_gives_up_before_it_is_answered(serve: Serve, client: Open, until: Callable[..., None]) -> None:
    gate, events = gevent.event.Event(), []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        events.append(environ["websocket.event"])
        if environ["websocket.event"] == skitai.WS_EVT_INIT:
            gate.wait()
        return echo(environ, start_response)

    running = serve(app)
    first = client(running)
    stream = first.open("CONNECT", "/", ASKING, end=False)
    until(lambda: events)
    first.give_up(stream)
    assert first.request("GET", "/", fields=[("x", "1")]).status  # the reset was read before
    gate.set()
    until(lambda: events[-1] == skitai.WS_EVT_CLOSE)
    until(lambda: running.server.slots.busy == 0)


# Windows


def test_client_that_opens_no_window_is_not_read_and_given_up(
    serve: Serve, client: Open, until: Callable[..., None]
) -> None:
    """Its stream ends, not its connection."""
    running = serve(configured(1, 60, None, compression=False), limits={"write_time": 0.5})
    first = client(running, is_reading=False)
    tunnel = Tunnel(first)
    message, sent = tunnel.engine.message(b"x" * 60_000), 0
    while not tunnel.answer.has_ended and sent < 50_000_000:
        tunnel.send(message)
        sent += len(message)
    first.until(lambda: tunnel.answer.has_ended)
    assert tunnel.answer.reset == Code.CANCEL
    assert sent < 3_000_000
    assert first.request("GET", "/", fields=[]).status == 200


def test_windows_of_a_few_bytes(serve: Serve, client: Open) -> None:
    """Whatever the window, all bytes come, in order, and none beyond it."""
    first = client(serve(configured(1, 60, None, compression=False)), _engine({4: 1}), is_reading=False)
    tunnel = Tunnel(first)
    content = "".join(f"{number:05d}" for number in range(4000))
    tunnel.say(content)
    allowed, body = 1, tunnel.answer
    for step in itertools.cycle((1, 7, 3000)):
        first.until(lambda: len(body.body) == min(allowed, len(content) + 4))  # noqa: B023 until() ends in this turn
        if len(body.body) > len(content):
            break
        first.engine._h2.increment_flow_control_window(step, tunnel.stream)
        first.flush()
        allowed += step
    assert tunnel.next() == content


def test_socket_that_takes_nothing(serve: Serve, client: Open, until: Callable[..., None]) -> None:
    """With wide windows it is the socket that holds the app back; what waits for it is bounded, and none is lost."""
    count = 400

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            for number in range(count):
                environ["websocket"].send(b"%06d" % number * 5000)
            environ["websocket"].close()
            return echo({}, start_response)
        return configured(1, 60, None, compression=False)(environ, start_response)

    running = serve(app)
    first = client(running, _engine({4: 100_000_000}))
    first.engine._h2.increment_flow_control_window(100_000_000)
    tunnel = Tunnel(first).say("go")
    [connection] = running.server._connections
    http2 = connection.session
    assert isinstance(http2, Http2Session)
    until(lambda: http2.outbox.is_full)
    [exchange] = http2._exchanges.values()
    assert exchange.tunnel is not None
    assert http2.outbox.size + exchange.tunnel.unsent < 3 * HIGH_WATER
    for number in range(count):
        assert tunnel.next() == b"%06d" % number * 5000
    tunnel.expect_close(1000)


def test_app_that_is_slow_holds_the_client_back(serve: Serve, client: Open) -> None:
    """What waits for the app is bounded by the window of the stream, and others on the connection go on."""
    gate = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["QUERY_STRING"] == "slow" and not environ["websocket.event"]:
            gate.wait()
        return configured(1, 60, None)(environ, start_response)

    running = serve(app)
    first = client(running)
    slow = Tunnel(first, "/?slow")
    message = slow.engine.message(b"x" * 10_000)
    sent = 0
    while first.engine.window(slow.stream) > len(message):
        slow.send(message)
        sent += 1
        if sent % 10 == 0:
            first.request("GET", "/?other", fields=[])  # what the server gives back has come
    assert 15 < sent < 2 * STREAM_WINDOW // 10_000 + 100
    assert Tunnel(first).say("x").next() == "x"
    gate.set()
    for _ in range(sent):
        assert slow.next() == b"x" * 10_000
    assert slow.say("end").next() == "end"


def test_two_that_are_sent_a_lot_share_the_connection(serve: Serve, client: Open) -> None:
    """The window of the connection is not for the first of them alone."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            with contextlib.suppress(ClientDisconnected):
                while True:
                    environ["websocket"].send(b"x" * 20_000)
        return echo(environ, start_response)

    first = client(serve(app), _engine({4: 100_000_000}), is_reading=False)
    one, two = Tunnel(first), Tunnel(first)
    one.say("go")
    two.say("go")

    def read_until(total: int) -> tuple[int, int]:
        first.until(lambda: len(one.answer.body) + len(two.answer.body) == total)
        return len(one.answer.body), len(two.answer.body)

    begin = read_until(CONNECTION_WINDOW)  # now there is no window left
    for step in range(1, 31):
        first.engine._h2.increment_flow_control_window(50_000)
        first.flush()
        end = read_until(CONNECTION_WINDOW + step * 50_000)
    grown = [after - before for before, after in zip(begin, end, strict=True)]
    assert min(grown) > 30 * 50_000 // 3


# Stopping, and what comes of it


@pytest.mark.row("WS-39")
def test_stop_closes_with_1001(serve: Serve, client: Open) -> None:
    started, gate = gevent.event.Event(), gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message") == "slow":
            started.set()
            gate.wait()
        return echo(environ, start_response)

    running = serve(app)
    first = client(running)
    idle, busy = Tunnel(first), Tunnel(first).say("slow")
    started.wait()
    stopping = gevent.spawn(running.server.stop, 5)
    idle.expect_close(1001)
    gate.set()
    assert busy.next() == "slow"
    busy.expect_close(1001)
    stopping.get(timeout=10)
    assert first.until_closed() is not None


def test_stop_that_has_waited_long_enough_says_goodbye(serve: Serve, client: Open) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.event") == skitai.WS_EVT_INIT:
            return configured(skitai.WS_DEDICATE, 60, None)(environ, start_response)
        with contextlib.suppress(ClientDisconnected):
            while True:
                environ["websocket"].send("tick")
                gevent.sleep(0.01)
        return []

    running = serve(app)
    tunnel = Tunnel(client(running))
    assert tunnel.next() == "tick"
    stopping = gevent.spawn(running.server.stop, 0.6)
    while (event := tunnel.next()) == "tick":
        pass
    assert isinstance(event, Close) and event.code == 1001
    stopping.get(timeout=5)


def test_stop_does_not_wait_for_those_who_do_not_answer(serve: Serve, client: Open) -> None:
    running = serve(echo)
    Tunnel(client(running))
    with gevent.Timeout(5):
        running.server.stop(0.5)
    assert running.server.connections == 0


def test_client_that_does_not_end_its_side(serve: Serve, client: Open) -> None:
    """It gets RST_STREAM with NO_ERROR after a moment, as a connection would be closed."""
    first = client(serve(configured(1, 0.2, None), limits={"websocket_close_time": 5}))
    tunnel = Tunnel(first)
    event = tunnel.next()
    assert isinstance(event, Close) and event.code == 1001
    tunnel.send(tunnel.engine.reply(event))
    first.until(lambda: tunnel.answer.reset is not None or tunnel.stream not in first.engine.streams)
    assert tunnel.answer.reset in (None, Code.NO_ERROR)
    assert first.request("GET", "/", fields=[]).status == 200


def test_many_openings_leave_nothing(serve: Serve, client: Open, until: Callable[..., None]) -> None:
    running = serve(documented())
    first = client(running)
    count = 1000
    for number in range(count):
        tunnel = Tunnel(first, f"/chat?room_id={number % 7}")
        if number % 3 == 0:
            first.give_up(tunnel.stream)
        elif number % 3 == 1:
            tunnel.send(tunnel.engine.close(1000), True)
        else:
            tunnel.send(b"", True)
    until(lambda: len(running.server.rooms) == 0)
    [connection] = running.server._connections
    until(lambda: not connection.session._exchanges)  # type: ignore[attr-defined]
    assert Tunnel(client(running), "/websocket/echo").next() == f"Welcome {count + 1}"


def test_our_engine_as_client_refuses_without_the_offer() -> None:
    """Section 3: a client asks only where the server said that it may."""
    engine = Http2Engine(False, Limits())
    engine.begin()
    server = Http2Engine(True, Limits())
    server.begin()
    engine.receive(server.data_to_send(), 0.0)
    assert not engine.peer_has_connect_protocol
    with pytest.raises(LocalProtocolError):
        engine.send_data(1, b"", False)
    raw = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":path", b"/")]
    stream = engine.open([*[raw_field(*each) for each in raw], raw_field(b":authority", b"test")], False)
    server.receive(engine.data_to_send(), 0.0)
    events = engine.receive(server.data_to_send(), 0.0)
    assert [getattr(event, "code", None) for event in events if getattr(event, "stream", 0) == stream] == [1]


# A browser

PAGE = """<!doctype html><title>echo</title><p id="said"></p><script>
const ws = new WebSocket("wss://" + location.host + "/echo?x=1");
ws.onopen = () => ws.send("hello");
ws.onmessage = (event) => { document.querySelector("#said").textContent = event.data; ws.close(1000); };
ws.onclose = (event) => { document.title = "closed " + event.code; };
</script>"""


@needs_browser
@pytest.mark.row("WS-01")
def test_chromium_opens_its_websocket_on_the_connection_of_the_page(serve: Serve, tmp_path: Path) -> None:
    app = Saddle(__name__)
    seen: list[tuple[str, int]] = []

    @app.route("/")
    def page(was: Any) -> str:
        seen.append((was.request.version, was.request.connection_number))
        return PAGE

    @app.route("/echo")
    def talk(was: Any, message: str, x: int) -> Any:
        if was.wsinit():
            seen.append((was.request.version, was.request.connection_number))
            return was.wsconfig(skitai.WS_SIMPLE, 60)
        return None if was.wshasevent() else "ECHO:" + message

    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    running = serve(app, tls=tls)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile), "--ignore-certificate-errors")
        try:
            browser.open(f"https://localhost:{running.port}/")
            browser.wait_for("document.title === 'closed 1000'")
            assert browser.run("return document.querySelector('#said').textContent") == "ECHO:hello"
        finally:
            browser.close()
    assert seen[0][0] == "2.0"
    assert seen[1:] == [seen[0]]  # over HTTP/2, and no connection of its own
