"""PEP 3333: what an app is given, what it may return, and what becomes of its mistakes."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import weakref
from typing import Any
from wsgiref.validate import validator

import gevent
import pytest
from gevent.event import Event

from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.hub.site import Site

OK = ("200 OK", [("Content-Type", "text/plain")])


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response(*OK)
    return [b"hello"]


def keep(found: list[dict[str, Any]]) -> Any:
    """An app that keeps the environs it gets."""

    def app(environ, start_response):
        found.append(environ)
        return hello(environ, start_response)

    return app


def answering(result: Any, headers: Any = OK[1], status: Any = "200 OK") -> Any:
    """An app that returns one thing."""

    def app(environ, start_response):
        start_response(status, headers)
        return result

    return app


class Parts:
    """An iterable that knows whether it was closed."""

    def __init__(self, parts: Any, fail: BaseException | None = None) -> None:
        self._parts = iter(parts)
        self._fail = fail
        self.closed = Event()
        self.times_closed = 0

    def __iter__(self) -> Parts:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except StopIteration:
            if self._fail is not None:
                raise self._fail from None
            raise

    def close(self) -> None:
        self.times_closed += 1
        self.closed.set()


# The environ


@pytest.mark.row("WSGI-02")
def test_the_standard_keys(serve):
    found: list[dict[str, Any]] = []
    server = serve(keep(found))
    server.connect().request("POST", "/a%20b/%C3%A9?x=%20y", b"body", Content_Type="text/x", X_Some_Thing="1, 2")
    environ = found[0]
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=%20y",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "4",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "test",
        "HTTP_X_SOME_THING": "1, 2",
        "wsgi.version": (1, 0),
        "wsgi.input_terminated": True,
    }
    assert {key: environ[key] for key in expected} == expected
    assert type(environ) is dict
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.row("WSGI-02")
def test_keys_of_what_is_absent_are_there(serve):
    found: list[dict[str, Any]] = []
    client = serve(keep(found)).connect()
    client.send("GET / HTTP/1.0\r\n\r\n").read()
    environ = found[0]
    assert [environ[key] for key in ("QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH")] == ["", "", ""]
    assert environ["wsgi.input"].read() == b""
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ


@pytest.mark.row("WSGI-03")
def test_the_extra_keys(serve):
    from skitai import was

    found: list[dict[str, Any]] = []

    def app(environ, start_response):
        assert str(was.request) is not None
        return keep(found)(environ, start_response)

    server = serve(app, threads=7)
    assert server.connect().request(Connection="keep-alive").status == 200
    environ = found[0]
    assert environ["skitai.was"].exchange.number == 1
    assert environ["skitai.process"] == 0
    assert environ["skitai.thread"] == 7
    assert environ["skitai.version"]
    assert environ["SERVER_SOFTWARE"].startswith("Skitai")
    assert environ["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert environ["REMOTE_SERVER"] == "127.0.0.1"
    assert environ["CONNECTION_TYPE"] == "keep-alive"
    assert float(environ["CHANNEL_CREATED"]) > 1e9
    assert not set(os.environ) & {key for key in environ if "." not in key} - {"SERVER_SOFTWARE"}


@pytest.mark.row("WSGI-04")
@pytest.mark.parametrize(("threads", "workers"), [(4, 1), (0, 1), (1, 2), (1, 0)])
def test_what_the_environ_says_about_the_server(serve, threads, workers):
    found: list[dict[str, Any]] = []
    serve(keep(found), threads=threads, workers=workers).get()
    environ = found[0]
    assert environ["wsgi.multithread"] is (threads > 0)
    assert environ["wsgi.multiprocess"] is (workers > 1)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.run_once"] is False


def test_no_request_sees_the_environ_of_another(serve):
    found: list[dict[str, Any]] = []
    server = serve(keep(found))
    client = server.connect()
    client.request(X_Secret="1", Content_Type="text/x")
    client.request()
    assert "HTTP_X_SECRET" not in found[1]
    assert found[1]["CONTENT_TYPE"] == ""


def test_a_client_cannot_name_keys_of_ours(serve):
    found: list[dict[str, Any]] = []
    serve(keep(found)).connect().send(
        "GET / HTTP/1.1\r\nHost: test\r\nX_User: root\r\nProxy: http://evil\r\n\r\n"
    ).read()
    assert not {"HTTP_X_USER", "HTTP_PROXY"} & set(found[0])


@pytest.mark.row("WSGI-15")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_without_a_content_type(serve, method):
    def app(environ, start_response):
        start_response(*OK)
        return [environ["CONTENT_TYPE"].encode(), environ["wsgi.input"].read()]

    assert serve(app).connect().request(method, "/", b"a=b").body == b"a=b"


# The validator of the standard library


def read_everything(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"]
    data = body.readline(5) + b"".join(body.readlines(10)) + b"".join(iter(lambda: body.read(7), b""))
    environ["wsgi.errors"].write("said\n")
    environ["wsgi.errors"].writelines(["more\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def write_and_return(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    write(b"")
    return [b"returned"]


def generate(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"one"
    yield b"two"


def change_mind(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html")])
    try:
        raise ValueError("on the way")
    except ValueError:
        start_response("409 Conflict", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"changed"]


@pytest.mark.row("WSGI-01")
@pytest.mark.parametrize(
    ("app", "status", "body"),
    [
        (hello, 200, b"hello"),
        (read_everything, 200, b"line\n" + b"b" * 100),
        (write_and_return, 200, b"written returned"),
        (generate, 200, b"onetwo"),
        (change_mind, 409, b"changed"),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunked", "1.0"])
def test_apps_under_the_validator(serve, app, status, body, framing):
    server = serve(validator(app))
    client = server.connect()
    data = b"line\n" + b"b" * 100
    if framing == "length":
        response = client.request("POST", "/path?query", data, Content_Type="text/plain")
    elif framing == "chunked":
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"69\r\n%b\r\n0\r\n\r\n" % data)
        response = client.read()
    else:
        client.send(b"POST / HTTP/1.0\r\nContent-Length: 105\r\n\r\n" + data)
        response = client.read()
    assert (response.status, response.body) == (status, body)
    assert "AssertionError" not in server.app_text()


@pytest.mark.row("WSGI-01")
def test_write_sends_at_once(serve):
    go = Event()

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "8")])
        write(b"one ")
        go.wait()
        return [b"two!"]

    client = serve(app).connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().status == 200
    assert client.read_exactly(4) == b"one "
    go.set()
    assert client.read_exactly(4) == b"two!"


def test_each_part_is_sent_before_the_next_is_asked_for(serve):
    go = Event()

    def app(environ, start_response):
        start_response(*OK)
        yield b"one"
        go.wait()
        yield b"two"

    client = serve(app).connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().get("Transfer-Encoding") == "chunked"
    assert client.read_exactly(8) == b"3\r\none\r\n"
    go.set()
    assert client.read_exactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_late_write_reaches_nobody(serve):
    kept = []

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "2")])
        kept.append(write)
        if environ["PATH_INFO"] == "/write":
            write(b"o")
            return [b"k"]
        return [b"ok"]

    client = serve(app).connect()
    for target in ("/", "/write"):
        assert client.request(target=target).body == b"ok"
        with pytest.raises(LocalProtocolError, match=r"has (begun|ended)"):
            kept.pop()(b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.request().body == b"ok"


def test_content_length_is_never_exceeded(serve):
    client = serve(answering([b"abc", b"def"], [("Content-Length", "4")])).connect()
    assert client.request().body == b"abcd"
    assert client.request().body == b"abcd"


def test_a_body_shorter_than_its_length_is_not_completed(serve):
    client = serve(answering([b"abc"], [("Content-Length", "4")])).connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().get("Content-Length") == "4"
    assert client.read_rest() == b"abc"


@pytest.mark.parametrize(("headers", "length"), [([("Content-Length", "5")], "5"), ([], None)])
def test_head_with_and_without_content_length(serve, headers, length):
    client = serve(answering((part for part in ()), headers)).connect()
    assert client.request("HEAD").get("Content-Length") == length


@pytest.mark.row("WSGI-01")
@pytest.mark.parametrize(
    ("result", "body"),
    [
        (["Hello World"], b"Hello World"),
        (["a", "b\u20ac"], "ab\u20ac".encode()),
        ("Hello World", b"Hello World"),
        (b"Hello World", b"Hello World"),
        ((b"Hello", b" World"), b"Hello World"),
        ([bytearray(b"Hello"), memoryview(b" World")], b"Hello World"),
        ([], b""),
        ([b"x" * 1_000_000], b"x" * 1_000_000),
        ([b"x" * 1_000_000, b"y" * 1_000_000], b"x" * 1_000_000 + b"y" * 1_000_000),
    ],
)
def test_what_an_app_may_return(serve, result, body):
    response = serve(answering(result)).get()
    assert (response.status, response.body) == (200, body)
    assert response.get("Content-Length") == str(len(body))


# Mistakes


class Silent:
    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [b"without start_response"]


@pytest.mark.row("WSGI-10", "LOG-08")
@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answering(None), id="None", marks=pytest.mark.row("WSGI-12")),
        pytest.param(answering(5), id="int"),
        pytest.param(answering([5]), id="list of int"),
        pytest.param(answering([b"a", 5]), id="second is int"),
        pytest.param(answering([None]), id="list of None"),
        pytest.param(answering([b"x"], [("Name", 5)]), id="header value int"),
        pytest.param(answering([b"x"], [("Name", None)]), id="header value None"),
        pytest.param(answering([b"x"], [(b"Name", b"v")]), id="header bytes"),
        pytest.param(answering([b"x"], None), id="headers None"),
        pytest.param(answering([b"x"], [("Name",)]), id="header one-tuple"),
        pytest.param(answering([b"x"], [("Na me", "v")]), id="header name with blank"),
        pytest.param(answering([b"x"], [("", "v")]), id="header name empty"),
        pytest.param(answering([b"x"], [("Na\r\nme", "v")]), id="header name with CRLF"),
        pytest.param(answering([b"x"], [("Name", "v\r\nEvil: 1")]), id="header value with CRLF"),
        pytest.param(answering([b"x"], [("Name", "v\nEvil: 1")]), id="header value with LF"),
        pytest.param(answering([b"x"], [("Name", "v\rEvil: 1")]), id="header value with CR"),
        pytest.param(answering([b"x"], [("Name", "v\x00")]), id="header value with NUL"),
        pytest.param(answering([b"x"], [("Name", "\u20ac")]), id="header value not latin-1"),
        pytest.param(answering([b"x"], [("Content-Length", "x")]), id="bad length"),
        pytest.param(answering([b"x"], [("Content-Length", "-1")]), id="negative length"),
        pytest.param(answering([b"x"], OK[1], "200 OK\r\nEvil: 1"), id="status with CRLF"),
        pytest.param(answering([b"x"], OK[1], "OK"), id="status without number"),
        pytest.param(answering([b"x"], OK[1], 200), id="status int"),
        pytest.param(answering([b"x"], OK[1], "20 OK"), id="status of two digits"),
        pytest.param(Silent(), id="no start_response"),
        pytest.param(lambda environ: [], id="wrong signature"),
        pytest.param("no callable", id="no callable"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_mistakes_of_an_app_are_500_and_nothing_else_is_sent(serve, app, method):
    server = serve(app)
    client = server.connect()
    response = client.request(method)
    assert response.status == 500, response
    assert response.get("Evil") is None and response.get("Name") is None
    assert b"Evil" not in response.body
    assert "[expt:GTID" in server.app_text()
    assert client.request(method).status == 500  # the connection goes on


@pytest.mark.row("WSGI-10", "LOG-08")
@pytest.mark.parametrize(
    "error", [ValueError("<b>oops</b>"), SystemExit(3), KeyboardInterrupt(), gevent.GreenletExit()]
)
def test_an_exception_of_an_app_is_500(serve, error):
    def app(environ, start_response):
        start_response("200 OK", [("X-Half", "done")])
        raise error

    server = serve(app)
    client = server.connect()
    response = client.request()
    assert response.status == 500
    assert response.get("X-Half") is None
    assert b"oops" not in response.body and b"Traceback" not in response.body
    assert type(error).__name__ in server.app_text()
    assert client.request().status == 500


@pytest.mark.row("WSGI-10", "WSGI-11")
@pytest.mark.parametrize("debug", [True, False])
def test_only_debug_shows_the_traceback_and_escaped(serve, debug):
    def app(environ, start_response):
        raise ValueError("<script>oops</script>")

    app.debug = debug
    response = serve(app).get()
    assert response.status == 500
    assert (b"&lt;script&gt;oops&lt;/script&gt;" in response.body) is debug
    assert b"<script>" not in response.body
    assert (b"Traceback (most recent call last)" in response.body) is debug


def test_start_response_twice_is_an_error(serve):
    def app(environ, start_response):
        start_response(*OK)
        start_response(*OK)
        return [b""]

    assert serve(app).get().status == 500


def test_exc_info_after_the_headers_were_sent_breaks_the_response(serve):
    def app(environ, start_response):
        write = start_response(*OK)
        write(b"part")
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"never"]

    server = serve(app)
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().status == 200
    assert client.read_rest() == b"4\r\npart\r\n"
    assert "too late" in server.app_text()


@pytest.mark.parametrize("error", [ValueError("late"), SystemExit(0)])
def test_an_exception_in_the_middle_of_chunks_leaves_them_unfinished(serve, error):
    parts = Parts([b"one", b"two"], error)
    server = serve(answering(parts))
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().status == 200
    assert client.read_rest() == b"3\r\none\r\n3\r\ntwo\r\n"  # no last chunk
    assert parts.times_closed == 1
    assert type(error).__name__ in server.app_text()


def test_an_exception_in_the_middle_of_an_http_1_0_body_is_a_reset(serve):
    """An end would say that the body is complete."""
    parts = Parts([b"one"], ValueError("late"))
    client = serve(answering(parts)).connect().send("GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        client.read_rest()


def test_an_exception_before_the_first_part_is_500(serve):
    parts = Parts([b"", b""], ValueError("early"))
    server = serve(answering(parts))
    assert server.get().status == 500
    assert parts.times_closed == 1


# close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_called_once_at_the_end(serve, method):
    parts = Parts([b"one", b"two"])
    serve(answering(parts)).connect().request(method)
    assert parts.closed.wait(5)
    assert parts.times_closed == 1


@pytest.mark.parametrize("error", [ValueError("in close"), SystemExit(1)])
def test_an_exception_in_close_is_logged_and_harmless(serve, error):
    class Bad(Parts):
        def close(self):
            super().close()
            raise error

    parts = Bad([b"whole"])
    server = serve(answering(parts))
    assert server.get().body == b"whole"
    assert parts.closed.wait(5)
    assert type(error).__name__ in server.app_text()
    server.get()


@pytest.mark.row("WSGI-13")
@pytest.mark.parametrize("how", ["close", "reset"])
def test_close_is_called_when_the_client_goes(serve, how, until):
    def endless():
        while True:
            yield b"x" * 10_000

    parts = Parts(endless())
    server = serve(answering(parts))
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    getattr(client, how)()
    assert parts.closed.wait(5)
    until(lambda: server.server.connections == 0)
    assert parts.times_closed == 1


def test_close_is_called_when_the_client_goes_while_the_app_waits(serve, until):
    go = Event()

    def slow():
        yield b"one"
        go.wait()
        while True:
            yield b"x" * 1000

    parts = Parts(slow())
    server = serve(answering(parts))
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    client.reset()
    until(lambda: server.server.connections == 0)
    go.set()
    assert parts.closed.wait(5)


def test_an_app_that_reads_finds_out_that_its_client_is_gone(serve, until):
    seen = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except ClientDisconnected as error:
            seen.append(error)
            raise

    server = serve(app)
    client = server.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + b"b" * 100_000)
    until(lambda: server.server.slots.busy == 1)
    client.reset()
    until(lambda: seen)
    until(lambda: server.server.slots.busy == 0)
    assert "[expt" not in server.app_text()


# wsgi.file_wrapper


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(os.urandom(3_000_000))
    return path


def sending(opener: Any, headers: Any = ()) -> Any:
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/octet-stream"), *headers])
        return environ["wsgi.file_wrapper"](opener(), 8192)

    return app


def test_a_file_goes_by_sendfile(serve, big_file, monkeypatch):
    calls = []
    sendfile = os.sendfile

    def counting(*args):
        calls.append(args)
        return sendfile(*args)

    monkeypatch.setattr(os, "sendfile", counting)
    opened = []

    def opener():
        opened.append(big_file.open("rb"))
        return opened[-1]

    client = serve(sending(opener)).connect()
    for _ in range(2):
        response = client.request()
        assert response.body == big_file.read_bytes()
        assert response.get("Content-Length") == "3000000"
    assert calls
    assert opened[0].closed
    assert client.request("HEAD").get("Content-Length") == "3000000"


def test_a_file_goes_from_where_it_stands_and_as_far_as_its_length_says(serve, big_file):
    def opener():
        file = big_file.open("rb")
        file.seek(1_000_000)
        return file

    server = serve(sending(opener, [("Content-Length", "10")]))
    client = server.connect()
    assert client.request().body == big_file.read_bytes()[1_000_000:1_000_010]
    assert client.request().status == 200
    assert serve(sending(opener)).get().body == big_file.read_bytes()[1_000_000:]


def test_files_that_are_no_plain_files_are_read(serve, tmp_path, big_file):
    text = b"compressible " * 100_000
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(text))
    assert serve(sending(lambda: gzip.open(path))).get().body == text  # noqa: SIM115
    assert serve(sending(lambda: io.BytesIO(text))).get().body == text
    reading, writing = os.pipe()
    os.write(writing, b"piped")
    os.close(writing)
    assert serve(sending(lambda: os.fdopen(reading, "rb"))).get().body == b"piped"


def test_temporary_files(serve):
    def temporary():
        file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        file.write(b"x" * 100_000)
        file.seek(10)
        return file

    def spooled():
        file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
        file.write(b"x" * 100_000)
        file.seek(10)
        return file

    assert serve(sending(temporary)).get().body == b"x" * 99_990
    assert serve(sending(spooled)).get().body == b"x" * 99_990


def test_a_file_that_shrinks_breaks_the_response(serve, big_file):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "4000000")])
        return environ["wsgi.file_wrapper"](big_file.open("rb"))

    client = serve(app).connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read_head().get("Content-Length") == "4000000"
    assert client.read_rest() == big_file.read_bytes()


# The body of the request


@pytest.mark.row("WSGI-06")
def test_the_body_comes_while_the_app_reads_it(serve):
    """A large body is not held in memory: the app reads its begin before the client sent its end."""
    first = Event()

    def app(environ, start_response):
        data = environ["wsgi.input"]
        begin = data.read(10)
        first.set()
        rest = data.read()
        start_response(*OK)
        return [begin, b" %d" % len(rest)]

    client = serve(app).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + b"b" * 20_000)
    assert first.wait(5)
    client.send(b"b" * 980_000)
    assert client.read().body == b"b" * 10 + b" 999990"


@pytest.mark.parametrize("size", [0, 10, 100_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_input_ends_with_the_body(serve, size, framing):
    def app(environ, start_response):
        data = environ["wsgi.input"]
        lines = list(data)
        assert data.read() == data.read(5) == data.readline() == b""
        start_response(*OK)
        return [b"%d %d" % (len(lines), sum(map(len, lines)))]

    client = serve(app).connect()
    body = b"123456789\n" * (size // 10)
    if framing == "length":
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
    else:
        chunks = b"%x\r\n%b\r\n" % (size, body) if size else b""
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    client.send("GET /next HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read().body == b"%d %d" % (size // 10, size)
    assert client.read().body == b"0 0"


def test_what_an_app_says_on_wsgi_errors_is_logged(serve):
    def app(environ, start_response):
        print("to the errors\nof the app", file=environ["wsgi.errors"])
        return hello(environ, start_response)

    server = serve(app)
    server.get()
    assert "[error] to the errors" in server.app_text()
    assert "[error] of the app" in server.app_text()


def test_an_app_below_a_mount_point_sees_its_part_of_the_path(serve, mounted):
    found: list[dict[str, Any]] = []
    site = Site()
    site.mount_app("/shop/", mounted(keep(found)))
    server = serve(site=site)
    for target in ("/shop/", "/shop/a%2Fb/c?d"):
        assert server.get(target).status == 200
    assert [(each["SCRIPT_NAME"], each["PATH_INFO"]) for each in found] == [("/shop", "/"), ("/shop", "/a/b/c")]


def test_nothing_of_a_request_is_kept_after_it(serve, until):
    """Also not by the workers that served it and are parked now: after a rush that would be a lot."""
    go = Event()

    class Thing:
        pass

    things: list[Any] = []

    def app(environ, start_response):
        thing = Thing()
        environ["thing"] = thing
        things.append(weakref.ref(thing))
        things.append(weakref.ref(environ["skitai.was"].exchange))
        if len(things) == 10:
            go.set()
        go.wait()
        return hello(environ, start_response)

    server = serve(app)
    clients = [server.connect().send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nb") for _ in range(5)]
    for each in clients:
        assert each.read().status == 200
    server.logs.flush()  # a line that is not yet written needs its exchange
    until(lambda: not any(each() for each in things), "environs and exchanges are free")


def test_what_an_app_says_without_end_is_not_held_back_for_ever(serve):
    def app(environ, start_response):
        environ["wsgi.errors"].write("." * 3000)
        start_response("200 OK", [])
        return [b""]

    server = serve(app)
    for _ in range(7):
        server.get()
    assert server.app_text().count("." * 9000) == 2


def test_a_head_that_is_sent_again_belongs_to_the_same_response(serve):
    """Heads are kept for a second: what differs in any way must not be taken for what was sent before."""
    bodies = {"/a": [b"four"], "/b": [b"four", b"teen"], "/c": [b"", b"four"], "/d": [b"sevenfold"]}

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        fields = [["X-List", "no tuple"]] if path == "/list" else [("Content-Type", "text/plain")]
        if path == "/cookie":
            fields.append(("Set-Cookie", "a=" + environ["QUERY_STRING"]))
        if path == "/iterator":
            return start_response("200 OK", [*fields, ("Content-Length", "8")]) and iter([b"four", b"teen"])
        start_response("200 OK", fields)
        return bodies.get(path, [b"four"])

    client = serve(app).connect()
    for _ in range(2):
        for path, parts in bodies.items():
            assert client.request(target=path).body == b"".join(parts)
            head = client.request("HEAD", path)
            assert (head.body, head.status) == (b"", 200)
        assert client.request(target="/list").body == b"four"
        assert client.request(target="/iterator").body == b"fourteen"
        assert client.request(target="/cookie?1").get("Set-Cookie") == "a=1"
        assert client.request(target="/cookie?2").get("Set-Cookie") == "a=2"
        assert client.request(target="/a").get("Set-Cookie") is None
    assert serve(app).connect().request(target="/a").body == b"four"
