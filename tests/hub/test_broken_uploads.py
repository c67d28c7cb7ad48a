"""Uploads that end before their end: for an app an OSError, never a short body that looks complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ClientDisconnected, RemoteProtocolError, RequestBodyFailed
from skitai.saddle import Saddle
from tests.hub.http2_client import Http2Client

Serve = Callable[..., Any]

LENGTH = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n"
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


class Reader:
    """Reads the body in one of several ways, and notes what came of it."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read
        self.seen: list[Any] = []
        self.began = Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.began.set()
        try:
            self.read(environ["wsgi.input"])
            self.seen.append("complete")
        except OSError as error:
            self.seen.append(error)
            with pytest.raises(OSError):
                environ["wsgi.input"].read(1)  # it stays so
            raise
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"taken"]


WAYS = {
    "all": lambda body: body.read(),
    "parts": lambda body: [None for _ in iter(lambda: body.read(8192), b"")],
    "length": lambda body: body.read(200_000),
    "lines": lambda body: list(body),
    "read1": lambda body: [None for _ in iter(lambda: body.read1(8192), b"")],
    "readinto": lambda body: [None for _ in iter(lambda: body.readinto(bytearray(100_000)), 0)],
}


def leave(client: Any, way: str) -> None:
    {"close": client.close, "half-close": client.half_close, "reset": client.reset}[way]()


@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("head", [LENGTH, CHUNKED])
@pytest.mark.parametrize("way", ["close", "half-close", "reset"])
def test_over_http1(serve: Serve, until: Any, read: str, head: bytes, way: str) -> None:
    app = Reader(WAYS[read])
    running = serve(app, spool_bodies=False)
    client = running.connect()
    client.send(head + b"x" * 100_000)
    assert app.began.wait(5)
    leave(client, way)
    until(lambda: app.seen)
    assert isinstance(app.seen[0], ConnectionError)
    if way == "half-close":
        assert client.read().status == 400
        client.expect_end()
    else:
        until(lambda: running.server.connections == 0)
    until(lambda: "broke" in running.messages_text() or "refused" in running.messages_text())
    assert "[expt:" not in running.app_text()
    assert running.get("/").body == b"taken"


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("way", ["reset of the stream", "end of the connection"])
def test_over_http2(serve: Serve, until: Any, has_length: bool, way: str) -> None:
    app = Reader(WAYS["all"])
    running = serve(app, spool_bodies=False)
    sock = running.connect()
    client = Http2Client(sock.sock)
    stream = client.open("POST", "/", [("content-length", "200000")] if has_length else None, end=False)
    client.send(stream, b"x" * 100_000)
    assert app.began.wait(5)
    if way == "reset of the stream":
        client.give_up(stream)
    else:
        sock.reset()
    until(lambda: app.seen)
    assert isinstance(app.seen[0], ClientDisconnected)
    until(lambda: "broke a request off" in running.messages_text())
    assert "[expt:" not in running.app_text()


@pytest.mark.parametrize(
    ("rest", "status"),
    [(b"", 408), (b"x" * 100_000 + b"\r\nno chunk\r\n", 400), (b"x" * 100_000 + b"\r\nffffff\r\n", 413)],
)
def test_slow_malformed_and_large(serve: Serve, until: Any, rest: bytes, status: int) -> None:
    app = Reader(WAYS["all"])
    limits = {"body_time": 0.3 if status == 408 else 20.0, "body_rate": 10_000_000, "body_bytes": 300_000}
    running = serve(app, spool_bodies=False, limits=limits)
    client = running.connect()
    client.send(CHUNKED + b"x" * 100_000 + rest)
    assert client.read().status == status
    client.expect_end()
    assert isinstance(app.seen[0], RequestBodyFailed)
    assert app.seen[0].status == status


def test_an_app_that_swallows_it_answers_nobody(serve: Serve, until: Any) -> None:
    seen: list[str] = []

    began = Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        began.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            seen.append(str(error))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"thank you"]

    running = serve(app)
    client = running.connect()
    client.send(LENGTH + b"x" * 100_000).half_close()
    response = client.read()
    assert (response.status, response.get("Connection")) == (400, "close")
    assert "refused" in running.messages_text()
    began.clear()
    client = running.connect()
    client.send(LENGTH + b"x" * 100_000)
    assert began.wait(5)
    client.reset()
    until(lambda: len(seen) == 2)
    until(lambda: "broke a request off after" in running.messages_text())
    assert "[expt:" not in running.app_text()
    assert running.get().status == 200


def test_an_app_that_reads_after_its_response_hears_of_it(serve: Serve, until: Any) -> None:
    """Whoever reads on must not wait for ever."""
    errors: list[OSError] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        def read_on() -> None:
            try:
                environ["wsgi.input"].read()
            except OSError as error:
                errors.append(error)

        gevent.spawn(read_on)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"early"]

    running = serve(app)
    client = running.connect()
    client.send(LENGTH + b"x" * 100_000)
    assert client.read().body == b"early"
    h2 = Http2Client(running.connect().sock)
    stream = h2.open("POST", "/", [("content-length", "200000")], end=False)
    h2.send(stream, b"x" * 100_000)
    h2.until(lambda: h2.answers[stream].body == b"early")
    until(lambda: len(errors) == 2)


@pytest.mark.parametrize("kind", [FORM, "application/x-www-form-urlencoded", "application/octet-stream"])
@pytest.mark.parametrize("way", ["close", "half-close", "reset"])
def test_apps_of_saddle(serve: Serve, until: Any, kind: str, way: str) -> None:
    app = Saddle(__name__)
    complete: list[bytes] = []

    @app.route("/")
    def take(was: Any, **form: Any) -> str:
        complete.append(was.request.body)
        return "taken"

    running = serve(app)
    client = running.connect()
    head = LENGTH.replace(b"\r\n\r\n", f"\r\nContent-Type: {kind}\r\n\r\n".encode())
    client.send(head + (PART if kind == FORM else b"") + b"x" * 100_000)
    until(lambda: running.server.slots.busy == 1)
    leave(client, way)
    if way == "half-close":
        assert client.read().status == 400
    until(lambda: running.server.slots.busy == 0 and running.request_lines())
    assert complete == []
    assert "broke" in running.messages_text() or "refused" in running.messages_text()


def test_what_frameworks_make_of_it(serve: Serve, until: Any) -> None:
    """Flask knows it by OSError, and answers 400 without a line in its log of errors."""
    from flask import Flask, request

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000  # without it Werkzeug hands out what is read as it is
    seen: list[str] = []
    app.post("/")(lambda: str(len(request.get_data())))

    @app.errorhandler(400)
    def bad(error: Exception) -> tuple[str, int]:
        seen.append(type(error).__name__)
        return "bad", 400

    client = serve(app).connect()
    client.send(LENGTH + b"x" * 100_000).half_close()
    assert client.read().status == 400
    assert seen == ["ClientDisconnected"]


def test_the_errors() -> None:
    error = RequestBodyFailed("too slow", 408)
    assert isinstance(error, RemoteProtocolError) and isinstance(error, ConnectionError)
    assert (str(error), error.status, error.errno, error.args) == ("too slow", 408, None, ("too slow",))
