"""WebSocket clients that mean harm: others go on, and memory has a bound."""

from __future__ import annotations

import resource
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import skitai
from skitai.hub.websocket_session import HIGH_WATER
from skitai.wire.ws_frames import frame
from skitai.wire.ws_messages import Close, Ping, Pong
from tests.hub.conftest import Running
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
    import zlib

    running = serve(echo)
    client = knock(running, Sec_WebSocket_Extensions="permessage-deflate")
    engine = zlib.compressobj(9, wbits=-15)
    bomb = (engine.compress(bytes(100_000_000)) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client.send(frame(0xC2, bomb, True))
    event = client.next()
    assert isinstance(event, Close) and event.code == 1009
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # KB
    others_go_on(running)


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
