"""What our own code raises where the loop calls it: it ends the call or the connection that it was for, and no more.

Each hop of a call is made to raise once. Without a guard there the call waits for ever, or its connection is never read
again, or its place in a pool stays taken.
"""

from __future__ import annotations

import gzip
import importlib
import socket
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai import was
from skitai.errors import ConnectTimeout, PeerClosed
from skitai.hub.site import Site
from skitai.net import logs
from skitai.was import _clusters, _engine
from skitai.was._context import wasc
from skitai.wire import clusters
from tests.hub.conftest import PATIENCE, Running, until
from tests.hub.http2_client import Http2Client
from tests.hub.test_grpc_both import guide, pb
from tests.hub.test_http2_websockets import Tunnel
from tests.hub.test_websockets import echo
from tests.websocket_clients import RawClient

pytest.importorskip("google.protobuf", reason="pip install 'skitai[grpc]'")


class Injected(Exception):
    """A fault that nobody thought of."""


class Broken:
    """A function that raises once, instead of or after what it does."""

    def __init__(self, real: Any, is_after: bool = False, when: Callable[..., bool] | None = None) -> None:
        self._is_of_class = isinstance(real, classmethod)
        self._real = real.__func__ if self._is_of_class else real
        self._is_after = is_after
        self._when = when
        self.calls = 0

    def __get__(self, instance: Any, owner: Any) -> MethodType:
        return MethodType(self, owner if self._is_of_class else instance)

    def __call__(self, instance: Any, *args: Any, **options: Any) -> Any:
        if self.calls or (self._when is not None and not self._when(*args)):
            return self._real(instance, *args, **options)
        self.calls += 1
        if self._is_after:
            self._real(instance, *args, **options)
        raise Injected("injected")


def inject(monkeypatch: pytest.MonkeyPatch, hop: str) -> Broken:
    """Break ``module:Class.method`` once; a ``+`` behind it: after it has done its work."""
    module, _, path = hop.rstrip("+").partition(":")
    owner = importlib.import_module(f"skitai.{module}")
    name, _, method = path.partition(".")
    owner = getattr(owner, name)
    broken = Broken(owner.__dict__[method], hop.endswith("+"))
    monkeypatch.setattr(owner, method, broken)
    return broken


@pytest.fixture
def running(serve: Any, mounted: Any) -> Iterator[Running]:
    """A server of everything that can be called."""

    def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page" + body]

    before = logs.current()
    site = Site()
    site.mount_app("/", mounted(page))
    site.mount_app("/ws", mounted(echo))
    site.mount_app("/routeguide.RouteGuide", mounted(guide()))
    server = serve(site=site)
    logs.use(server.logs)
    wasc.configure(idle_time=PATIENCE)
    yield server
    _engine.current().close()
    wasc.configure(idle_time=10.0)
    logs.use(before)


LARGE = b"x" * 300_000


def calls_of(server: Running) -> dict[str, Callable[[], Any]]:
    """How each kind of call is made."""
    at = f"//127.0.0.1:{server.port}"
    return {
        "http1": lambda: was.get(f"http:{at}/", timeout=5),
        "post1": lambda: was.post(f"http:{at}/", LARGE, headers={"Content-Type": "a/b"}, timeout=5),
        "http2": lambda: was.get(f"http:{at}/", http2=True, timeout=5),
        "post2": lambda: was.post(f"http:{at}/", LARGE, headers={"Content-Type": "a/b"}, http2=True, timeout=5),
        "grpc": lambda: was.grpc(f"http:{at}/routeguide.RouteGuide", timeout=5).GetFeature(pb.Point(latitude=1)),
        "ws": lambda: was.ws(f"ws:{at}/ws", "hello", timeout=5),
    }


