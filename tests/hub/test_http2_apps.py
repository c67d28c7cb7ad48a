"""Apps over HTTP/2: promises of Saddle, XML-RPC, and Flask, as they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
from hpack import Decoder, Encoder

from skitai import was
from skitai.hub.site import Site
from skitai.saddle import Saddle
from skitai.wire.http2 import frames
from skitai.wire.http2.frames import END_HEADERS, END_STREAM, PREFACE, SETTINGS, FrameReader, serialize
from tests.hub.http2_client import Http2Client
from tests.hub.test_http2_server import run

Serve = Callable[..., Any]
needs_nghttp = pytest.mark.skipif(shutil.which("nghttp") is None, reason="needs nghttp: apt-get install nghttp2-client")


class Pushed:
    """A client that takes pushes: what it was promised and what came, by stream."""

    def __init__(
        self, sock: Any, path: str, fields: list[tuple[str, str]] | None = None, settings: bytes = b""
    ) -> None:
        head = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "test"), *(fields or [])]
        section = Encoder().encode(head)
        hello = PREFACE + serialize(SETTINGS, 0, 0, settings)
        sock.sendall(hello + serialize(frames.HEADERS, END_HEADERS | END_STREAM, 1, section))
        self.promises: dict[int, dict[str, str]] = {}
        self.heads: dict[int, list[dict[str, str]]] = {}
        self.bodies: dict[int, bytes] = {}
        self.order: list[tuple[int, int]] = []
        reader, decoder, ended = FrameReader(False, 1 << 20), Decoder(), set()
        while not ended >= {1, *self.promises}:
            data = sock.recv(65_536)
            assert data, "the server closed the connection"
            reader.feed(data)
            while (frame := reader.next()) is not None:
                self.order.append((frame.kind, frame.stream))
                if frame.kind == frames.PUSH_PROMISE:
                    number = int.from_bytes(frame.payload[:4], "big")
                    self.promises[number] = dict(decoder.decode(frame.payload[4:]))
                elif frame.kind == frames.HEADERS:
                    self.heads.setdefault(frame.stream, []).append(dict(decoder.decode(frame.payload)))
                elif frame.kind == frames.DATA:
                    self.bodies[frame.stream] = self.bodies.get(frame.stream, b"") + frame.payload
                if frame.kind in (frames.HEADERS, frames.DATA) and frame.flags & END_STREAM:
                    ended.add(frame.stream)


def promising(tmp_path: Path, *uris: str) -> Site:
    (tmp_path / "A.png").write_bytes(b"the picture")
    app = Saddle(__name__)

    @app.route("/promise")
    def promise(was: Any) -> Any:
        for uri in uris:
            was.response.hint_promise(uri)
        return was.response("200 OK", ("Promise Sent<br><br>",))

    @app.route("/page")
    def page(was: Any, name: str = "") -> str:
        return f"page {name} {was.request.get_header('accept-language')} {was.request.get_header('cookie')}"

    site = Site()
    ref = type("Ref", (), {"app": app, "name": "app"})()
    site.mount_app("/", ref)
    site.mount_directory("/images", str(tmp_path))
    return site


@pytest.mark.row("H2-04", "H2-09", "SAD-RESP-18", "LOG-06")
def test_promises_are_answered_by_the_usual_handlers(serve: Serve, tmp_path: Path) -> None:
    server = serve(site=promising(tmp_path, "/images/A.png", "page?name=x", "/images/none.png"))
    fields = [("accept-language", "de"), ("cookie", "a=1"), ("user-agent", "u"), ("x-other", "no")]
    client = Pushed(server.connect().sock, "/promise", fields)
    assert client.bodies[1] == b"Promise Sent<br><br>"
    assert [each[":path"] for each in client.promises.values()] == ["/images/A.png", "/page?name=x", "/images/none.png"]
    promise = client.promises[2]
    assert (promise[":method"], promise[":authority"], promise[":scheme"]) == ("GET", "test", "http")
    assert (promise["accept-language"], promise["cookie"], promise["user-agent"]) == ("de", "a=1", "u")
    assert promise["referer"] == "http://test/promise" and "x-other" not in promise
    assert client.bodies[2] == b"the picture" and client.heads[2][0]["content-type"] == "image/png"
    assert client.bodies[4] == b"page x de a=1"
    assert client.heads[6][0][":status"] == "404"
    # Before the response that speaks of them (RFC 9113 section 8.4.1).
    assert client.order.index((frames.PUSH_PROMISE, 1)) < client.order.index((frames.HEADERS, 1))
    lines = server.request_lines()
    assert any(" PUSH /images/A.png HTTP/2.0 200 " in line for line in lines)


@pytest.mark.row("H2-04", "SAD-RESP-18")
def test_clients_that_take_no_pushes_get_early_hints(serve: Serve, tmp_path: Path) -> None:
    server = serve(site=promising(tmp_path, "/images/A.png", "/b c?d"))
    answer = Http2Client(server.connect().sock).request("GET", "/promise")
    assert answer.interim == [
        (103, [("link", "</images/A.png>; rel=preload")]),
        (103, [("link", "</b%20c?d>; rel=preload")]),
    ]
    assert answer.body == b"Promise Sent<br><br>"


@pytest.mark.row("H2-04")
@pytest.mark.parametrize("uri", ["http://other/x", "https://test/x", "//other/x", "mailto:x"])
def test_nothing_of_other_servers_is_promised(serve: Serve, tmp_path: Path, uri: str) -> None:
    client = Pushed(serve(site=promising(tmp_path, uri)).connect().sock, "/promise")
    assert not client.promises and len(client.heads[1]) == 1


@pytest.mark.row("H2-04")
def test_pushed_pages_promise_nothing_themselves(serve: Serve, tmp_path: Path) -> None:
    client = Pushed(serve(site=promising(tmp_path, "/promise")).connect().sock, "/promise")
    assert list(client.promises) == [2] and client.bodies[2] == b"Promise Sent<br><br>"


@pytest.mark.row("H2-04", "SAD-RESP-18")
def test_promises_over_http1_are_nothing(serve: Serve, tmp_path: Path) -> None:
    response = serve(site=promising(tmp_path, "/images/A.png")).get("/promise")
    assert response.status == 200 and response.get("Link") is None


@needs_nghttp
@pytest.mark.row("H2-04")
def test_nghttp_takes_pushes(serve: Serve, tmp_path: Path) -> None:
    server = serve(site=promising(tmp_path, "/images/A.png"))
    out = run("nghttp", "-n", "-s", f"http://127.0.0.1:{server.port}/promise")
    assert "/images/A.png" in out and out.count(" 200 ") == 2


@pytest.mark.row("H2-03")
def test_flask_as_it_is(serve: Serve) -> None:
    app = flask.Flask(__name__)

    @app.post("/form")
    def form() -> str:
        request = flask.request
        protocol = request.environ["SERVER_PROTOCOL"]
        return f"{request.form['a']} {request.cookies['c']} {protocol} {flask.url_for('form', _external=True)}"

    @app.get("/stream")
    def stream() -> Any:
        return flask.Response(str(i) for i in range(5))

    client = Http2Client(serve(app).connect().sock)
    kind = ("content-type", "application/x-www-form-urlencoded")
    answer = client.request("POST", "/form", b"a=1", [kind, ("cookie", "b=1"), ("cookie", "c=2")])
    assert answer.body == b"1 2 HTTP/2.0 http://test/form"
    assert client.request("GET", "/stream").body == b"01234"


@pytest.mark.row("H2-03")
def test_xmlrpc(serve: Serve) -> None:
    app = Saddle(__name__)

    @app.route("/add")
    def add(was: Any, a: int, b: int) -> int:
        return a + b

    site = Site()
    site.mount_app("/rpc", type("Ref", (), {"app": app, "name": "app"})())
    server = serve(site=site)
    stub = was.rpc(f"http://127.0.0.1:{server.port}/rpc", http2=True)
    results = [stub.add(i, 1).getwait(5) for i in range(3)]
    assert [(result.data, result.version) for result in results] == [(1, "2.0"), (2, "2.0"), (3, "2.0")]
    assert all(" POST /rpc HTTP/2.0 200 " in line for line in server.request_lines())
