"""Request bodies without Content-Length: apps that go by CONTENT_LENGTH get them whole, from memory or from a file."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gevent
import pytest
from gevent.event import Event

from skitai.hub import spool
from tests.hub.http2_client import Http2Client

Serve = Callable[..., Any]

OK = ("200 OK", [("Content-Type", "text/plain")])
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def by_length(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads as CGI taught: as many bytes as CONTENT_LENGTH says, and not one more."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
    start_response(*OK)
    return [str(environ.get("HTTP_TRANSFER_ENCODING")).encode() + b" " + body]


def chunks(body: bytes, size: int = 30_000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, in which there are no others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def spooled(until: Callable[..., None]) -> Callable[[], None]:
    """Assert that no file of a body is open any more."""

    def look() -> None:
        until(lambda: not open_bodies(), f"no file is left: {open_bodies()}")

    return look


def open_bodies() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target.startswith(tempfile.gettempdir()) and "deleted" in target:
            found.append(target)
    return found


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 262_144, 3_000_000])
@pytest.mark.parametrize("protocol", [1, 2])
def test_apps_that_go_by_the_length(serve: Serve, spooled: Any, size: int, protocol: int) -> None:
    server = serve(by_length)
    body = pattern(size)
    if protocol == 1:
        client = server.connect()
        client.send(HEAD + chunks(body) + GET)
        assert client.read().body == b"None " + body
        assert client.read().body == b"None "
    else:
        h2 = Http2Client(server.connect().sock)
        for _ in range(2):
            stream = h2.open("POST", "/", end=False)
            h2.send(stream, body, True)
            assert h2.finish(stream).body == b"None " + body
    spooled()
    assert server.server.disk.used == 0


def test_a_body_may_come_in_any_pieces(serve: Serve, spooled: Any) -> None:
    body = pattern(70_000)
    client = serve(by_length).connect()
    data = HEAD + chunks(body, 1000) + GET
    for start in range(0, len(data), 4001):
        client.send(data[start : start + 4001])
        gevent.sleep(0)
    assert client.read().body == b"None " + body
    assert client.read().body == b"None "
    spooled()


def test_several_bodies_at_a_time(serve: Serve, spooled: Any) -> None:
    server = serve(by_length)
    body = pattern(400_000)

    def ask(number: int) -> bool:
        client = server.connect()
        own = bytes([number]) + body
        client.send(HEAD + chunks(own))
        return bool(client.read().body == b"None " + own)

    asking = [gevent.spawn(ask, number) for number in range(30)]
    assert all(each.get(timeout=20) for each in asking)
    spooled()


def test_an_upload_on_its_way_holds_no_slot(serve: Serve) -> None:
    server = serve(by_length, threads=1)
    slow = server.connect()
    body = pattern(200_000)
    whole = HEAD + chunks(body)
    slow.send(whole[:150_000])
    assert server.get().status == 200
    slow.send(whole[150_000:])
    assert slow.read().body == b"None " + body


def test_the_client_is_asked_to_go_on_before_the_body_and_answered_behind_it(serve: Serve) -> None:
    client = serve(by_length).connect()
    client.send(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert client.read().status == 100
    body = pattern(200_000)
    client.send(chunks(body))
    assert client.read().body == b"None " + body


def test_trailers_of_a_body_in_a_file(serve: Serve) -> None:
    client = Http2Client(serve(by_length).connect().sock)
    stream = client.open("POST", "/", end=False)
    body = pattern(200_000)
    client.send(stream, body)
    client.engine.send_trailers(stream, [("x-sum", "1")])
    client.flush()
    assert client.finish(stream).body == b"None " + body


def test_a_length_over_http2_that_is_wrong_ends_the_stream(serve: Serve) -> None:
    client = Http2Client(serve(by_length).connect().sock)
    stream = client.open("POST", "/", [("content-length", "200000")], end=False)
    client.send(stream, pattern(100_000), True)
    client.until(lambda: client.answers[stream].reset is not None)
    assert client.request("GET").status == 200


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_client_that_goes_in_the_middle_leaves_no_file(serve: Serve, until: Any, spooled: Any, protocol: int) -> None:
    called: list[object] = []
    server = serve(lambda *args: called.append(1) or by_length(*args))
    client = server.connect()
    if protocol == 1:
        client.send(HEAD + chunks(pattern(400_000))[:-300])
        until(open_bodies, "the body goes to a file")
        client.reset()
    else:
        h2 = Http2Client(client.sock)
        stream = h2.open("POST", "/", end=False)
        h2.send(stream, pattern(400_000))
        until(open_bodies, "the body goes to a file")
        h2.give_up(stream)
    spooled()
    until(lambda: server.server.disk.used == 0)
    assert not called
    assert server.get().status == 200


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_body_in_a_file_has_the_limit_of_all(serve: Serve, spooled: Any, protocol: int) -> None:
    server = serve(by_length, limits={"body_bytes": 300_000})
    if protocol == 1:
        client = server.connect()
        client.send(HEAD + chunks(pattern(300_000)))
        assert client.read().status == 200
        client.send(HEAD + chunks(pattern(300_001)))
        assert client.read().status == 413
        client.expect_end()
    else:
        h2 = Http2Client(server.connect().sock)
        stream = h2.open("POST", "/", end=False)
        h2.send(stream, pattern(300_001), True)
        assert h2.finish(stream).status == 413
        assert h2.request("GET").status == 200
    spooled()


def test_a_slow_body_in_a_file_is_refused(serve: Serve, spooled: Any) -> None:
    client = serve(by_length, limits={"body_time": 0.5, "body_rate": 100_000_000}).connect()
    client.send(HEAD + chunks(pattern(200_000))[:-10])
    assert client.read().status == 408
    client.expect_end()
    spooled()


def full(monkeypatch: pytest.MonkeyPatch, after: int, number: int) -> None:
    """Let the disk fail once it has taken so many bytes."""
    write, taken = os.write, [0]

    def limited(file: int, data: Any) -> int:
        taken[0] += len(data)
        if taken[0] > after:
            raise OSError(number, os.strerror(number))
        return write(file, data)

    monkeypatch.setattr(spool.os, "write", limited)  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize("after", [0, 150_000])
@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 500)])
def test_a_disk_that_takes_nothing_more(
    serve: Serve,
    spooled: Any,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int,
    after: int,
    number: int,
    status: int,
) -> None:
    server = serve(by_length)
    with monkeypatch.context() as patch:
        full(patch, after, number)
        if protocol == 1:
            client = server.connect()
            client.send(HEAD + chunks(pattern(300_000)))
            assert client.read().status == status
            client.expect_end()
        else:
            h2 = Http2Client(server.connect().sock)
            stream = h2.open("POST", "/", end=False)
            h2.send(stream, pattern(300_000), True)
            assert h2.finish(stream).status == status
            assert h2.request("GET").status == 200
        spooled()
    assert os.strerror(number) in server.messages_text()
    assert tempfile.gettempdir() not in str(status)
    client = server.connect()
    client.send(HEAD + chunks(pattern(300_000)))
    assert client.read().status == 200
    spooled()
    assert server.server.disk.used == 0


def test_all_bodies_in_files_together_have_a_limit(serve: Serve, until: Any, spooled: Any) -> None:
    server = serve(by_length, limits={"spooled_bytes": 400_000})
    first = server.connect()
    data = HEAD + chunks(pattern(300_000))
    first.send(data[:-10])
    until(lambda: server.server.disk.used > 250_000)
    second = server.connect()
    second.send(data)
    assert second.read().status == 503
    second.expect_end()
    assert "spooled_bytes" in server.messages_text()
    first.send(data[-10:])
    assert first.read().status == 200
    until(lambda: server.server.disk.used == 0)
    spooled()


def test_no_name_leads_to_the_file(serve: Serve, until: Any, directory: Path) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.extend(os.listdir(directory))
        return by_length(environ, start_response)

    client = serve(app).connect()
    data = HEAD + chunks(pattern(300_000))
    client.send(data[:-10])
    until(open_bodies)
    assert os.listdir(directory) == []
    client.send(data[-10:])
    assert client.read().status == 200
    assert seen == []


# Apps that read to the end


def first_bytes(came: Event) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begin = environ["wsgi.input"].read(10)
        came.set()
        rest = environ["wsgi.input"].read()
        start_response(*OK)
        return [environ["CONTENT_LENGTH"].encode() + b"%d" % len(begin + rest)]

    return app


class Configured:
    """An app with a ``config`` that says how it reads."""

    config: ClassVar = {"spool_bodies": False}

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self.app(environ, start_response)


@pytest.mark.parametrize("way", ["setting", "config"])
def test_apps_that_read_to_the_end_may_have_it_as_it_comes(serve: Serve, way: str) -> None:
    came = Event()
    app = first_bytes(came)
    server = serve(app, spool_bodies=False) if way == "setting" else serve(Configured(app))
    client = server.connect()
    data = HEAD + chunks(pattern(200_000))
    client.send(data[:100_000])
    assert came.wait(5)
    client.send(data[100_000:])
    assert client.read().body == b"200000"


def test_flask_has_it_as_it_comes(serve: Serve) -> None:
    from flask import Flask, request

    app = Flask(__name__)
    came = Event()

    @app.post("/")
    def take() -> str:
        begin = request.stream.read(10)
        came.set()
        return str(len(begin + request.stream.read()))

    client = serve(app).connect()
    data = HEAD + chunks(pattern(200_000))
    client.send(data[:100_000])
    assert came.wait(5)
    client.send(data[100_000:])
    assert client.read().body == b"200000"


# Frameworks


def bottle_app() -> Any:
    from bottle import Bottle, request

    app = Bottle()

    @app.post("/")  # type: ignore[untyped-decorator]
    def take() -> str:
        return str(len(request.body.read()))

    return app


def falcon_app() -> Any:
    import falcon

    class Take:
        def on_post(self, request: Any, response: Any) -> None:
            response.text = str(len(request.bounded_stream.read()))

    app = falcon.App()
    app.add_route("/", Take())
    return app


def django_app() -> Any:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    def take(request: Any) -> Any:
        return HttpResponse(str(len(request.body)))

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], SECRET_KEY="test", MIDDLEWARE=[], DATA_UPLOAD_MAX_MEMORY_SIZE=None, ROOT_URLCONF=()
        )
        django.setup()
    settings.ROOT_URLCONF = (path("", take),)
    return WSGIHandler()


def flask_app() -> Any:
    from flask import Flask, request

    app = Flask(__name__)
    app.post("/")(lambda: str(len(request.get_data())))
    return app


@pytest.mark.parametrize("make", [bottle_app, falcon_app, django_app, flask_app])
@pytest.mark.parametrize("size", [10, 60_000, 300_000])
@pytest.mark.row("WSGI-06")
def test_frameworks_get_bodies_without_length(serve: Serve, make: Callable[[], Any], size: int) -> None:
    server = serve(make())
    client = server.connect()
    client.send(HEAD + chunks(pattern(size)))
    assert client.read().body == str(size).encode()
    h2 = Http2Client(server.connect().sock)
    stream = h2.open("POST", "/", end=False)
    h2.send(stream, pattern(size), True)
    assert h2.finish(stream).body == str(size).encode()