#: (kind of call, hop). In each the call is under way, and something of ours raises.
ENDS = [
    ("http1", "was._http:HttpRun.attempt_answered"),
    ("http1", "was._http:HttpRun.send"),
    ("http1", "was._http_result:HttpResult.answered"),
    ("http1", "was._http_attempt:HttpAttempt.__init__"),
    ("http1", "was._http_connection:HttpConnection.begin"),
    ("http1", "was._http_connection:HttpConnection.begin+"),
    ("http1", "was._http_connection:HttpConnection._extend"),
    ("http1", "was._http_connection:HttpConnection.data_received"),
    ("http1", "was._http_connection:HttpConnection._finish"),
    ("http1", "was._http_pool:HttpPool._open_connection"),
    ("http1", "was._http_pool:HttpPool._connect_more"),
    ("http1", "was._http_pool:HttpPool.submit"),
    ("http1", "net.stream:Stream.__init__"),
    ("post1", "was._http_connection:HttpConnection._send_body"),
    ("http2", "was._http2_attempt:Http2Attempt.__init__"),
    ("http2", "was._http2_attempt:Http2Attempt._extend"),
    ("http2", "was._http2_attempt:Http2Attempt.head_received"),
    ("http2", "was._http2_attempt:Http2Attempt.data_received"),
    ("http2", "was._http2_attempt:Http2Attempt.ended"),
    ("http2", "was._http2_connection:Http2Connection.__init__"),
    ("http2", "was._http2_connection:Http2Connection.open"),
    ("http2", "was._http2_connection:Http2Connection.open+"),
    ("http2", "was._http2_connection:Http2Connection.data_received"),
    ("http2", "was._http2_connection:Http2Connection._take"),
    ("http2", "wire.http2.engine:Http2Engine.open"),
    ("http2", "was._http2_stream:Http2Stream._end"),
    ("post2", "was._http2_attempt:Http2Attempt._begin_body"),
    ("post2", "was._http2_attempt:Http2Attempt._send_body"),
    ("post2", "was._http2_stream:Http2Stream.send_some"),
    ("post2", "was._http2_stream:Http2Stream.send"),
    ("grpc", "was._grpc_stream:GrpcAttempt.raw"),
    ("grpc", "was._grpc_stream:GrpcStream.__init__"),
    ("grpc", "was._grpc_stream:GrpcStream._begin_body"),
    ("grpc", "was._grpc_stream:GrpcStream._extend"),
    ("grpc", "was._grpc_stream:GrpcStream.head_received"),
    ("grpc", "was._grpc_stream:GrpcStream.data_received"),
    ("grpc", "was._grpc_stream:GrpcStream.ended"),
    ("grpc", "was._grpc_stream:GrpcStream.go_on"),
    ("grpc", "was._grpc_run:GrpcRun.send"),
    ("grpc", "was._grpc_run:GrpcRun.answered"),
    ("grpc", "was._grpc_run:Collector.received"),
    ("grpc", "was._grpc_result:GrpcResult.ended"),
    ("ws", "was._ws:WsRun.begin"),
    ("ws", "was._ws:WsRun.has_connection"),
    ("ws", "was._ws:WsRun.took"),
    ("ws", "was._ws:WsResult.received"),
    ("ws", "was._ws_connection:WsConnection.__init__"),
    ("ws", "was._ws_connection:WsConnection.shake_hands"),
    ("ws", "was._ws_connection:WsConnection.send"),
    ("ws", "was._ws_connection:WsConnection._read_head"),
    ("ws", "was._ws_connection:WsConnection._take_in"),
    ("ws", "was._ws_pool:WsPool.submit"),
    ("ws", "was._ws_pool:WsPool._connect_more"),
    ("ws", "was._task:Task.succeed"),
    ("http1", "was._task:Task.succeed"),
    ("grpc", "was._task:Task.succeed"),
]  # fmt: skip
#: Something of ours raises beside the call, which has its answer all the same.
LOGGED = [
    ("http1", "was._http_pool:HttpPool.give_back"),
    ("http1", "was._http_connection:HttpConnection.enter"),
    ("http1", "was._http_connection:HttpConnection.rest"),
    ("http2", "was._http2_connection:Http2Connection.enter"),
    ("http1", "was._http_call:HttpCall.close"),
    ("http2", "was._http_pool:HttpPool.room_made"),
    ("grpc", "was._grpc_call:GrpcCall.close"),
    ("ws", "was._ws_pool:WsPool.give_back"),
    ("ws", "was._ws_connection:WsConnection.rest"),
]


