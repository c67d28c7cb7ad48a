"""Slow, broken and greedy clients: others are answered meanwhile, and nothing is left behind."""

from __future__ import annotations

import gc
import itertools
import resource
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import greenlet

from skitai.hub.connection import MOST_AT_ONCE
from skitai.hub.site import Site
from skitai.net.transport import PlainTransport

BIG = 20_000_000
WHOLE = b"x" * BIG


class Apps:
    """An app of several pages."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return getattr(self, environ["PATH_INFO"].strip("/") or "hello")(environ, start_response)

    def hello(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    def big(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return itertools.repeat(b"x" * 50_000, BIG // 50_000)

    def whole(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [WHOLE]

    def reading(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        while data := environ["wsgi.input"].read(50_000):
            self.read += len(data)
        start_response("200 OK", [])
        return [b"read"]

    def echoing(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return iter(lambda: environ["wsgi.input"].read(50_000), b"")


@pytest.fixture
def app() -> Apps:
    return Apps()


@pytest.fixture
def others_are_served(serve: Any) -> Callable[[Any], None]:
    """Ask for a page on a connection of its own; a second is long, and the page takes a millisecond."""

    def check(server: Any) -> None:
        with gevent.Timeout(1.0, AssertionError("another client had to wait for more than a second")):
            for _ in range(3):
                assert server.get().body == b"hello"

    return check


def nothing_is_left(server: Any, until: Any) -> None:
    until(lambda: server.server.connections == 0, "all connections are gone")
    until(lambda: server.server.slots.busy == 0, "all slots are free")


def live_greenlets() -> int:
    gc.collect()
    return sum(1 for each in gc.get_objects() if isinstance(each, greenlet) and not each.dead)


REQUESTS = {
    "get": b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n",
    "small body": b"POST /reading HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n" + b"b" * 20,
    "chunks": b"POST /reading HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "pipeline": b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * 2,
    "garbage": b"\x00\x01\x02 \r\n\r\n",
}


@pytest.mark.row("WSGI-16")
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("how", ["reset", "close", "half_close"])
def test_clients_that_stop_at_every_byte_of_a_request(serve, app, until, name, how, others_are_served):
    server = serve(app)
    request = REQUESTS[name]
    for end in range(len(request) + 1):
        client = server.connect().send(request[:end])
        getattr(client, how)()
        if how == "half_close":
            client.read_rest()
            client.close()
        elif end % 10 == 0:
            gevent.sleep(0)  # some go before the server looked, some after
    others_are_served(server)
    nothing_is_left(server, until)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_clients_that_stop_inside_a_large_body(serve, app, until, how, others_are_served):
    server = serve(app)
    for page in ("reading", "hello", "echoing"):
        for sent in (0, 1, 65_535, 65_536, 70_000, 400_000):
            client = server.connect()
            client.send(f"POST /{page} HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n")
            client.send(b"b" * sent)
            getattr(client, how)()
    others_are_served(server)
    nothing_is_left(server, until)
    assert "[expt" not in server.app_text()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("page", ["big", "whole"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_clients_that_stop_inside_a_response(serve, app, until, how, page, version, others_are_served):
    server = serve(app)
    for taken in (0, 1, 200, 100_000, 1_000_000):
        client = server.connect().send(f"GET /{page} HTTP/{version}\r\nHost: test\r\n\r\n")
        client.read_exactly(taken)
        getattr(client, how)()
    others_are_served(server)
    nothing_is_left(server, until)
    assert "[expt" not in server.app_text()


def test_readers_that_never_read(serve, app, until, others_are_served):
    server = serve(app, limits={"write_time": 0.5})
    clients = [server.connect(receive_buffer=4096) for _ in range(30)]
    for number, client in enumerate(clients):
        client.send(f"GET /{('big', 'whole')[number % 2]} HTTP/1.1\r\nHost: test\r\n\r\n")
    others_are_served(server)
    nothing_is_left(server, until)


@pytest.fixture
def files(tmp_path: Any, mounted: Any, app: Apps) -> Site:
    (tmp_path / "file").write_bytes(WHOLE)
    site = Site()
    site.mount_app("/", mounted(app))
    site.mount_directory("/files", str(tmp_path))
    return site


def test_readers_of_files_that_never_read_or_stop(serve, files, until, open_files, others_are_served):
    server = serve(site=files, limits={"write_time": 0.5})
    before = open_files()
    for how in ("wait", "reset", "close") * 5:
        client = server.connect(receive_buffer=4096).send("GET /files/file HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_exactly(5000)
        if how != "wait":
            getattr(client, how)()
    others_are_served(server)
    nothing_is_left(server, until)
    until(lambda: open_files() <= before + 5, "files and sockets are closed; the five clients that wait are ours")
    assert "[expt" not in server.messages_text()


@pytest.mark.parametrize("target", ["/big", "/whole", "/files/file"])
def test_a_client_that_takes_bytes_as_fast_as_they_come(serve, files, monkeypatch, target):
    """Its response never has to wait for it, and yet others have their turn."""
    bytes_of_turn: Counter[int] = Counter()
    turn = 0

    class Greedy(PlainTransport):
        def __init__(self, sock: Any) -> None:
            super().__init__(sock)
            self.send = self.take

        def take(self, data: Any) -> int:
            bytes_of_turn[turn] += len(data)
            return len(data)

        def send_file(self, file: int, offset: int, count: int) -> int:
            bytes_of_turn[turn] += count
            return count

    def count_turns() -> None:
        nonlocal turn
        while bytes_of_turn.total() < BIG:
            turn += 1
            gevent.sleep(0)

    monkeypatch.setattr("skitai.hub.server.PlainTransport", Greedy)
    client = serve(site=files).connect().send(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    counting = gevent.spawn(count_turns)
    client.read_rest()
    counting.join(10)
    assert bytes_of_turn.total() >= BIG
    assert max(bytes_of_turn.values()) <= 2 * MOST_AT_ONCE


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_client_that_sends_and_reads_at_once(serve, app, framing):
    """The response begins before the request has ended, and each waits for the other at times."""
    body = bytes(range(256)) * 16_000
    server = serve(app, spool_bodies=False)
    client = server.connect(receive_buffer=4096)

    def send() -> None:
        field = f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked"
        client.send(f"POST /echoing HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n")
        for start in range(0, len(body), 30_000):
            part = body[start : start + 30_000]
            client.send(part if framing == "length" else b"%x\r\n%b\r\n" % (len(part), part))
        if framing == "chunked":
            client.send(b"0\r\n\r\n")

    sending = gevent.spawn(send)
    response = client.read()
    sending.get(timeout=10)
    assert response.body == body
    # When the response began, nobody knew whether its app would read the rest of the request.
    assert response.get("Connection") == "close"
    client.expect_end()


def test_a_reader_that_reads_slowly_gets_everything(serve, app):
    server = serve(app)
    client = server.connect(receive_buffer=4096).send("GET /whole HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    for _ in range(5):
        client.read_exactly(1000)
        gevent.sleep(0.02)
    assert len(client.read_exactly(BIG - 5000)) == BIG - 5000
    assert client.request().body == b"hello"


def test_dripped_heads_and_bodies(serve, app, until, others_are_served):
    server = serve(app, limits={"header_time": 0.5, "body_time": 0.5, "body_rate": 1_000_000})
    texts = [
        b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"y" * 1000,
        b"\r\n" + b"G" * 1000,
        b"POST /reading HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n" + b"b" * 900,
        b"POST /reading HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nb\r\n" * 300,
        b"POST /reading HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 900,
        b"POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n" + b"b" * 900,
    ]

    def drip(text: bytes) -> bytes:
        client = server.connect()
        try:
            for byte in text:
                client.send(bytes([byte]))
                gevent.sleep(0.005)
        except OSError:
            pass
        try:
            return client.read_rest()
        except ConnectionResetError:
            return b""  # the client went on sending long after its answer

    dripping = [gevent.spawn(drip, text) for text in texts * 5]
    others_are_served(server)
    gevent.joinall(dripping, timeout=10)
    others_are_served(server)
    assert all(each.ready() for each in dripping)
    nothing_is_left(server, until)


def test_an_endless_head_is_refused_before_it_fills_the_memory(serve, app, others_are_served):
    server = serve(app)
    for text in (b"GET /", b"GET / HTTP/1.1\r\nHost: test\r\nX: ", b"GET / HTTP/1.1\r\nHost: test\r\n"):
        client = server.connect().send(text)
        piece = b"y: z\r\n" * 2000 if text.endswith(b"\n") else b"y" * 12_000
        sent = 0
        try:
            while sent < 40_000_000:
                client.send(piece)
                sent += len(piece)
                gevent.sleep(0)
        except OSError:
            pass
        assert sent < 40_000_000
    others_are_served(server)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gigabyte_for_an_app_that_does_not_read(serve, app, until, framing, others_are_served):
    """Answered at once; what the client goes on sending is read for a moment and then refused."""
    server = serve(app, limits={"body_bytes": 2_000_000_000}, spool_bodies=False)
    client = server.connect()
    field = "Content-Length: 1000000000" if framing == "length" else "Transfer-Encoding: chunked"
    client.send(f"POST /hello HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n")
    if framing == "chunked":
        client.send("3b9aca00\r\n")
    sent = [0]

    def send() -> None:
        try:
            while sent[0] < 1_000_000_000:
                client.send(b"b" * 100_000)
                sent[0] += 100_000
        except OSError:
            pass

    sending = gevent.spawn(send)
    assert client.read().body == b"hello"
    others_are_served(server)
    sending.join(10)
    assert sent[0] < 100_000_000
    nothing_is_left(server, until)


def test_a_body_for_an_app_that_reads_nothing_for_long_is_held_back(serve, until, others_are_served):
    """The server holds a bounded part of it, and TCP holds the client."""
    go = Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            go.wait()
        start_response("200 OK", [])
        return [b"hello"]

    server = serve(app, limits={"body_bytes": 2_000_000_000})
    client = server.connect()
    client.send("POST /wait HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n")
    sent = [0]

    def send() -> None:
        try:
            while True:
                client.send(b"b" * 100_000)
                sent[0] += 100_000
        except OSError:
            pass

    sending = gevent.spawn(send)
    before = -1
    while sent[0] != before:
        before = sent[0]
        gevent.sleep(0.1)
    assert sent[0] < 30_000_000
    others_are_served(server)
    go.set()
    assert client.read().body == b"hello"
    client.reset()
    sending.join(10)
    nothing_is_left(server, until)


def test_a_pipeline_behind_a_slow_request_is_held_back(serve, until, others_are_served):
    go = Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            go.wait()
        start_response("200 OK", [])
        return [b"hello"]

    server = serve(app)
    client = server.connect().send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
    sent = [0]

    def send() -> None:
        try:
            while True:
                client.send(REQUESTS["get"] * 1000)
                sent[0] += 1000 * len(REQUESTS["get"])
        except OSError:
            pass

    sending = gevent.spawn(send)
    before = -1
    while sent[0] != before:
        before = sent[0]
        gevent.sleep(0.1)
    (connection,) = server.server._connections
    assert connection.session._reader.buffered < 300_000
    others_are_served(server)
    go.set()
    for _ in range(3000):
        assert client.read().body == b"hello"
    client.reset()
    sending.join(10)
    nothing_is_left(server, until)


def test_a_flood_of_connects(serve, app, until, open_files, others_are_served):
    server = serve(app)
    others_are_served(server)
    until(lambda: server.server.connections == 0)
    before = open_files()
    for number in range(1000):
        client = server.connect()
        if number % 3 == 0:
            client.reset()
        else:
            client.close()
        if number % 250 == 0:
            others_are_served(server)
    nothing_is_left(server, until)
    until(lambda: open_files() <= before + 2, "files and sockets are closed")


@pytest.mark.row("WSGI-16")
def test_thousands_of_idle_connections(serve, app, until, open_files, others_are_served):
    most = min(2000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - open_files()) // 2 - 100)
    server = serve(app, limits={"keep_alive": 60, "header_time": 60})
    before = open_files()
    greenlets = live_greenlets()
    clients = [server.connect() for _ in range(most)]
    for each in clients[::2]:
        each.send(REQUESTS["get"])
    for each in clients[::2]:
        assert each.read().body == b"hello"
    until(lambda: server.server.connections == most)
    assert live_greenlets() < greenlets + 100  # an idle connection has none
    others_are_served(server)
    for number, each in enumerate(clients):
        each.close() if number % 2 else each.reset()
    nothing_is_left(server, until)
    until(lambda: open_files() <= before + 2, "files and sockets are closed")


def test_a_process_without_file_descriptors_goes_on_when_it_has_some_again(serve, app, until, open_files):
    server = serve(app)
    assert server.get().status == 200
    until(lambda: server.server.connections == 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 9, hard))
        for _ in range(8):  # the last of them get a connection from the kernel, and the server cannot accept it
            try:
                clients.append(server.connect().send(REQUESTS["get"]))
            except OSError:
                break
        until(lambda: "accepting rests" in server.messages_text())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [each.read().body for each in clients] == [b"hello"] * len(clients)
    assert server.messages_text().count("accepting rests") < 5


def rude_round(server: Any) -> None:
    """A bit of everything above."""
    for name, request in REQUESTS.items():
        for end in (0, 5, len(request) // 2, len(request)):
            client = server.connect().send(request[:end])
            client.reset() if name == "get" else client.close()
    for page, sent in (("reading", 70_000), ("hello", 200_000), ("echoing", 300_000)):
        client = server.connect()
        client.send(f"POST /{page} HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n".encode() + b"b" * sent)
        client.reset()
    for page in ("big", "whole"):
        client = server.connect().send(f"GET /{page} HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_exactly(1000)
        client.reset()
    client = server.connect()
    for _ in range(20):
        assert client.request().body == b"hello"
    client.close()


def test_rounds_of_rudeness_leave_nothing_behind(serve, app, until, open_files):
    server = serve(app)

    def settle() -> tuple[int, int, int]:
        nothing_is_left(server, until)
        server._clients.clear()
        server.logs.flush()
        for stream in (server.requests, server.messages, server.apps):
            stream.seek(0)
            stream.truncate()
        gc.collect()
        return tracemalloc.get_traced_memory()[0], open_files(), live_greenlets()

    tracemalloc.start()
    try:
        for _ in range(3):  # caches and the pool of greenlets fill
            rude_round(server)
        first = settle()
        for _ in range(10):
            rude_round(server)
        last = settle()
    finally:
        tracemalloc.stop()
    assert last[0] - first[0] < 200_000, (first, last)
    assert last[1] <= first[1]
    assert last[2] <= first[2] + 3
