"""The server over HTTP/2, asked by our own client engine and by foreign clients."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from gevent.event import Event
from hpack import Encoder

from skitai.hub import http2_rest
from skitai.hub.site import Site
from skitai.net.tls import server_context
from skitai.settings import Limits
from skitai.wire.feeding import Feeding
from skitai.wire.http2 import frames
from skitai.wire.http2.caps import RESETS
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.http2.frames import PREFACE, SETTINGS, serialize
from skitai.wire.http2.heads import raw_fields
from tests.hub.http2_client import Answer, Http2Client

Serve = Callable[..., Any]

CURL, NGHTTP = shutil.which("curl"), shutil.which("nghttp")
needs_nghttp = pytest.mark.skipif(NGHTTP is None, reason="needs nghttp: apt-get install nghttp2-client")
needs_curl = pytest.mark.skipif(CURL is None, reason="needs curl: apt-get install curl")


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def show(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    names = ("SERVER_PROTOCOL", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "HTTP_COOKIE")
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Was", environ["skitai.was"].request.version)])
    return ["|".join(environ.get(name, "-") for name in names).encode()]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("X-Length", environ["CONTENT_LENGTH"] or "-")])
    return [body]


def connect(server: Any, **options: Any) -> Http2Client:
    return Http2Client(server.connect().sock, **options)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    yield server_context(str(path))


def client_context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(list(protocols))
    return context


# How a connection comes to speak it


@pytest.mark.row("H2-02", "H2-03")
def test_prior_knowledge(serve: Serve) -> None:
    client = connect(serve(show))
    answer = client.request("GET", "/a%20b?c=d")
    assert (answer.status, answer.body) == (200, b"HTTP/2.0|GET|/a b|c=d|test|-")
    assert answer.get("x-was") == "2.0"
    assert answer.get("server") and answer.get("date") and answer.get("content-length") == "28"


@pytest.mark.row("H2-02")
def test_a_preface_byte_by_byte_and_a_post_that_begins_like_it(serve: Serve) -> None:
    server = serve(echo)
    engine = Http2Engine(False, Limits())
    engine.begin()
    client = server.connect()
    for byte in engine.data_to_send():
        client.send(bytes((byte,)))
        gevent.sleep(0)
    assert Http2Client(client.sock, engine=engine).request("POST", "/", b"abc").body == b"abc"
    client = server.connect()
    for byte in b"P":
        client.send(bytes((byte,)))
        gevent.sleep(0.01)
    client.send("OST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok")
    assert client.read().body == b"ok"


@pytest.mark.row("H2-01", "SSL-05")
def test_by_alpn(serve: Serve, tls: ssl.SSLContext, authority: trustme.CA) -> None:
    server = serve(show, tls=tls)
    connection = server.connect_tls(client_context(authority, "h2", "http/1.1"))
    assert connection.sock.selected_alpn_protocol() == "h2"
    assert Http2Client(connection.sock).request().body.startswith(b"HTTP/2.0|")
    connection = server.connect_tls(client_context(authority, "http/1.1"))
    assert connection.request().body.startswith(b"HTTP/1.1|")


@pytest.mark.row("H2-01")
def test_what_was_agreed_by_alpn_is_spoken(serve: Serve, tls: ssl.SSLContext, authority: trustme.CA) -> None:
    server = serve(hello, tls=tls)
    connection = server.connect_tls(client_context(authority, "h2"))
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    data = connection.read_rest()
    assert data.endswith(frames.goaway(0, Code.PROTOCOL_ERROR))
    connection = server.connect_tls(client_context(authority, "http/1.1"))
    connection.send(PREFACE)
    assert connection.read().status == 505


UPGRADE = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAAP__"}


def go_over(connection: Any) -> Http2Client:
    """Read the 101 and go on as stream 1 of HTTP/2."""
    response = connection.read_head()
    assert (response.status, response.get("Upgrade"), response.get("Connection")) == (101, "h2c", "Upgrade")
    engine = Http2Engine(False, Limits())
    engine._h2.initiate_upgrade_connection()
    from skitai.wire.http2.engine import _Stream

    engine.streams[1] = _Stream()
    client = Http2Client(connection.sock, engine=engine)
    client.answers[1] = Answer()
    rest, connection._buffer = connection._buffer, b""
    for event in engine.receive(rest, 0):
        client._take(event)
    return client


def ask_for_upgrade(server: Any, method: str = "GET", body: str = "", **fields: str) -> Any:
    fields = {"Host": "test", **UPGRADE, **fields}
    if body:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} /a?b HTTP/1.1", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return server.connect().send("\r\n".join([*lines, "", body]))


@pytest.mark.row("H2-02")
def test_upgrade(serve: Serve) -> None:
    client = go_over(ask_for_upgrade(serve(show), Cookie="x=1"))
    assert client.finish(1).body == b"HTTP/2.0|GET|/a|b|test|x=1"
    assert client.request("GET", "/next").body == b"HTTP/2.0|GET|/next||test|-"


@pytest.mark.row("H2-02")
def test_upgrade_of_a_post(serve: Serve) -> None:
    client = go_over(ask_for_upgrade(serve(echo), "POST", "the body"))
    assert client.finish(1).body == b"the body"
    assert client.request("POST", "/", b"again").body == b"again"


@pytest.mark.row("H2-02")
@pytest.mark.parametrize(
    "fields",
    [
        {"HTTP2_Settings": "!"},
        {"HTTP2_Settings": "AAMAAABk, AAMAAABk"},
        {"Upgrade": "irc/6.9"},
        {"Connection": "HTTP2-Settings"},
    ],
)
def test_upgrades_that_cannot_be_are_answered_in_http1(serve: Serve, fields: dict[str, str]) -> None:
    response = ask_for_upgrade(serve(show), **fields).read()
    assert response.status == 200 and response.body.startswith(b"HTTP/1.1|")


def test_no_upgrade_inside_tls(serve: Serve, tls: ssl.SSLContext, authority: trustme.CA) -> None:
    connection = serve(show, tls=tls).connect_tls(client_context(authority, "http/1.1"))
    fields = {name.replace("-", "_"): value for name, value in UPGRADE.items()}
    assert connection.request("GET", "/", **fields).body.startswith(b"HTTP/1.1|")


# Streams


@pytest.mark.row("H2-10")
def test_streams_run_at_the_same_time_and_end_in_any_order(serve: Serve) -> None:
    gate, inside = Event(), []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/slow":
            gate.wait()
        else:
            gate.set() if len(inside) == 3 else None
        return hello(environ, start_response)

    client = connect(serve(app))
    slow, *others = client.open("GET", "/slow"), client.open("GET", "/1"), client.open("GET", "/2")
    for stream in [*others, slow]:
        assert client.finish(stream).body == b"hello"


@pytest.mark.row("H2-10", "RUN-04")
def test_streams_share_the_slots_of_the_app(serve: Serve) -> None:
    running = 0
    most = 0

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gevent.sleep(0.01)
        running -= 1
        return hello(environ, start_response)

    client = connect(serve(app, threads=2))
    streams = [client.open() for _ in range(8)]
    assert [client.finish(stream).status for stream in streams] == [200] * 8
    assert most == 2


def test_an_app_that_raises_ends_its_own_stream_only(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/early":
            raise ValueError
        start_response("200 OK", [])
        if path == "/late":

            def parts() -> Iterator[bytes]:
                yield b"some"
                raise ValueError

            return parts()
        return [b"fine"]

    server = serve(app)
    client = connect(server)
    early, late, fine = (client.open("GET", path) for path in ("/early", "/late", "/fine"))
    assert client.finish(early).status == 500 and b"ValueError" not in client.answers[early].body
    assert client.finish(late).reset == Code.INTERNAL_ERROR
    assert client.finish(fine).body == b"fine"
    assert "ValueError" in server.app_text()


def test_a_stream_that_was_given_up_frees_its_app(serve: Serve) -> None:
    begun, noticed = Event(), Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1000
                begun.set()
                gevent.sleep(0)
        finally:
            noticed.set()

    client = connect(serve(app))
    stream = client.open()
    assert begun.wait(5)
    client.give_up(stream)
    assert noticed.wait(5)


# Responses


@pytest.mark.row("H2-06")
def test_downloads_larger_than_the_window(serve: Serve) -> None:
    size = 1_000_000

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"x" * size] if environ["PATH_INFO"] == "/" else (b"y" * 50_000 for _ in range(20))

    client = connect(serve(app))
    streams = [client.open("GET", "/"), client.open("GET", "/parts")]
    assert [len(client.finish(stream).body) for stream in streams] == [size, size]


@pytest.mark.row("H2-06")
def test_a_client_that_does_not_read_one_stream_gets_the_others(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * (10_000_000 if environ["PATH_INFO"] == "/large" else 5)]

    server = serve(app)
    sock = server.connect().sock
    engine = Http2Engine(False, Limits())
    engine.begin()
    engine._h2.increment_flow_control_window(100_000_000)
    client = Http2Client(sock, is_reading=False, engine=engine)
    large = client.open("GET", "/large")
    client.until(lambda: len(client.answers[large].body) == 262_144)
    assert client.request("GET", "/small").body == b"xxxxx"
    client.give_up(large)


def test_a_window_that_stays_shut_ends_the_stream(serve: Serve, until: Callable[..., None]) -> None:
    server = serve(lambda e, s: (s("200 OK", []), [b"x" * 10_000_000])[1], limits={"write_time": 0.3})
    client = connect(server, is_reading=False)
    assert client.finish(client.open()).reset == Code.CANCEL
    until(lambda: server.server.slots.busy == 0)


@pytest.mark.parametrize("how", ["list", "parts"])
def test_a_client_that_leaves_with_its_windows_shut_is_not_waited_for(
    serve: Serve, until: Callable[..., None], how: str
) -> None:
    called: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        called.append(environ["PATH_INFO"])
        return [b"hello"] if how == "list" else iter([b"hello", b"again"])

    server = serve(app)
    encoder = Encoder()
    connection = server.connect()
    connection.send(PREFACE + serialize(SETTINGS, 0, 0, (4).to_bytes(2, "big") + bytes(4)))  # a window of 0
    for number in (1, 3, 5):
        section = encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")])
        connection.send(serialize(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, section))
    until(lambda: len(called) == 3)
    connection.half_close()
    until(lambda: server.server.connections == 0)


def test_a_client_that_reads_nothing_is_closed(serve: Serve, until: Callable[..., None]) -> None:
    server = serve(lambda e, s: (s("200 OK", []), [b"x" * 30_000_000])[1], limits={"write_time": 0.3})
    connection = server.connect(receive_buffer=4096)
    engine = Http2Engine(False, Limits())
    engine.begin()
    engine._h2.increment_flow_control_window(1_000_000_000)
    setting = frames.serialize(SETTINGS, 0, 0, (4).to_bytes(2, "big") + (1_000_000_000).to_bytes(4, "big"))
    client = Http2Client(connection.sock, engine=engine)
    connection.send(setting)
    client.open()
    until(lambda: server.server.connections == 0)


@pytest.mark.parametrize("is_reading", [True, False])
def test_streams_that_hold_too_much_are_reset(serve: Serve, until: Callable[..., None], is_reading: bool) -> None:
    """``is_reading``: the client opens no window; else it opens all and reads nothing."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/endless":
            return itertools.repeat(b"x" * 50_000)
        return [b"x" * (1_000_000 if environ["PATH_INFO"] == "/large" else 5)]

    server = serve(app, limits={"http2_unsent": 10_500_000})
    window = 0 if is_reading else 2**31 - 1
    other = connect(server, is_reading=False)
    waiting = [other.open("GET", "/large") for _ in range(3)]
    connection = server.connect(receive_buffer=4096)
    client = Http2Client(connection.sock, is_reading=False)
    connection.send(frames.serialize(SETTINGS, 0, 0, (4).to_bytes(2, "big") + window.to_bytes(4, "big")))
    if not is_reading:
        connection.send(frames.serialize(frames.WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big")))
        client.open("GET", "/endless")
        until(lambda: server.server.backlog.held > 3_000_000)  # the socket takes no more
    streams = [client.open("GET", "/large") for _ in range(20)]
    until(lambda: "streams of 127.0.0.1" in server.messages_text())
    assert server.server.backlog.held < 10_500_000
    exchanges = max(server.server._connections, key=lambda each: each.number).session._exchanges
    until(lambda: len(exchanges) <= 10)  # those that were reset wait no longer, whatever the client does
    if is_reading:
        client.until(lambda: client.answers[streams[6]].has_ended)
        assert {client.answers[stream].reset for stream in streams[1:7]} == {Code.ENHANCE_YOUR_CALM}
        assert client.answers[streams[0]].reset is None
    assert other.request().body == b"xxxxx"
    assert [other.answers[stream].reset for stream in waiting] == [None] * 3
    connection.reset()
    until(lambda: server.server.backlog.held <= 3_000_000)
    other.sock.close()
    until(lambda: server.server.backlog.held == 0)


def test_streams_of_a_slow_line_wait_for_their_turn(serve: Serve) -> None:
    """Longer than any of them may stall: only the window of the connection is shut, and the others move on."""
    server = serve(lambda e, s: (s("200 OK", []), [b"x" * 150_000])[1], limits={"write_time": 0.3})
    client = connect(server, is_reading=False)
    streams = [client.open() for _ in range(20)]
    answers = [client.answers[stream] for stream in streams]
    while not all(answer.has_ended for answer in answers):
        client.step()
        gevent.sleep(0.02)
        client.engine._h2.increment_flow_control_window(15_000)
        client.flush()
    assert [(answer.reset, len(answer.body)) for answer in answers] == [(None, 150_000)] * 20


def test_head_204_and_304_have_no_body(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response({"/204": "204 No Content", "/304": "304 Not Modified"}.get(environ["PATH_INFO"], "200 OK"), [])
        return [] if environ["PATH_INFO"] == "/304" else [b"body"]

    client = connect(serve(app))
    head = client.request("HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "4")
    for path in ("/204", "/304"):
        answer = client.request("GET", path)
        assert (answer.status, answer.body, answer.get("content-length")) == (int(path[1:]), b"", None)


def test_bodies_of_a_length_that_was_given(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return {"/long": [b"123456"], "/short": [b"12"], "/parts": iter([b"12", b"34", b"56"])}[environ["PATH_INFO"]]

    client = connect(serve(app))
    assert client.request("GET", "/long").body == b"1234"
    assert client.request("GET", "/parts").body == b"1234"
    assert client.request("GET", "/short").reset == Code.INTERNAL_ERROR


def test_fields_of_a_connection_are_left_out(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fields = [("X-Name", " spaced "), ("Connection", "close"), ("Keep-Alive", "5"), ("Server", "own")]
        start_response("200 OK", [*fields, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b""]

    answer = connect(serve(app)).request()
    assert answer.get("x-name") == "spaced" and answer.get("server") == "own" and answer.get("connection") is None
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.row("STATIC-08")
def test_static_files(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_bytes(b"small")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 4000)
    site = Site()
    site.mount_directory("/files", str(tmp_path))
    client = connect(serve(site=site))
    answer = client.request("GET", "/files/small.txt")
    assert (answer.status, answer.body, answer.get("content-type")) == (200, b"small", "text/plain")
    assert client.request("GET", "/files/large.bin").body == bytes(range(256)) * 4000
    tag = answer.get("etag") or ""
    assert client.request("GET", "/files/small.txt", fields=[("if-none-match", tag)]).status == 304
    assert client.request("HEAD", "/files/large.bin").get("content-length") == "1024000"
    assert client.request("GET", "/nowhere").status == 404


# Request bodies


@pytest.mark.row("H2-06", "H2-07", "H2-08")
@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("has_length", [True, False])
def test_uploads(serve: Serve, size: int, has_length: bool) -> None:
    client = connect(serve(echo))
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stream = client.open("POST", "/", [("content-length", str(size))] if has_length else None, end=False)
    client.send(stream, body, True)
    answer = client.finish(stream)
    assert answer.body == body and answer.get("x-length") == str(size)


@pytest.mark.row("H2-06")
def test_an_app_that_reads_slowly_holds_its_client_back(serve: Serve) -> None:
    gate = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            return hello(environ, start_response)
        gate.wait()
        return echo(environ, start_response)

    client = connect(serve(app))
    client.request()
    stream = client.open("POST", "/", [("content-length", "2000000")], end=False)
    sent = 0
    while (room := client.engine.window(stream)) > 0:
        client.engine.send_data(stream, b"x" * room, False)
        sent += room
        client.flush()
    assert sent == 262_144
    assert client.request().body == b"hello"  # the others are not held
    assert client.engine.window(stream) == 0
    gate.set()
    client.send(stream, b"x" * (2_000_000 - sent), True)
    assert len(client.finish(stream).body) == 2_000_000


@pytest.mark.row("H2-07")
def test_bodies_that_are_too_large(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_rest, "LINGER_TIME", 0.1)
    server = serve(echo, limits={"body_bytes": 200_000})
    client = connect(server)
    told = client.open("POST", "/", [("content-length", "200001")], end=False)
    assert client.finish(told).status == 413
    client.until(lambda: told not in client.engine.streams)  # "stop sending"
    untold = client.open("POST", "/", end=False)
    client.send(untold, b"x" * 300_000)
    assert client.finish(untold).status == 413
    assert client.request("POST", "/", b"x" * 200_000).status == 200
    assert " 413 " in server.request_lines()[0]


def test_a_body_that_comes_too_slowly(serve: Serve) -> None:
    client = connect(serve(echo, limits={"body_time": 0.2}))
    small, large = client.open("POST", "/", end=False), client.open("POST", "/", [("content-length", "99999")], False)
    assert client.finish(small).status == 408
    assert client.finish(large).status == 408


def test_an_answer_before_the_body_tells_the_client_to_stop(serve: Serve) -> None:
    client = connect(serve(hello))
    stream = client.open("POST", "/", [("content-length", "999999")], end=False)
    answer = client.finish(stream)
    assert (answer.status, answer.body) == (200, b"hello")
    client.until(lambda: stream not in client.engine.streams)
    for _ in range(20):  # what is sent nevertheless costs the others nothing
        assert client.request("POST", "/", b"x" * 200_000).status == 200


@pytest.mark.parametrize(("status", "size"), [("404 Not Found", 999_999), ("200 OK", 200_000)])
def test_but_not_at_once_where_that_would_cost_it_the_answer(serve: Serve, status: str, size: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [b"hello"]

    client = connect(serve(app))
    for _ in range(5):
        stream = client.open("POST", "/", [("content-length", str(size))], end=False)
        answer = client.answers[stream]
        left = size
        while left:  # it sends all, and reads beside it
            client.until(lambda stream=stream: client.engine.window(stream) > 0)
            count = min(left, client.engine.window(stream))
            left -= count
            client.engine.send_data(stream, b"x" * count, not left)
            client.flush()
        assert client.finish(stream).status == int(status[:3]) and answer.reset is None


@needs_curl
@pytest.mark.row("H2-07")
def test_curl_gets_a_404_for_an_upload(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(bytes(1_000_000))
    server = serve(lambda environ, start_response: (start_response("404 Not Found", []), [b"nothing here"])[1])
    command = [str(CURL), "-s", "--max-time", "5", "--http2-prior-knowledge", "-w", "%{http_code} %{http_version}"]
    command += ["-o", str(tmp_path / "answer"), "--data-binary", f"@{tmp_path / 'upload'}"]
    done = subprocess.run([*command, f"http://127.0.0.1:{server.port}/"], capture_output=True)
    assert (done.stdout, done.returncode) == (b"404 2", 0)


def test_the_rest_of_an_answered_request_may_take_its_time_but_not_for_ever(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    monkeypatch.setattr(http2_rest, "LINGER_TIME", 0.1)
    monkeypatch.setattr(http2_rest, "LINGER_BYTES", 100_000)
    client = connect(serve(site=Site()))
    slow = client.open("POST", "/", [("content-length", "999999")], end=False)
    assert client.finish(slow).status == 404
    client.until(lambda: slow not in client.engine.streams)
    large = client.open("POST", "/", end=False)
    client.send(large, b"x" * 200_000)
    assert client.finish(large).status == 404


def test_a_body_that_came_and_was_not_read_gives_its_window_back(serve: Serve, until: Callable[..., None]) -> None:
    gate = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gate.wait()
        environ["wsgi.input"].read(10)
        return hello(environ, start_response)

    client = connect(serve(app))
    for _ in range(15):
        gate.clear()
        stream = client.open("POST", "/", [("content-length", "200000")], end=False)
        client.send(stream, b"x" * 200_000, True)
        gevent.sleep(0.005)  # all of it is there before the app goes on
        gate.set()
        assert client.finish(stream).body == b"hello"


def test_100_continue(serve: Serve) -> None:
    client = connect(serve(echo))
    for length in ("3", "100000"):
        stream = client.open("POST", "/", [("expect", "100-continue"), ("content-length", length)], end=False)
        client.until(lambda stream=stream: client.answers[stream].interim)
        client.send(stream, b"x" * int(length), True)
        answer = client.finish(stream)
        assert answer.body == b"x" * int(length) and answer.interim == [(100, [])]


def test_a_client_that_gives_an_upload_up(serve: Serve, until: Callable[..., None]) -> None:
    errors: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except Exception as error:
            errors.append(error)
            raise
        return []

    server = serve(app)
    client = connect(server)
    buffered, streamed = client.open("POST", "/", end=False), client.open("POST", "/", [("content-length", "99999")])
    del buffered
    client.give_up(streamed)
    client.sock.close()
    until(lambda: server.server.slots.busy == 0)
    assert all(isinstance(error, ConnectionError) for error in errors)


# What handlers can do that HTTP/1.1 has no use for


class Handler:
    """A handler that is fed at once and answers while the request comes, as one for gRPC would."""

    def __init__(self, server: Any, serve: Callable[[Any], None]) -> None:
        self._server = server
        self._serve = serve

    def feeding(self, exchange: Any) -> Feeding:
        return Feeding.AT_ONCE

    def accept(self, exchange: Any) -> None:
        self._server.pool.run(self._serve, exchange)


def with_handler(server: Any, serve: Callable[[Any], None]) -> None:
    handler = Handler(server.server, serve)
    server.server._only = handler
    server.server._dispatcher.handler = lambda exchange: handler


def test_both_directions_at_once_with_trailers(serve: Serve) -> None:
    server = serve(hello)

    def talk(exchange: Any) -> None:
        exchange.start(200, [("Content-Type", "application/grpc")])
        while part := exchange.input.read1(100):
            exchange.write(part.upper())
        exchange.finish([*exchange.trailers, ("grpc-status", "0")])

    with_handler(server, talk)
    client = connect(server)
    stream = client.open("POST", "/", [("te", "trailers")], end=False)
    answer = client.answers[stream]
    for word in (b"one", b"two", b"three"):
        client.send(stream, word)
        client.until(lambda word=word: answer.body.endswith(word.upper()))
    client.engine.send_trailers(stream, [("x-sum", "11")])
    client.flush()
    client.finish(stream)
    assert (answer.body, answer.trailers) == (b"ONETWOTHREE", [("x-sum", "11"), ("grpc-status", "0")])


def test_a_response_of_trailers_only_and_interim_responses(serve: Serve) -> None:
    server = serve(hello)

    def talk(exchange: Any) -> None:
        exchange.interim(103, [("Link", "</x>; rel=preload")])
        exchange.start(200, [])
        exchange.finish([("grpc-status", "5")])

    with_handler(server, talk)
    answer = connect(server).request()
    assert answer.interim == [(103, [("link", "</x>; rel=preload")])]
    assert (answer.status, answer.body, answer.trailers) == (200, b"", [("grpc-status", "5")])


def test_trailers_over_http1(serve: Serve) -> None:
    server = serve(hello)

    def talk(exchange: Any) -> None:
        exchange.start(200, [])
        exchange.write(b"x")
        exchange.finish([("X-Sum", "1")])

    with_handler(server, talk)
    data = server.connect().send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").read_rest()
    assert data.endswith(b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n")


def test_a_talk_may_pause_as_long_as_the_client_is_there(serve: Serve, until: Callable[..., None]) -> None:
    limits = {"body_time": 0.05, "body_rate": 100_000_000, "http2_idle": 0.1, "header_time": 0.1}
    server = serve(hello, limits=limits)

    def talk(exchange: Any) -> None:
        exchange.start(200, [])
        while part := exchange.input.read1(100):
            exchange.write(part)
        exchange.finish()

    with_handler(server, talk)
    client = connect(server)
    stream = client.open("POST", "/", end=False)
    answer = client.answers[stream]
    for word in (b"one", b"two"):
        client.send(stream, word)
        pings = client.pings
        client.until(lambda pings=pings: client.pings >= pings + 2)  # it answers, so it is there
    assert (answer.body, answer.has_ended) == (b"onetwo", False)
    until(lambda: server.server.connections == 0)


# Bounds


@pytest.mark.parametrize(
    ("fields", "path", "status"),
    [
        ([("x-long", "a" * 70_000)], "/", 431),
        ([(f"x-{i}", "") for i in range(120)], "/", 431),
        ([], "/" + "a" * 9000, 414),
        ([("expect", "much")], "/", 417),
    ],
)
def test_requests_beyond_the_limits(serve: Serve, fields: list[tuple[str, str]], path: str, status: int) -> None:
    server = serve(hello)
    client = connect(server)
    assert client.request("GET", path, fields=fields).status == status
    assert client.request().status == 200
    assert f" {status} " in server.request_lines()[0]


def test_malformed_requests_reset_their_stream(serve: Serve) -> None:
    client = connect(serve(hello))
    assert client.request("GET", "/", fields=[("connection", "close")]).reset == Code.PROTOCOL_ERROR
    assert client.request().status == 200


def test_streams_that_were_reset_count_until_their_app_has_noticed(serve: Serve, until: Callable[..., None]) -> None:
    gate = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gate.wait()
        return hello(environ, start_response)

    server = serve(app)
    client = connect(server)
    for count in range(128):
        stream = client.open()
        until(lambda count=count: server.server.slots.busy > count, f"{count} {server.server._connections}")
        client.give_up(stream)
    assert client.finish(client.open()).reset == Code.REFUSED_STREAM
    assert server.server.slots.busy <= 128
    gate.set()
    until(lambda: server.server.slots.busy == 0)
    assert client.request().status == 200


def test_requests_that_are_reset_at_once_reach_no_app(serve: Serve) -> None:
    calls = 0

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal calls
        calls += environ["PATH_INFO"] == "/reset"
        return hello(environ, start_response)

    client = connect(serve(app))
    for _ in range(10):
        raw = raw_fields([("host", "test")])
        request = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/reset"), *raw]
        client.engine.reset(client.engine.open(request, True), Code.CANCEL)
    client.flush()
    assert client.request().status == 200
    assert calls == 0


def _section(*fields: tuple[str, str]) -> bytes:
    head = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "test"), *fields]
    return bytes(Encoder().encode(head))


def _resets(count: int) -> bytes:
    cancel = (8).to_bytes(4, "big")
    return b"".join(
        serialize(frames.HEADERS, 5, number, _SECTION) + serialize(frames.RST_STREAM, 0, number, cancel)
        for number in range(1, 2 * count, 2)
    )


_SECTION = _section()
FLOODS = {
    "PING": serialize(frames.PING, 0, 0, b"12345678") * 5_000,
    "SETTINGS": serialize(SETTINGS, 0, 0, (4).to_bytes(2, "big") + (65_535).to_bytes(4, "big")) * 5_000,
    "WINDOW_UPDATE": serialize(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01") * 10_000,
    "empty DATA": serialize(frames.HEADERS, 4, 1, _SECTION) + serialize(frames.DATA, 0, 1) * 5_000,
    "CONTINUATION": serialize(frames.HEADERS, 0, 1, b"\x82") + serialize(frames.CONTINUATION, 0, 1, b"\x82") * 5_000,
    "rapid reset": _resets(2_000),
    "header bomb": serialize(frames.HEADERS, 4, 1, _section(("x-bomb", "a" * 3_900)))
    + serialize(frames.HEADERS, 4, 3, _SECTION + b"\xbe" * 16_000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection_and_no_other(serve: Serve, name: str) -> None:
    server = serve(hello)
    other = connect(server)
    other.request()
    client = server.connect()

    def send() -> None:
        with contextlib.suppress(ConnectionError):  # the server may be faster
            client.send(PREFACE + serialize(SETTINGS, 0, 0) + FLOODS[name])

    flood = gevent.spawn(send)
    assert other.request().status == 200
    with contextlib.suppress(ConnectionError):  # what it sent behind the end may make it a reset
        assert client.read_rest()[-4:] == Code.ENHANCE_YOUR_CALM.to_bytes(4, "big")
    flood.join()
    assert other.request().status == 200
    assert "ENHANCE_YOUR_CALM" in server.messages_text()


def test_a_request_in_the_same_read_as_what_breaks_its_connection(serve: Serve, until: Callable[..., None]) -> None:
    """Nobody waits for its answer any more, and no app fails because of that."""
    calls = 0

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        nonlocal calls
        calls += 1
        return hello(environ, start_response)

    server = serve(app)
    broken = serialize(frames.HEADERS, 5, 1, _SECTION) + serialize(frames.PING, 0, 3, b"12345678")
    client = server.connect().send(PREFACE + serialize(SETTINGS, 0, 0) + broken)
    assert client.read_rest().endswith(frames.goaway(1, Code.PROTOCOL_ERROR))
    until(lambda: server.server.connections == 0)
    assert calls == 0
    assert server.app_text() == ""


def test_a_client_that_ends_its_side_waits_for_no_window(serve: Serve, until: Callable[..., None]) -> None:
    server = serve(lambda e, s: (s("200 OK", []), [b"x" * 1_000_000])[1], limits={"write_time": 1_000})
    client = connect(server, is_reading=False)
    stream = client.open()
    client.until(lambda: len(client.answers[stream].body) == 262_144)
    client.sock.shutdown(socket.SHUT_WR)
    until(lambda: server.server.connections == 0)


def test_streams_that_are_refused_for_requests_given_up_count_as_resets(
    serve: Serve, until: Callable[..., None]
) -> None:
    """Whoever has given up as many as may be open, and goes on to ask, is a flood."""
    gate, begun = Event(), []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        begun.append(environ["PATH_INFO"])
        gate.wait()
        return hello(environ, start_response)

    server = serve(app, limits={"http2_streams": 2})
    client = connect(server)
    streams = [client.open() for _ in range(2)]
    until(lambda: len(begun) == 2)
    for stream in streams:
        client.give_up(stream)
    for _ in range(2 * RESETS[0]):
        answer = client.answers[client.open()]
        while not (answer.has_ended or client.is_closed):
            client.step()
        if client.is_closed:
            break
        assert answer.reset == Code.REFUSED_STREAM
    goodbye = client.goodbye
    assert goodbye is not None and goodbye.code == Code.ENHANCE_YOUR_CALM
    assert len(begun) == 2
    gate.set()


def test_many_busy_connections_take_turns(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hardly any time for a turn, all are still answered, in order."""
    monkeypatch.setattr("skitai.net.turns.MOST", 1e-9)
    monkeypatch.setattr("skitai.hub.http2.LONG", 0.0)
    monkeypatch.setattr("skitai.hub.http2.SLICE", 0.0)
    server = serve(echo)
    clients = [connect(server) for _ in range(5)]
    streams = [[client.open("POST", "/", end=False) for _ in range(20)] for client in clients]
    for client, numbers in zip(clients, streams, strict=True):
        for number in numbers:
            client.send(number, b"%d" % number, True)
    for client, numbers in zip(clients, streams, strict=True):
        assert [client.finish(number).body for number in numbers] == [b"%d" % number for number in numbers]


@pytest.mark.row("H2-11")
def test_idle_connections_end_with_a_goodbye(serve: Serve) -> None:
    client = connect(serve(hello, limits={"http2_idle": 0.2}))
    assert client.request().status == 200
    goodbye = client.until_closed()
    assert goodbye is not None and (goodbye.last, goodbye.code) == (1, Code.NO_ERROR)


@pytest.mark.row("H2-11")
def test_the_idle_time_is_120_seconds() -> None:
    assert Limits().http2_idle == 120


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n",
        PREFACE,
        PREFACE + serialize(SETTINGS, 0, 0) + serialize(frames.HEADERS, 0, 1, b"\x82"),
    ],
)
def test_what_is_begun_must_be_ended(serve: Serve, data: bytes, until: Callable[..., None]) -> None:
    server = serve(hello, limits={"header_time": 0.2})
    server.connect().send(data)
    until(lambda: server.server.connections == 0)


# The end


def test_requests_in_flight_are_answered_when_the_server_stops(serve: Serve) -> None:
    gate, inside = Event(), Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.set()
        gate.wait()
        return hello(environ, start_response)

    server = serve(app)
    client = connect(server)
    stream = client.open()
    inside.wait()
    stopping = gevent.spawn(server.server.stop, 5)
    client.until(lambda: client.goodbye)
    assert client.finish(client.open()).reset == Code.REFUSED_STREAM
    gate.set()
    assert client.finish(stream).body == b"hello"
    assert client.goodbye is not None and client.goodbye.last == 1
    client.until_closed()
    stopping.join()


def test_a_client_that_has_just_connected_is_answered_when_the_server_stops(serve: Serve) -> None:
    server = serve(hello)
    connection = server.connect()
    connection.send(PREFACE)
    gevent.sleep(0.01)
    stopping = gevent.spawn(server.server.stop, 5)
    gevent.sleep(0.01)
    engine = Http2Engine(False, Limits())
    engine.begin()
    connection.send(engine.data_to_send().removeprefix(PREFACE))
    client = Http2Client(connection.sock, engine=engine)
    assert client.request().body == b"hello"
    client.until_closed()
    stopping.join()


def test_a_goodbye_of_the_client(serve: Serve) -> None:
    client = connect(serve(hello))
    assert client.request().status == 200
    client.sock.sendall(frames.goaway(0, 0))
    client.until_closed()


def test_a_client_that_half_closes_is_answered(serve: Serve) -> None:
    client = connect(serve(hello), is_reading=False)
    client.request()
    stream = client.open()
    client.sock.shutdown(socket.SHUT_WR)
    assert client.finish(stream).body == b"hello"
    client.until_closed()


@pytest.mark.row("H2-05", "LOG-06")
def test_cookies_and_the_request_log(serve: Serve) -> None:
    server = serve(show)
    fields = [("cookie", "a=1"), ("cookie", "b=2"), ("user-agent", "tester")]
    assert connect(server).request("GET", "/x", fields=fields).body.endswith(b"|a=1; b=2")
    (line,) = server.request_lines()
    assert " test GET /x HTTP/2.0 200 0 " in line and '"tester"' in line


# Foreign clients


def run(*command: str) -> str:
    from gevent import subprocess as green

    done = green.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    assert done.returncode == 0, done.stdout.decode()
    return str(done.stdout.decode())


@needs_curl
@pytest.mark.row("H2-02", "H2-03", "H2-07")
@pytest.mark.parametrize("how", ["--http2-prior-knowledge", "--http2"])
def test_curl(serve: Serve, tmp_path: Path, how: str) -> None:
    url = f"http://127.0.0.1:{serve(echo).port}/"
    body = tmp_path / "body"
    body.write_bytes(b"x" * 1_000_000)
    assert run("curl", "-s", how, "-d", "abc", "-w", " %{http_version}", url) == "abc 2"
    assert run("curl", "-s", how, "--data-binary", f"@{body}", url) == "x" * 1_000_000


@needs_curl
@pytest.mark.row("H2-01")
def test_curl_over_tls(serve: Serve, tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    url = f"https://localhost:{serve(hello, tls=tls).port}/"
    assert run("curl", "-s", "--cacert", str(path), "-w", " %{http_version}", url) == "hello 2"


@needs_nghttp
@pytest.mark.row("H2-02", "H2-10")
@pytest.mark.parametrize("how", [[], ["--upgrade"]])
def test_nghttp(serve: Serve, how: list[str]) -> None:
    url = f"http://127.0.0.1:{serve(hello).port}/"
    assert run("nghttp", *how, url) == "hello"
    assert run("nghttp", *how, "-m", "50", "-s", "-n", url).count(" 200 ") == 50