@pytest.mark.parametrize("is_warm", [False, True], ids=["first", "kept"])
@pytest.mark.parametrize(("kind", "hop"), ENDS)
def test_a_hop_that_raises_ends_its_call(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: str, hop: str, is_warm: bool
) -> None:
    call = calls_of(running)[kind]
    if is_warm:
        assert call().getwait(PATIENCE).status == 3
    broken = inject(monkeypatch, hop)
    result = call().getwait(PATIENCE)
    if broken.calls == 0:
        assert is_warm and result.status == 3  # a kept connection has this behind it
        return
    assert (result.status, result.code) == (2, 731), (result, result.error)
    assert isinstance(result.error, Injected)
    assert "injected" in running.app_text()
    nothing_is_left(call)


@pytest.mark.parametrize(("kind", "hop"), LOGGED)
def test_a_hop_that_raises_beside_a_call_is_logged(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: str, hop: str
) -> None:
    call = calls_of(running)[kind]
    broken = inject(monkeypatch, hop)
    assert call().getwait(PATIENCE).status == 3 or broken.calls
    assert call().getwait(PATIENCE).status == 3
    assert broken.calls and "injected" in running.app_text()
    nothing_is_left(call)


def nothing_is_left(call: Callable[[], Any]) -> None:
    """Another call works, and the pools are whole."""
    requests = [call() for _ in range(5)]
    assert [each.getwait(PATIENCE).status for each in requests] == [3] * 5
    engine = _engine.current()
    for pool in engine.pools.values():
        assert (pool._connecting, len(pool._waiting), len(pool._pausing)) == (0, 0, 0)
        until(lambda pool=pool: not any(getattr(each, "streams", 0) for each in pool._open))
        assert all(each._attempt is None for each in pool._open if not hasattr(each, "streams"))
        assert all(not each._stream.is_lost for each in pool._open)
    for ws_pool in engine.ws_pools.values():
        assert (ws_pool._opening, len(ws_pool._waiting)) == (0, 0)
        until(lambda pool=ws_pool: len(pool._idle) == len(pool._open))
    engine.close()
    until(lambda: not (engine.pools or engine.ws_pools))
    assert not [each for each in engine.sweep._watched if type(each).__name__ not in ("Server", "Connection")]


#: What the sweep calls for a call that waits for a silent server, or for a connection.
EXPIRES = [
    ("http1", "was._http_connection:HttpConnection.expire"),
    ("http2", "was._http2_attempt:Http2Attempt.expire"),
    ("grpc", "was._grpc_stream:GrpcStream.expire"),
    ("ws", "was._ws:WsRun.expire"),
]


def slowly(*args: Any) -> Any:
    gevent.sleep(0.6)
    raise ConnectTimeout("never mind")


