"""``was.ws``: one message and the next that comes, over kept connections; and WebSockets that a caller holds.

The servers are those of the ``websockets`` library, and peers that say what a test wants.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from websockets.sync.server import Server, ServerConnection, basic_auth, serve

import skitai
from skitai.errors import ConnectionFailed, OperationTimeout, PeerClosed, RequestFailed
from skitai.was import _engine
from skitai.was._context import Context, wasc
from skitai.wire import clusters
from skitai.wire.ws_frames import frame
from skitai.wire.ws_handshake import accept_key
from tests.was.conftest import Link

Handler = Callable[[ServerConnection], None]


class Peer:
    """A server of the ``websockets`` library; ``opened`` are the handshakes that it saw."""

    def __init__(self, handler: Handler, **options: Any) -> None:
        self.opened: list[Any] = []

        def handle(connection: ServerConnection) -> None:
            self.opened.append(connection.request)
            handler(connection)

        self.server: Server = serve(handle, "127.0.0.1", 0, close_timeout=1, **options)
        self.port: int = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        # Not serve_forever(): it closes sockets while gevent's selector still looks at them, which ends the process.
        while True:
            try:
                sock, address = self.server.socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.server.handler, args=(sock, address))
            with self.server.lock:
                self.server.handler_threads.add(thread)
            thread.start()

    def url(self, path: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        self.server.socket.close()
        self.thread.join()
        self.server.shutdown_watcher.close()
        self.server.shutdown_notifier.close()


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def start(handler: Handler = echo, **options: Any) -> Peer:
        peers.append(Peer(handler, **options))
        return peers[-1]

    yield start
    for engine in [_engine.current()]:
        engine.close()
    for each in peers:
        each.stop()


@pytest.fixture
def free_port(peers: Any) -> int:
    """A port where nobody listens."""
    return int(peers.refusing().rpartition(":")[2])


@pytest.fixture
def was() -> Context:
    return wasc


# One message


@pytest.mark.row("WAS-WS-01", "WAS-WS-02", "WAS-WS-03")
def test_documented_example(was: Any, peer: Callable[..., Peer]) -> None:
    server = peer()
    s = was.ws(server.url("/websocket/echo"), was.tojson({"keyword": "snowboard binding"}))
    rs = s.getwait()
    result = was.fromjson(rs.data)
    assert result == {"keyword": "snowboard binding"}
    assert (rs.status, rs.status_code, rs.code, rs.opcode) == (3, 200, 200, skitai.WS_OPCODE_TEXT)
    assert rs.content == (1, rs.data)
    assert server.opened[0].path == "/websocket/echo"


@pytest.mark.row("WAS-WS-02", "WAS-WS-03")
def test_kinds_of_messages(was: Any, peer: Callable[..., Peer]) -> None:
    url = peer().url()
    big = "ä" * 100_000
    sent: list[tuple[Any, Any, int]] = [
        ("text", "text", 1), (b"\x00\xff", b"\x00\xff", 2), (bytearray(b"a"), b"a", 2), ((1, "t"), "t", 1),
        ((1, b"as text"), "as text", 1), ((2, "as bytes"), b"as bytes", 2), ("", "", 1), (big, big, 1),
    ]  # fmt: skip
    for message, expected, opcode in sent:
        result = was.ws(url, message).getwait()
        assert (result.data, result.opcode) == (expected, opcode)


@pytest.mark.row("WAS-WS-02")
@pytest.mark.parametrize("message", [None, {"a": 1}, 1, (8, "x"), (1, b"\xff"), ("x",)])
def test_what_is_no_message(was: Any, peer: Callable[..., Peer], message: Any) -> None:
    result = was.ws(peer().url(), message).getwait()
    assert (result.status, result.code, result.opcode, result.data) == (2, 731, -1, None)


@pytest.mark.row("WAS-WS-04")
def test_connections_are_kept_by_whole_url(was: Any, peer: Callable[..., Peer]) -> None:
    server = peer()
    for _ in range(5):
        assert was.ws(server.url("/a?x=1"), "m").getwait().data == "m"
    assert len(server.opened) == 1
    assert was.ws(server.url("/a?x=2"), "m").getwait().data == "m"
    assert was.ws(server.url("/a?x=1"), "m", headers={"X-A": "1"}).getwait().data == "m"
    assert [each.path for each in server.opened] == ["/a?x=1", "/a?x=2", "/a?x=1"]
    requests = [was.ws(server.url("/a?x=1"), str(number)) for number in range(10)]
    assert [request.getwait().data for request in requests] == [str(number) for number in range(10)]


@pytest.mark.row("WAS-WS-06")
def test_nothing_is_taken_from_a_cache(was: Any, peer: Callable[..., Peer]) -> None:
    counts = iter(range(10))

    def count(connection: ServerConnection) -> None:
        for _ in connection:
            connection.send(str(next(counts)))

    url = peer(count).url()
    first = was.ws(url, "x").getwait()
    first.cache(60)
    assert (first.data, was.ws(url, "x").getwait().data) == ("0", "1")


@pytest.mark.row("WAS-WS-07")
def test_handshake_and_masks(was: Any, peer: Any) -> None:
    server = peer()
    assert was.ws(server.url(), "x", headers=[("Origin", "http://a.example")]).getwait().data == "x"
    headers = server.opened[0].headers
    assert headers["Upgrade"] == "websocket" and headers["Sec-WebSocket-Version"] == "13"
    assert headers["Origin"] == "http://a.example" and headers["Host"] == f"127.0.0.1:{server.port}"
    assert was.ws(server.url("/2"), "x").getwait().data == "x"
    assert server.opened[1].headers["Sec-WebSocket-Key"] != headers["Sec-WebSocket-Key"]


@pytest.mark.row("WAS-WS-07")
def test_logins(was: Any, peer: Callable[..., Peer]) -> None:
    url = peer(process_request=basic_auth(realm="r", credentials=("kim", "secret"))).url()
    assert was.ws(url, "x", auth=("kim", "secret")).getwait().data == "x"
    assert was.ws(url, "x", auth="kim:secret").getwait().data == "x"
    assert was.ws(url.replace("//", "//kim:secret@"), "x").getwait().data == "x"
    for wrong in (("kim", "wrong"), None, ("token",)):
        result = was.ws(url, "x", auth=wrong).getwait()
        assert (result.status, result.code, result.opcode) == (3, 401, -1)


@pytest.mark.row("WAS-WS-05", "LB-01", "MAP-09", "CONST-02")
def test_clusters(was: Any, peer: Callable[..., Peer]) -> None:
    def named(name: str) -> Handler:
        def handle(connection: ServerConnection) -> None:
            for message in connection:
                connection.send(f"{name} {message}")

        return handle

    one, two = peer(named("one")), peer(named("two"))
    clusters.define("wscluster", skitai.PROTO_WS, [f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"])
    results = was.ws.map("@wscluster/path", "m").getswait()
    assert [result.data for result in results] == ["one m", "two m"]
    assert results.status_code == [200, 200]
    answers = {was.ws.lb("@wscluster/path", "m").getwait().data for _ in range(10)}
    assert answers <= {"one m", "two m"} and len(answers) == 2
    assert {each.path for each in one.opened + two.opened} == {"/path"}
    with was.ws.connect("@wscluster/path") as ws:
        ws.send("s")
        assert ws.getwait(5).endswith(" s")
    clusters.define("nohttp", skitai.PROTO_HTTP, ["127.0.0.1:1"])
    assert was.ws("@nohttp/", "x").getwait().code == 731


@pytest.mark.row("LB-03")
def test_fail_over_before_anything_was_sent(was: Any, peer: Callable[..., Peer], free_port: int) -> None:
    server = peer()
    clusters.define("half", skitai.PROTO_WS, [f"127.0.0.1:{free_port}", f"127.0.0.1:{server.port}"])
    assert [was.ws("@half/", "m").getwait().data for _ in range(4)] == ["m"] * 4
    with was.ws.connect("@half/") as ws:
        ws.send("x")
        assert ws.getwait(5) == "x"


# Failures


def switching(link: Link, then: bytes = b"") -> None:
    """Read a handshake and answer 101."""
    received = link.read()
    assert received is not None
    accept = accept_key(received.header("sec-websocket-key") or "")
    link.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n" + then
    )


@pytest.mark.row("WAS-WS-03")
def test_failures_are_results(was: Any, peers: Any, free_port: int) -> None:
    def closes(link: Link) -> None:
        switching(link)
        link.send(frame(0x88, b"\x03\xe9"))

    def breaks_rules(link: Link) -> None:
        switching(link)
        link.send(frame(0x81, b"masked", True))

    def lies(link: Link) -> None:
        link.read()
        link.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    def refuses(link: Link) -> None:
        link.read()
        link.reply(b"no", "404 Not Found")

    cases = [
        (closes, 2, 705), (lambda link: link.close(), 2, 705), (breaks_rules, 2, 716), (lies, 2, 716),
        (refuses, 3, 404),
    ]  # fmt: skip
    for behaviour, status, code in cases:
        url = peers(behaviour).url().replace("http", "ws")
        result = was.ws(url, "x").getwait()
        assert (result.status, result.code, result.opcode, result.data) == (status, code, -1, None), behaviour
    assert was.ws(f"ws://127.0.0.1:{free_port}/", "x").getwait().code == 714
    assert was.ws("http://127.0.0.1/", "x").getwait().code == 731


def test_message_that_does_not_come_in_time(was: Any, peer: Callable[..., Peer]) -> None:
    def late(connection: ServerConnection) -> None:
        for number, message in enumerate(connection):
            if number == 0:
                gevent.sleep(0.6)
            connection.send(f"late {message!r}")

    server = peer(late)
    result = was.ws(server.url(), "x", timeout=0.1).getwait()
    assert (result.status, result.code) == (2, 702)
    assert was.ws(server.url(), "y").getwait().data == "late 'y'"  # not the late answer to the other
    assert len(server.opened) == 2


def test_kept_connection_that_the_server_closed(was: Any, peer: Callable[..., Peer]) -> None:
    server = peer(lambda connection: connection.send(connection.recv()))
    for _ in range(3):
        assert was.ws(server.url(), "x").getwait().data == "x"
        gevent.sleep(0.05)
    assert len(server.opened) == 3


def test_unasked_message_ends_a_kept_connection(was: Any, peer: Callable[..., Peer]) -> None:
    def twice(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)
            connection.send("one more")

    url = peer(twice).url()
    for number in range(3):
        assert was.ws(url, str(number)).getwait().data == str(number)
        gevent.sleep(0.05)


def test_callbacks_and_meta(was: Any, peer: Callable[..., Peer]) -> None:
    done = gevent.event.AsyncResult()
    was.ws(peer().url(), "x", callback=done.set, meta={"a": 1})
    result = done.get(timeout=5)
    assert (result.data, result.meta) == ("x", {"a": 1})


# Held by the caller


def test_session(was: Any, peer: Callable[..., Peer]) -> None:
    server = peer()
    with was.ws.connect(server.url("/s")) as ws:
        ws.send("one")
        ws.send(b"two")
        ws.send((2, "three"))
        assert [ws.getwait(5) for _ in range(3)] == ["one", b"two", b"three"]
        assert 0 <= ws.ping(5) < 5
        with pytest.raises(OperationTimeout):
            ws.getwait(0.05)
        ws.send("x" * 300_000)
        assert len(ws.recv(5)) == 300_000
    assert (ws.is_closed, ws.close_code) == (True, 1000)
    with pytest.raises(ConnectionFailed):
        ws.send("too late")
    assert ws.getwait() is None
    ws.close()


def test_session_ends_with_its_messages(was: Any, peer: Callable[..., Peer]) -> None:
    def count(connection: ServerConnection) -> None:
        for number in range(5):
            connection.send(str(number))

    with was.ws.connect(peer(count).url()) as ws:
        assert list(ws) == ["0", "1", "2", "3", "4"]
    assert ws.close_code == 1000

    def fail(connection: ServerConnection) -> None:
        connection.send("0")
        connection.close(4000, "enough")

    seen = []
    with was.ws.connect(peer(fail).url()) as ws, pytest.raises(PeerClosed, match="4000 enough"):
        for message in ws:
            seen.append(message)
    assert (seen, ws.close_code, ws.close_reason) == (["0"], 4000, "enough")


def test_session_that_is_not_read_holds_a_bound(was: Any, peer: Callable[..., Peer]) -> None:
    sent: list[int] = []

    def flood(connection: ServerConnection) -> None:
        for number in range(400):
            connection.send(b"x" * 100_000)
            sent.append(number)

    with was.ws.connect(peer(flood, compression=None).url()) as ws:
        gevent.sleep(0.5)
        assert len(sent) < 400
        assert ws._size < 3_000_000
        assert sum(1 for _ in ws) == 400


def test_session_with_subprotocol_and_refusals(was: Any, peer: Callable[..., Peer], free_port: int) -> None:
    server = peer(subprotocols=["b"])
    with was.ws.connect(server.url(), subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol == "b"
    locked = peer(process_request=basic_auth(realm="r", credentials=("kim", "secret")))
    with was.ws.connect(locked.url(), auth=("kim", "secret")) as ws:
        ws.send("x")
        assert ws.getwait(5) == "x"
    with pytest.raises(RequestFailed) as refused:
        was.ws.connect(locked.url())
    assert refused.value.code == 401
    with pytest.raises(RequestFailed) as failed:
        was.ws.connect(f"ws://127.0.0.1:{free_port}/")
    assert failed.value.code == 714


def test_connecting_has_a_deadline(was: Any, peers: Any) -> None:
    silent = peers(lambda link: link.wait_for_close())
    with pytest.raises(RequestFailed) as failed:
        was.ws.connect(silent.url().replace("http", "ws"), timeout=0.1)
    assert failed.value.code == 702


def test_messages_behind_the_handshake(was: Any, peers: Any) -> None:
    def eager(link: Link) -> None:
        switching(link, frame(0x81, b"early"))
        link.wait_for_close()

    with was.ws.connect(peers(eager).url().replace("http", "ws")) as ws:
        assert ws.getwait(5) == "early"
        ws.close(timeout=0.1)
    assert ws.close_code == 1006


def test_names_and_errors(was: Any) -> None:
    assert repr(was.ws) == "<was.ws>" and repr(was.wss.map) == "<was.wss.map>"
    with pytest.raises(AssertionError):
        was.ws()
    with pytest.raises(KeyError):
        was.ws("@nowhere/", "x")
    assert json.dumps(None) == "null"
