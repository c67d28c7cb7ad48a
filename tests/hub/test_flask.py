"""Flask apps, not modified in any way."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask, Response, redirect, request, send_file, stream_with_context, url_for
from gevent.event import Event
from werkzeug.exceptions import NotFound

from skitai.hub.site import Site


@pytest.fixture
def app() -> Flask:
    app = Flask("shop")

    @app.get("/")
    def index():
        return "index"

    @app.get("/items/<int:number>")
    def item(number):
        return {"number": number, "q": request.args.get("q"), "agent": request.headers.get("User-Agent")}

    @app.get("/where")
    def where():
        return url_for("item", number=7) + " " + url_for("item", number=7, _external=True)

    @app.get("/away")
    def away():
        return redirect(url_for("index"))

    @app.post("/form")
    def form():
        return {"fields": request.form.to_dict(flat=False)}

    @app.post("/upload")
    def upload():
        files = {name: [len(file.read()), file.filename] for name, file in request.files.items()}
        return {"files": files, "fields": request.form.to_dict()}

    @app.put("/json")
    def json():
        return {"got": request.get_json()}

    @app.get("/missing")
    def missing():
        raise NotFound("not here")

    @app.get("/broken")
    def broken():
        raise ValueError("a bug")

    @app.get("/file")
    def file():
        return send_file(io.BytesIO(b"from memory"), mimetype="text/plain")

    return app


def multipart(parts: list[tuple[str, str | None, bytes]]) -> tuple[bytes, str]:
    body = b""
    for name, filename, data in parts:
        extra = f'; filename="{filename}"' if filename else ""
        body += f'--edge\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"
    return body + b"--edge--\r\n", "multipart/form-data; boundary=edge"


@pytest.mark.row("WSGI-01")
def test_routes(serve, app):
    client = serve(app).connect()
    assert client.request().body == b"index"
    response = client.request(target="/items/7?q=a%20b", User_Agent="test/1")
    assert response.get("Content-Type") == "application/json"
    assert response.body == b'{"agent":"test/1","number":7,"q":"a b"}\n'
    assert client.request(target="/items/x").status == 404
    assert client.request("POST", "/", Content_Length="0").status == 405
    assert client.request("HEAD").get("Content-Length") == "5"
    assert client.request("OPTIONS").status == 200
    assert client.request(target="/missing").status == 404
    assert client.request("PUT", "/json", b'{"a": [1]}', Content_Type="application/json").body == b'{"got":{"a":[1]}}\n'


def test_forms(serve, app):
    client = serve(app).connect()
    kind = "application/x-www-form-urlencoded"
    assert client.request("POST", "/form", b"a=1&a=2&b=%C3%A9", Content_Type=kind).body == (
        b'{"fields":{"a":["1","2"],"b":["\\u00e9"]}}\n'
    )
    client.send(f"POST /form HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send("3\r\na=1\r\n0\r\n\r\n")
    assert client.read().body == b'{"fields":{"a":["1"]}}\n'


@pytest.mark.row("WSGI-06")
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_uploads(serve, app, size):
    body, kind = multipart([("title", None, b"a title"), ("one", "one.bin", b"1" * size), ("two", "two.txt", b"2")])
    client = serve(app).connect()
    assert client.request("POST", "/upload", body, Content_Type=kind).body == (
        b'{"fields":{"title":"a title"},"files":{"one":[%d,"one.bin"],"two":[1,"two.txt"]}}\n' % size
    )
    assert client.request().body == b"index"


@pytest.mark.row("MNT-16", "MNT-15")
def test_an_app_below_a_mount_point(serve, app, mounted):
    site = Site()
    site.mount_app("/flaskapp", mounted(app))
    server = serve(site=site)
    client = server.connect()
    assert client.request(target="/flaskapp/").body == b"index"
    assert client.request(target="/flaskapp/items/7").status == 200
    where = client.request(target="/flaskapp/where", Host="shop.example:81").body
    assert where == b"/flaskapp/items/7 http://shop.example:81/flaskapp/items/7"
    assert client.request(target="/flaskapp/away").get("Location") == "/flaskapp/"
    response = client.request(target="/flaskapp?a=b")
    assert (response.status, response.get("Location")) == (308, "/flaskapp/?a=b")
    assert client.request(target="/flaskapp2").status == 404
    assert client.request(target="/items/7").status == 404


@pytest.mark.row("WSGI-13")
@pytest.mark.parametrize("how", ["end", "disconnect"])
def test_generators_are_streamed_and_closed(serve, how):
    app = Flask("streaming")
    go, closed = Event(), Event()

    @app.get("/")
    def view():
        def generate():
            yield "one"
            go.wait()
            while how == "disconnect":
                yield "x" * 100_000
            yield request.path

        response = Response(stream_with_context(generate()))
        response.call_on_close(closed.set)
        return response

    client = serve(app).connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().get("Transfer-Encoding") == "chunked"
    assert client.read_exactly(8) == b"3\r\none\r\n"
    assert not closed.is_set()
    if how == "end":
        go.set()
        assert client.read_exactly(11) == b"1\r\n/\r\n0\r\n\r\n"
    else:
        client.reset()
        go.set()
    assert closed.wait(5)


@pytest.mark.row("WSGI-10", "WSGI-11")
@pytest.mark.parametrize("debug", [True, False])
def test_a_bug_in_a_view(serve, app, debug):
    app.debug = debug
    server = serve(app)
    response = server.get("/broken")
    assert response.status == 500
    assert (b"Traceback" in response.body and b"a bug" in response.body) is debug
    assert "ValueError" in server.app_text() or not debug
    assert server.get().status == 200


def test_send_file(serve, app, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"d" * 500_000)

    @app.get("/disk")
    def disk():
        return send_file(path, conditional=True)

    client = serve(app).connect()
    assert client.request(target="/file").body == b"from memory"
    response = client.request(target="/disk")
    assert response.body == b"d" * 500_000
    assert client.request(target="/disk", If_None_Match=response.get("ETag")).status == 304
    assert client.request(target="/disk", Range="bytes=10-19").body == b"d" * 10
    assert client.request("HEAD", "/disk").get("Content-Length") == "500000"
    assert client.request().body == b"index"


def test_views_run_concurrently_and_see_their_own_request(serve):
    app = Flask("concurrent")
    arrived: list[str] = []
    all_there = Event()

    @app.get("/<name>")
    def view(name: str) -> Any:
        arrived.append(name)
        if len(arrived) == 10:
            all_there.set()
        assert all_there.wait(5)
        return request.path + name

    server = serve(app)
    clients = [server.connect().send(f"GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n") for number in range(10)]
    assert [each.read().body for each in clients] == [f"/{number}{number}".encode() for number in range(10)]