@pytest.mark.parametrize(("kind", "hop"), EXPIRES)
def test_a_deadline_whose_end_raises_is_the_end_all_the_same(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: str, hop: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"//127.0.0.1:{silent.getsockname()[1]}"
        wasc.configure(connect_time=0.05)
        try:
            calls: dict[str, Callable[[], Any]] = {
                "http1": lambda: was.get(f"http:{at}/", timeout=0.05),
                "http2": lambda: was.get(f"http:{at}/", http2=True, timeout=0.05),
                "grpc": lambda: was.grpc(f"http:{at}/routeguide.RouteGuide", timeout=0.05).GetFeature(pb.Point()),
                "ws": lambda: was.ws(f"ws:{at}/", "hello", timeout=0.05),
            }
            broken = inject(monkeypatch, hop)
            if kind == "ws":  # whose opening has another deadline, which the connecting greenlet waits for
                monkeypatch.setattr("skitai.was._ws_pool.connect_with", slowly)
            result = calls[kind]().getwait(PATIENCE)
        finally:
            wasc.configure(connect_time=5.0)
    assert broken.calls == 1
    assert result.code == 731 and isinstance(result.error, Injected)
    assert "injected" in running.app_text()
    until(lambda: not _engine.current().ws_pools)


@pytest.mark.parametrize("kind", ["http2", "grpc"])
def test_other_calls_of_the_connection_go_on(running: Running, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    call = calls_of(running)[kind]
    assert call().getwait(PATIENCE).status == 3
    owner = "_http2_attempt:Http2Attempt" if kind == "http2" else "_grpc_stream:GrpcStream"
    inject(monkeypatch, f"was.{owner}.data_received")
    requests = [call() for _ in range(20)]
    statuses = sorted(each.getwait(PATIENCE).status for each in requests)
    assert statuses == [2] + [3] * 19
    assert running.server.connections == 1


def test_a_member_of_a_cluster_gets_its_place_back(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "definitions", {})
    clusters.define("@faulty", "http", [f"127.0.0.1:{running.port}"])
    inject(monkeypatch, "was._http:HttpRun.send")
    assert was.get("@faulty/").getwait(PATIENCE).code == 731
    assert [each.in_flight for each in _clusters.find("faulty").balancer.states] == [0]
    assert was.get("@faulty/").getwait(PATIENCE).status == 3


# What callers give


class Odd(BaseException):
    """What is no Exception, as gevent.Timeout is none."""


@pytest.mark.parametrize("error", [ValueError("odd"), Odd("odd"), gevent.Timeout(7), SystemExit(3)])
@pytest.mark.parametrize("kind", ["http1", "http2", "grpc"])
def test_a_body_that_raises_ends_its_call(running: Running, kind: str, error: BaseException) -> None:
    def pieces(first: Any) -> Iterator[Any]:
        yield first
        raise error

    at = f"http://127.0.0.1:{running.port}"
    if kind == "grpc":
        request = was.grpc(f"{at}/routeguide.RouteGuide", timeout=5).RecordRoute(pieces(pb.Point(latitude=1)))
    else:
        options = {"headers": {"Content-Type": "a/b"}, "timeout": 5, "http2": kind == "http2"}
        request = was.post(f"{at}/", pieces(b"one"), **options)
    result = request.getwait(PATIENCE)
    assert (result.status, result.code) == (2, 731)
    assert error in (result.error, result.error.__cause__)
    nothing_is_left(calls_of(running)[kind])


def test_a_body_whose_own_connection_fails_is_told_apart(running: Running) -> None:
    """PeerClosed of a generator speaks of the connection that the generator reads."""

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise PeerClosed("another one")

    result = was.post(f"http://127.0.0.1:{running.port}/", pieces(), headers={"Content-Type": "a/b"}).getwait(PATIENCE)
    assert str(result.error) == "another one"


@pytest.mark.parametrize("error", [ValueError("odd"), Odd("odd"), gevent.Timeout(7), SystemExit(3)])
def test_a_callback_that_raises_ends_nothing_else(running: Running, error: BaseException) -> None:
    def callback(result: Any) -> None:
        raise error

    at = f"http://127.0.0.1:{running.port}/"
    was.get(at, callback=callback)
    until(lambda: type(error).__name__ in running.app_text())
    assert was.get(at).getwait(PATIENCE).status == 3


def test_a_filter_that_raises_is_told(running: Running) -> None:
    """Whoever waits gets the exception itself; a callback a result that failed with it: it must not wait in vain."""

    def wrong(result: Any) -> None:
        raise KeyError("filter")

    at = f"http://127.0.0.1:{running.port}/"
    with pytest.raises(KeyError, match="filter"):
        was.get(at, filter=wrong).getwait(PATIENCE)
    results: list[Any] = []
    was.get(at, filter=wrong, callback=results.append)
    until(lambda: results)
    assert (results[0].status, results[0].code) == (2, 731) and isinstance(results[0].error, KeyError)
    assert "filter" in running.app_text()


# The server

#: (what is asked, hop): the answer is 500, or the connection ends, or the stream.
SERVED = [
    ("http1", "hub.http1:Http1Session.receive"),
    ("http1", "hub.http1:Http1Session._begin"),
    ("http1", "hub.server:Server._dispatch"),
    ("http1", "hub.wsgi:WsgiHandler.accept"),
    ("http1", "hub.exchange:Http1Exchange.respond"),
    ("http1", "hub.http1:Http1Session.finished"),
    ("http1", "hub.exchange:Exchange._log"),
    ("post1", "hub.http1:Http1Session._next_of_body"),
    ("post1", "hub.http1:Http1Session._begin_body"),
    ("http2", "hub.http2:Http2Session.receive"),
    ("http2", "hub.http2:Http2Session._take_all"),
    ("http2", "hub.server:Server._dispatch"),
    ("http2", "hub.wsgi:WsgiHandler.accept"),
    ("http2", "hub.http2_exchange:Http2Exchange.respond"),
    ("http2", "hub.http2:Http2Session.finished"),
    ("http2", "hub.exchange:Exchange._log"),
    ("post2", "hub.http2_body:Http2Body.receive"),
    ("post2", "hub.http2_body:Http2Body.begin"),
    ("post2", "hub.http2_body:Http2Body.end"),
    ("ws", "hub.websocket_session:WebSocketSession.receive"),
    ("ws", "hub.websocket_session:WebSocketSession.begin"),
    ("ws", "hub.websocket_session:WebSocketSession._take_in"),
    ("ws", "hub.websocket_designs:Called.message"),
    ("ws", "hub.websocket_designs:Called._submit"),
    ("ws2", "hub.websocket_session:WebSocketSession.receive"),
    ("ws2", "hub.websocket_session:WebSocketSession.begin"),
    ("ws2", "hub.websocket_designs:Called.message"),
    ("ws2", "hub.http2_tunnel:Http2Tunnel._begin"),
    ("ws2", "hub.http2_tunnel:Http2Tunnel.receive"),
    ("ws2", "hub.http2_tunnel:Http2Tunnel._deliver"),
]


def ask(kind: str, server: Running) -> str:
    """Ask once and return how it ended; what never ends runs into the timeout of the socket."""
    if kind in ("http1", "post1"):
        client = server.connect()
        body = LARGE if kind == "post1" else b""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        try:
            client.send(f"{'POST' if body else 'GET'} / HTTP/1.1\r\nHost: test\r\n{length}\r\n".encode() + body)
            return str(client.read().status)
        except (AssertionError, ConnectionError):
            return "closed"
        finally:
            client.close()
    if kind == "ws":
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
            try:
                raw = RawClient(sock)
                raw.shake_hands("/ws")
                sock.sendall(raw.engine.message("hello"))
                return "answered" if sock.recv(100)[2:] == b"hello" else "closed"
            except (AssertionError, ConnectionError):
                return "closed"
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        client2 = Http2Client(sock)
        try:
            if kind == "ws2":
                tunnel = Tunnel(client2, "/ws")
                return "answered" if tunnel.say("hello").next() == "hello" else f"reset {tunnel.answer.reset}"
            if kind == "post2":
                answer = client2.request("POST", "/", LARGE, [("content-length", str(len(LARGE)))])
            else:
                answer = client2.request()
        except (AssertionError, ConnectionError):
            return "closed"
        return f"reset {answer.reset}" if answer.reset else str(answer.status)


@pytest.mark.parametrize(("kind", "hop"), SERVED)
def test_a_hop_of_the_server_that_raises(
    running: Running, monkeypatch: pytest.MonkeyPatch, kind: str, hop: str
) -> None:
    good = "answered" if kind in ("ws", "ws2") else "200"
    assert ask(kind, running) == good
    until(lambda: not running.server.connections)  # what it still has to say must not be what raises
    broken = inject(monkeypatch, hop)
    ended = ask(kind, running)
    assert broken.calls == 1
    assert ended != good or hop.endswith(("finished", "_log"))  # which come behind the answer
    assert "injected" in running.app_text() + running.messages_text()
    assert [ask(each, running) for each in ("http1", "post1", "http2", "post2", "ws", "ws2")] == [
        "200", "200", "200", "200", "answered", "answered",
    ]  # fmt: skip
    until(lambda: running.server.slots.busy == 0)


@pytest.mark.parametrize(
    ("hop", "others"),
    [
        ("hub.server:Server._dispatch", "500"),
        ("hub.wsgi:WsgiHandler.accept", "500"),
        ("hub.http2_body:Http2Body.receive", "reset 2"),
        ("hub.http2_body:Http2Body.begin", "reset 2"),
    ],
)
def test_other_streams_of_a_client_go_on(
    running: Running, monkeypatch: pytest.MonkeyPatch, hop: str, others: str
) -> None:
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as sock:
        client = Http2Client(sock)
        inject(monkeypatch, hop)
        streams = [client.open("POST", "/", [("content-type", "a/b")], end=False) for _ in range(3)]
        for stream in streams:
            client.send(stream, b"body", True)
        answers = [client.finish(stream) for stream in streams]
        ends = [f"reset {each.reset}" if each.reset else str(each.status) for each in answers]
        assert ends == [others, "200", "200"]


def test_a_client_that_cannot_be_taken_leaves_the_listener_be(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gevent stops an I/O watcher whose callback raises: the server would be deaf from then on."""
    inject(monkeypatch, "hub.server:Server.connected")
    assert ask("http1", running) == "closed"
    assert ask("http1", running) == "200"


@pytest.mark.parametrize("hop", ["hub.outbox:Outbox._send", "hub.outbox:Outbox._go_on"])
def test_a_writer_in_the_loop_that_raises_ends_its_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch, hop: str
) -> None:
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as sock:
        client = Http2Client(sock)
        assert client.request().status == 200
        (connection,) = running.server._connections
        session = connection.session
        broken = inject(monkeypatch, hop)
        session.outbox._wait_for_socket()
        client.until_closed()
        assert broken.calls == 1
    assert ask("http2", running) == "200"


def test_the_clock_of_a_server_goes_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second in which something raised must not be the last."""
    broken = inject(monkeypatch, "hub.complaints:Complaints.tick")
    until(lambda: broken.calls)
    assert running.server in logs_of_sweep()
    assert ask("http1", running) == "200"


def logs_of_sweep() -> set[Any]:
    from skitai.net.timers import sweep

    return sweep._watched


def test_a_session_that_raises_does_not_keep_the_server_from_stopping(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = running.connect()
    assert client.request().status == 200
    broken = inject(monkeypatch, "hub.http1:Http1Session.drain")
    running.server.stop(1.0)
    assert broken.calls == 1 and running.server.connections == 0


def test_a_cancel_while_an_answer_is_decoded_ends_that_call_alone(serve: Any) -> None:
    """Its connection carries another call by then."""
    packed = gzip.compress(bytes(60_000_000))
    go_on = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        is_packed = environ["PATH_INFO"] == "/packed"
        start_response("200 OK", [("Content-Encoding", "gzip")] if is_packed else [])
        if not is_packed:
            go_on.wait(PATIENCE)
        return [packed if is_packed else b"plain"]

    server = serve(app)
    at = f"http://127.0.0.1:{server.port}"
    wasc.configure(connections=1, decode_ratio=100_000)
    try:
        decoded, other = was.get(f"{at}/packed"), was.get(f"{at}/plain")
        (pool,) = _engine.current().pools.values()
        until(lambda: any(each._uses == 2 for each in pool._open))  # type: ignore[union-attr]
        assert not decoded.is_done
        decoded.cancel()
        assert decoded.getwait(PATIENCE).code == 706
        go_on.set()
        assert other.getwait(PATIENCE).data == b"plain"
    finally:
        wasc.configure(connections=1_000, decode_ratio=1_000)
        _engine.current().close()
