"""WebSocket clients that mean harm: others go on, and memory has a bound."""

from __future__ import annotations

import resource
import socket
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import skitai
from skitai.hub.websocket_session import HIGH_WATER, INBOX
from skitai.wire.ws_frames import frame
from skitai.wire.ws_messages import Close, Ping, Pong
from tests.hub.conftest import Running, until
from tests.hub.test_websockets import configured, echo
from tests.websocket_clients import HANDSHAKE, RawClient, get, talk

Serve = Callable[..., Running]


@pytest.fixture
def knock() -> Iterator[Callable[..., RawClient]]:
    clients: list[RawClient] = []

    def open_(running: Running, path: str = "/", **options: Any) -> RawClient:
        clients.append(RawClient.open(running.port, path, **options))
        return clients[-1]

    yield open_
    for client in clients:
        client.close()


def others_go_on(running: Running) -> None:
    with gevent.Timeout(5), talk(running.port, "/") as client:
        client.send("still there")
        assert get(client) == "still there"


def chat(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    if environ["websocket.event"] == skitai.WS_EVT_INIT:
        environ["websocket.config"] = (skitai.WS_GROUPCHAT, 60, ("message", "room"))
        return [b""]
    return [b"" if environ["websocket.event"] else environ["websocket.message"].encode()]


def test_half_handshakes(serve: Serve) -> None:
    running = serve(echo, limits={"header_time": 0.3})
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    socks = []
    for cut in range(0, len(lines), 5):
        sock = socket.create_connection(("127.0.0.1", running.port), timeout=10)
        sock.sendall(f"GET / HTTP/1.1\r\n{lines[:cut]}".encode())
        socks.append(sock)
    others_go_on(running)
    for sock in socks:
        data = b""
        while more := sock.recv(65536):
            data += more
        assert data.startswith(b"HTTP/1.1 408 ")
        sock.close()


def test_client_that_never_reads_its_answers(serve: Serve, knock: Callable[..., RawClient]) -> None:
    """What it asks for is bounded: it is not read any more."""
    running = serve(configured(1, 60, None, compression=False), limits={"write_time": 1.0})
    client = knock(running, receive_buffer=4096)
    client.sock.settimeout(0.5)
    message = client.engine.message(b"x" * 60_000)
    sent = 0
    with pytest.raises((TimeoutError, OSError)):
        while sent < 200_000_000:
            client.sock.sendall(message)
            sent += len(message)
    assert sent < 100_000_000
    others_go_on(running)
    connection = next(iter(running.server._connections), None)
    if connection is not None:
        assert connection.session._carrier.unsent < HIGH_WATER + 1_000_000  # type: ignore[attr-defined]
    with gevent.Timeout(5):
        while running.server.connections:
            gevent.sleep(0.05)


def test_member_of_a_room_who_never_reads_is_given_up(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(chat, limits={"websocket_unsent": 300_000})
    deaf = knock(running, "/?room=1", receive_buffer=4096)
    with talk(running.port, "/?room=1", compression=None) as one, talk(running.port, "/?room=1") as two:
        for number in range(150):
            one.send(f"{number} " + "x" * 100_000)
            assert str(get(one)).startswith(f"{number} ") and str(get(two)).startswith(f"{number} ")
        assert running.server.connections == 2
    assert "does not read" in running.messages_text()
    del deaf


def test_flood_of_pings(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(echo)
    client = knock(running, receive_buffer=4096)
    client.sock.settimeout(0.5)
    pings = frame(0x89, b"x" * 125, True) * 500
    with pytest.raises((TimeoutError, OSError)):
        for _ in range(2000):  # 130 MB, the answers to which nobody reads
            client.sock.sendall(pings)
        raise TimeoutError  # all was taken: most of the pings were not answered
    others_go_on(running)
    connection = next(iter(running.server._connections))
    assert connection.session._carrier.unsent <= HIGH_WATER + 200_000  # type: ignore[attr-defined]


def test_every_ping_of_a_client_who_reads_is_answered(serve: Serve, knock: Callable[..., RawClient]) -> None:
    client = knock(serve(echo))
    for number in range(300):
        client.send(client.engine.ping(str(number).encode()))
    assert [client.next() for _ in range(300)] == [Pong(str(number).encode()) for number in range(300)]


def test_fragments_of_one_byte(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(echo)
    client = knock(running)
    count = 100_000
    gevent.spawn(client.send, frame(0x01, b"*", True) + frame(0x00, b"*", True) * count + frame(0x80, b"", True))
    others_go_on(running)
    assert client.next() == "*" * (count + 1)


def test_byte_by_byte(serve: Serve, knock: Callable[..., RawClient]) -> None:
    client = knock(serve(echo))
    data = client.engine.message("hello") + client.engine.message("x" * 200)
    for at in range(len(data)):
        client.send(data[at : at + 1])
        gevent.sleep(0)
    assert [client.next(), client.next()] == ["hello", "x" * 200]


def test_flood_of_messages_while_the_app_is_slow(serve: Serve, knock: Callable[..., RawClient]) -> None:
    """What waits for the app is bounded."""
    gate = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gate.wait()
        return configured(1, 60, None)(environ, start_response)

    running = serve(app)
    client = knock(running)
    client.sock.settimeout(0.5)
    message = client.engine.message(b"x" * 50_000)
    with pytest.raises(TimeoutError):
        for _ in range(2000):
            client.sock.sendall(message)
    (connection,) = running.server._connections
    waiting = len(connection.session._servant._inbox)  # type: ignore[attr-defined]
    gate.set()
    assert waiting < 50
    others = knock(running)
    others.say("y")
    assert others.next() == "y"


def test_compressed_bomb(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(echo)
    client = knock(running, Sec_WebSocket_Extensions="permessage-deflate")
    bomb = raw_bomb(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client.send(frame(0xC2, bomb, True))
    event = client.next()
    assert isinstance(event, Close) and event.code == 1009
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # KB
    others_go_on(running)


def raw_bomb(size: int) -> bytes:
    engine = zlib.compressobj(9, wbits=-15)
    return (engine.compress(bytes(size)) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_many_bombs_in_one_read_are_opened_one_by_one(serve: Serve, knock: Callable[..., RawClient]) -> None:
    gate, sizes = gevent.event.Event(), []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gate.wait()
            sizes.append(len(environ["websocket.message"]))
        configured(1, 60, None)(environ, start_response)
        return [b""]

    running = serve(app)
    client = knock(running, Sec_WebSocket_Extensions="permessage-deflate")
    client.send(frame(0xC2, raw_bomb(4 << 20), True) * 15)
    until(lambda: running.server._connections and session_of(running)._held & INBOX)
    gevent.sleep(0.1)
    assert len(session_of(running)._servant._inbox) <= 2
    gate.set()
    until(lambda: len(sizes) == 15)
    assert set(sizes) == {4 << 20}


def session_of(running: Running) -> Any:
    (connection,) = running.server._connections
    return connection.session


@pytest.mark.parametrize(
    "data",
    [
        frame(0x81, b"", True) * 5000,
        frame(0x89, b"x", True) * 5000,
        frame(0x01, b"", True) + frame(0x00, b"", True) * 5000,
        frame(0xC2, b"\x03\x00", True) * 5000,
    ],
    ids=["messages", "pings", "fragments", "packed"],
)
def test_what_was_read_is_looked_at_a_little_at_a_time(
    serve: Serve, knock: Callable[..., RawClient], data: bytes
) -> None:
    """Others have their turn between."""
    running = serve(configured(1, 60, None))
    client = knock(running, Sec_WebSocket_Extensions="permessage-deflate")
    session = session_of(running)
    steps: list[int] = []
    receive = session._engine.receive

    class Engine:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def receive(self, data: bytes, most_steps: int) -> Any:
            steps.append(most_steps)
            return receive(data, most_steps)

    engine, session._engine = session._engine, Engine()
    client.send(data + frame(0x88, b"\x03\xe8", True))
    with gevent.Timeout(10):
        while not isinstance(client.next(), (Close, type(None))):
            pass
    assert max(steps) <= 32 and len(steps) > 100


def test_what_came_before_the_end_of_input_comes_first(serve: Serve, knock: Callable[..., RawClient]) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        if environ["websocket.event"] == skitai.WS_EVT_INIT:
            environ["websocket.config"] = (skitai.WS_SIMPLE, 60, ("message",))
        elif environ["websocket.event"] is None:
            seen.append(environ["websocket.message"])
        else:
            seen.append(environ["websocket.event"])
        return [b""]

    client = knock(serve(app))
    client.send(b"".join(client.engine.message(str(number)) for number in range(500)))
    client.sock.shutdown(socket.SHUT_WR)
    until(lambda: seen and seen[-1] == skitai.WS_EVT_CLOSE)
    assert seen == [skitai.WS_EVT_OPEN, *map(str, range(500)), skitai.WS_EVT_CLOSE]


ENDINGS = {"close": frame(0x88, b"\x03\xe8", True), "unknown": frame(0x83, b"", True), "nothing": None}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_client_that_ends_and_takes_nothing(
    serve: Serve, knock: Callable[..., RawClient], ending: bytes | None
) -> None:
    """What is unsent must not keep its connection for ever."""
    running = serve(chat, limits={"write_time": 0.3})
    deaf = knock(running, "/?room=1", receive_buffer=4096)
    with talk(running.port, "/?room=1") as one:
        for _ in range(30):
            one.send("x" * 100_000)
            get(one)
        until(lambda: running.server.connections == 2)
        if ending is None:
            deaf.sock.shutdown(socket.SHUT_WR)
        else:
            deaf.send(ending)
        until(lambda: "closed with" in running.messages_text())
        until(lambda: running.server.connections == 1)


def test_slow_client_that_ends_gets_all_that_was_sent(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(chat, limits={"write_time": 1.0})
    slow = knock(running, "/?room=1", receive_buffer=4096)
    with talk(running.port, "/?room=1") as one:
        for _ in range(20):
            one.send("x" * 100_000)
            get(one)
        slow.send(frame(0x88, b"\x03\xe8", True))
        until(lambda: "closed with" in running.messages_text())
        gevent.sleep(0.5)
        assert [len(str(slow.next())) for _ in range(20)] == [100_000] * 20
        assert slow.next() == Close(1000)
        assert slow.next() is None


def test_members_who_all_speak_at_once_leave_room_for_others(serve: Serve) -> None:
    """300 members make 90,000 messages, a second of work: others are served meanwhile."""
    running = serve(chat)
    count = 300
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    members = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(count)]
    for sock in members:
        sock.sendall(f"GET /?room=1 HTTP/1.1\r\n{lines}\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 101")
    (room,) = running.server.rooms._rooms.values()
    until(lambda: len(room.clients) == count)
    told = 0
    deliver = type(room).deliver

    def counted(self: Any, *args: Any) -> None:
        nonlocal told
        deliver(self, *args)
        told += 1

    with pytest.MonkeyPatch.context() as patch, talk(running.port, "/?room=2") as other:
        patch.setattr(type(room), "deliver", counted)
        for sock in members:
            sock.sendall(frame(0x81, b"x", True))
        other.send("still there")
        assert get(other) == "still there"
        assert told < count / 2
        until(lambda: told == count + 1)
    for sock in members:
        sock.close()


def test_deaf_room(serve: Serve, open_files: Callable[[], int]) -> None:
    """They hold one copy of what is said, are given up, and leave nothing behind."""
    running = serve(chat, limits={"websocket_unsent": 300_000})
    count, files = 200, open_files()
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    deaf = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", running.port))
        sock.sendall(f"GET /?room=1 HTTP/1.1\r\n{lines}\r\n".encode())
        deaf.append(sock)
    until(lambda: running.server.connections == count and len(running.server.rooms) == 1)
    (room,) = running.server.rooms._rooms.values()
    until(lambda: len(room.clients) == count)
    tracemalloc.start()
    with talk(running.port, "/?room=1", compression=None) as one:
        for _ in range(80):
            one.send("x" * 100_000)
            assert len(get(one)) == 100_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert running.server.connections == 1
    assert peak < 20_000_000
    until(lambda: not running.server.connections)
    assert len(running.server.rooms) == 0
    for sock in deaf:
        sock.close()
    assert open_files() <= files + 2


def test_failed_calls_of_one_client_are_one_line_in_the_log(serve: Serve, knock: Callable[..., RawClient]) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ.get("websocket.message"):
            gevent.sleep(0)
            raise ValueError("on purpose")
        return echo(environ, start_response)

    running = serve(app)
    client = knock(running)
    client.send(client.engine.message("x") * 500)
    client.expect_close(1011)
    assert running.app_text().count("on purpose") == 1


def test_what_the_query_has_under_the_name_of_the_message_is_no_message(
    serve: Serve, knock: Callable[..., RawClient]
) -> None:
    queries: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        queries.append(environ["QUERY_STRING"])
        return configured(1, 60, ("message",))(environ, start_response)

    client = knock(serve(app), "/?a=1&message=x&m%65ssage=y&b=%26")
    client.say("hello")
    assert client.next() == "hello"
    assert queries[-1] == "a=1&b=%26&message=hello"


def test_two_values_for_the_room_are_none(serve: Serve) -> None:
    """An app that lets its users into some rooms looks at one of them, and we might take the other."""
    running = serve(chat)
    client = RawClient(running.connect().sock)
    client.shake_hands("/?room=public&room=secret")
    assert client.status == 400


def test_broken_frames_of_all_kinds(serve: Serve, knock: Callable[..., RawClient]) -> None:
    running = serve(echo)
    for first in range(256):
        client = knock(running)
        client.send(bytes([first, 0x85]) + b"abcd" + b"\xff" * 5)
        client.sock.shutdown(socket.SHUT_WR)
        while client.next() is not None:
            pass
        client.close()
    others_go_on(running)
    with gevent.Timeout(5):
        while running.server.connections:
            gevent.sleep(0.01)


def test_thousand_idle_ones_hold_little_and_own_no_greenlet(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        return configured(1, 600, None)(environ, start_response)

    running = serve(app)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    request = f"GET / HTTP/1.1\r\n{lines}\r\n".encode()

    def open_some(count: int) -> list[socket.socket]:
        socks = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(count)]
        for sock in socks:
            sock.sendall(request)
            assert sock.recv(4096).startswith(b"HTTP/1.1 101")
        return socks

    warm = open_some(50)
    with gevent.Timeout(5):
        while running.server.slots.busy:
            gevent.sleep(0.01)
    workers = running.server.pool._count
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    socks = open_some(1000)
    with gevent.Timeout(5):
        while running.server.slots.busy:
            gevent.sleep(0.01)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    clients = 1000 * 800  # what 1,000 sockets of this test take
    assert (held - clients) / 1000 < 8 * 1024
    assert running.server.pool._count <= workers + 5
    others_go_on(running)
    for sock in warm + socks:
        sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_server_pings_are_no_traffic_of_the_client(serve: Serve, knock: Callable[..., RawClient]) -> None:
    client = knock(serve(configured(1, 0.8, None, ping=0.2)))
    events = []
    while isinstance(event := client.next(), Ping):
        events.append(event)
    assert len(events) >= 2
    assert isinstance(event, Close) and event.code == 1001
