"""HTTP/1.1 and 1.0 over real connections: persistence, pipelining, framing, methods and forms of the target."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers what it was asked: method, path, query, body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    head = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['QUERY_STRING']} "
    return [head.encode("latin-1") + body]


def stream(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (part for part in (b"one", b"", b"two", b"three"))


# Persistence (RFC 9112 section 9.3)


def test_a_connection_of_http_1_1_is_kept(serve):
    server = serve(hello)
    client = server.connect()
    for _ in range(3):
        response = client.request()
        assert (response.status, response.body) == (200, b"hello")
        assert response.get("Connection") is None
    assert server.server.connections == 1


def test_a_client_that_says_close_gets_close(serve):
    client = serve(hello).connect()
    response = client.request(Connection="close")
    assert response.get("Connection") == "close"
    client.expect_end()


def test_http_1_0_closes_by_default(serve):
    client = serve(hello).connect()
    client.send("GET / HTTP/1.0\r\n\r\n")
    response = client.read()
    assert (response.status, response.body, response.get("Connection")) == (200, b"hello", "close")
    client.expect_end()


def test_http_1_0_keep_alive(serve):
    client = serve(hello).connect()
    for _ in range(2):
        client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        response = client.read()
        assert (response.body, response.get("Connection")) == (b"hello", "keep-alive")


def test_http_1_0_gets_no_chunks(serve):
    client = serve(stream).connect()
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    response = client.read()
    assert response.get("Transfer-Encoding") is None
    assert response.get("Connection") == "close"
    assert response.body == b"onetwothree"


def test_an_app_can_close(serve):
    def app(environ, start_response):
        start_response("200 OK", [("Connection", "close")])
        return [b"bye"]

    client = serve(app).connect()
    assert client.request().get("Connection") == "close"
    client.expect_end()


# Pipelining


def test_a_hundred_pipelined_requests_are_answered_in_order(serve):
    client = serve(echo).connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % number for number in range(100)))
    for number in range(100):
        assert client.read().body == b"GET /%d  " % number


def test_pipelined_requests_wait_for_a_slow_one(serve):
    go = Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            go.wait()
        return echo(environ, start_response)

    client = serve(app).connect()
    client.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n" + b"GET /fast HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
    client.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.sock.recv(1)
    client.sock.settimeout(10)
    go.set()
    assert [client.read().body for _ in range(4)] == [b"GET /slow  "] + [b"GET /fast  "] * 3


def test_pipelined_requests_with_bodies_keep_their_bodies(serve):
    client = serve(echo).connect()
    client.send(
        b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        b"GET /c HTTP/1.1\r\nHost: test\r\n\r\n"
    )
    assert [client.read().body for _ in range(3)] == [b"POST /a  abc", b"POST /b  de", b"GET /c  "]


def test_a_half_closed_client_gets_all_its_answers(serve):
    client = serve(echo).connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n" % number for number in range(10))).half_close()
    for number in range(10):
        assert client.read().body == b"GET /%d  " % number
    client.expect_end()


def test_a_half_closed_client_gets_a_streamed_answer(serve):
    client = serve(stream).connect()
    client.send(GET).half_close()
    assert client.read().chunks == [b"one", b"two", b"three"]
    client.expect_end()


def test_a_large_pipeline_is_held_back_but_not_lost(serve):
    """More than the server keeps at a time: it stops reading, and the client's bytes wait in TCP."""
    client = serve(echo).connect()
    count, filler = 3000, "x" * 100

    def send():
        for number in range(count):
            client.send(f"GET /{number} HTTP/1.1\r\nHost: test\r\nX-Filler: {filler}\r\n\r\n")

    sender = gevent.spawn(send)
    for number in range(count):
        assert client.read().body == b"GET /%d  " % number
    sender.get(timeout=10)


def test_requests_cut_into_single_bytes_are_the_same_requests(serve):
    client = serve(echo).connect()
    chunked = b"POST /a?b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n"
    for byte in chunked + GET:
        client.send(bytes([byte]))
    assert client.read().body == b"POST /a b abc"
    assert client.read().body == b"GET /  "


# Framing


def test_chunks_out(serve):
    response = serve(stream).get()
    assert response.get("Transfer-Encoding") == "chunked"
    assert response.chunks == [b"one", b"two", b"three"]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
def test_bodies_in_of_every_size_by_length_and_in_chunks(serve, size):
    client = serve(echo).connect()
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert client.request("PUT", "/", body, **({} if body else {"Content_Length": "0"})).body == b"PUT /  " + body
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, size, 50_000):
        part = body[start : start + 50_000]
        client.send(b"%x\r\n%b\r\n" % (len(part), part))
    client.send("0\r\n\r\n")
    assert client.read().body == b"PUT /  " + body
    assert client.request().status == 200


@pytest.mark.parametrize("app", [hello, stream])
def test_head_has_the_fields_and_no_body(serve, app):
    client = serve(app).connect()
    response = client.request("HEAD")
    assert response.status == 200
    assert response.get("Content-Type") == "text/plain"
    assert response.get("Content-Length") == ("5" if app is hello else None)
    assert client.request().status == 200  # nothing was left on the connection


def test_a_304_says_no_length_that_is_not_the_files(serve):
    """RFC 9110 section 8.6: Content-Length of a 304 would be that of the 200."""

    def app(environ, start_response):
        start_response("304 Not Modified", [("ETag", '"x"')])
        return [b""] if environ["PATH_INFO"] == "/list" else []

    client = serve(app).connect()
    assert client.request(target="/list").get("Content-Length") is None
    assert client.request().get("Content-Length") is None


def test_a_204_has_no_body(serve):
    def app(environ, start_response):
        start_response("204 No Content", [])
        return [b"nothing of this is sent"]

    client = serve(app).connect()
    response = client.request()
    assert (response.get("Content-Length"), response.get("Transfer-Encoding")) == (None, None)
    assert client.request().status == 204


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "199 What"])
def test_an_app_cannot_send_an_interim_status(serve, status):
    """The client would take the next response on the connection for the end of this one."""

    def app(environ, start_response):
        start_response(status, [])
        return [b""]

    assert serve(app).get().status == 500


def test_every_response_has_date_and_server_once(serve):
    response = serve(hello).get()
    assert response.get("Date").endswith(" GMT")
    assert response.get("Server").startswith("Skitai/")


# Expect: 100-continue (RFC 9110 section 10.1.1)


@pytest.mark.row("WSGI-08")
@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_continue_is_sent_before_the_body(serve, size, framing):
    client = serve(echo).connect()
    body = b"b" * size
    field = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
    client.send(f"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n{field}\r\n\r\n")
    assert client.read().status == 100
    client.send(body if framing == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
    assert client.read().body == b"POST /  " + body
    assert client.request().status == 200


@pytest.mark.row("WSGI-08")
def test_a_body_that_is_too_large_is_refused_without_continue(serve):
    client = serve(echo, limits={"body_bytes": 1000}).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    response = client.read()
    assert (response.status, response.get("Connection")) == (413, "close")
    client.expect_end()


def test_a_client_that_does_not_wait_gets_no_continue(serve):
    client = serve(echo).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    assert client.read().body == b"POST /  abc"


def test_an_app_that_does_not_read_sends_no_continue_for_a_large_body(serve):
    client = serve(hello).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
    assert client.read().status == 200
    client.expect_end()  # the client may send the body or not, so nothing else can follow


def test_an_app_may_think_before_it_asks_for_the_body(serve):
    """Nothing is expected of the client until 100 was sent, so no clock runs."""
    thought = Event()

    def app(environ, start_response):
        thought.wait()
        return echo(environ, start_response)

    client = serve(app, limits={"body_time": 0.1, "body_rate": 1_000_000_000}).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
    gevent.spawn_later(1.0, thought.set)  # the body time has passed by then
    assert client.read().status == 100
    client.send(b"b" * 100_000)
    assert client.read().body == b"POST /  " + b"b" * 100_000


def test_another_expectation_fails(serve):
    client = serve(hello).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: the-moon\r\nContent-Length: 3\r\n\r\n")
    assert client.read().status == 417
    client.expect_end()


# Methods and targets


def test_absolute_form(serve):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [f"{environ['HTTP_HOST']} {environ['PATH_INFO']} {environ['QUERY_STRING']}".encode()]

    client = serve(app).connect()
    assert client.request(target="http://other.example:81/a%20b?q=1", Host="test").body == b"other.example:81 /a b q=1"
    assert client.request(target="http://other.example", Host="test").body == b"other.example / "


def test_options_of_the_server(serve):
    client = serve(hello).connect()
    response = client.request("OPTIONS", "*")
    assert response.status == 204
    assert "GET" in response.get("Allow")
    assert client.request().status == 200


@pytest.mark.row("WSGI-09")
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "M-SEARCH", "!#$%&'*+.^_`|~9"]
)
def test_methods_that_apps_get(serve, method):
    """Every token is a method (RFC 9110 section 9.1), and they differ in case."""
    assert serve(echo).connect().request(method).body == f"{method} /  ".encode()


@pytest.mark.row("WSGI-09")
@pytest.mark.parametrize(
    ("method", "target"), [("CONNECT", "test:443"), ("TRACE", "/")]
)
def test_methods_that_apps_do_not_get(serve, method, target):
    client = serve(echo).connect()
    response = client.request(method, target)
    assert response.status == 405
    assert {"GET", "HEAD", "POST"} <= set(response.get("Allow").split(", "))
    if method == "CONNECT":
        client.expect_end()  # what follows may be meant for the tunnel
    else:
        assert client.request().status == 200


@pytest.mark.row("WSGI-07")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_that_says_nothing_of_a_body_has_none(serve, method):
    """RFC 9112 section 6.3: its body is empty, so what follows is the next request."""
    client = serve(echo).connect()
    client.send(f"{method} /a HTTP/1.1\r\nHost: test\r\n\r\nGET /b HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.read().body == f"{method} /a  ".encode()
    assert client.read().body == b"GET /b  "
    client.send(f"{method} / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert client.read().status == 200
    client.send(f"{method} / HTTP/1.0\r\n\r\n")
    assert client.read().status == 200


def test_empty_lines_between_requests_are_skipped_but_do_not_keep_a_connection(serve, until):
    server = serve(hello, limits={"keep_alive": 0.3})
    client = server.connect()
    assert client.request().status == 200
    client.send(b"\r\n")
    assert client.request().status == 200
    done = Event()

    def drip():
        while not done.is_set():
            try:
                client.send(b"\r\n")
            except OSError:
                return
            gevent.sleep(0.05)

    dripping = gevent.spawn(drip)
    until(lambda: server.server.connections == 0, "the connection is closed")
    done.set()
    dripping.join()


# What an app leaves unread


def test_a_small_rest_of_a_body_is_dropped_and_the_connection_kept(serve):
    def app(environ, start_response):
        environ["wsgi.input"].read(10)
        return hello(environ, start_response)

    client = serve(app, limits={"buffered_body": 1000}).connect()
    body = b"b" * 50_000
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50000\r\n\r\n" + body)
    assert client.read().body == b"hello"
    assert client.request().body == b"hello"


def early(*parts, status="200 OK", fields=()):
    """Answers before it has read the body."""

    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *fields])
        return (part for part in parts)

    return app


LARGE = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n"
CHUNKS = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"


@pytest.mark.parametrize("head", [LARGE, CHUNKS])
@pytest.mark.parametrize(
    "app",
    [
        hello,
        early(b"no", status="401 Unauthorized", fields=[("Content-Length", "2")]),
        early(b"n", b"o", fields=[("Content-Length", "2")]),
        early(b"no"),
        early(b"", b"n", b"o"),
        early(status="204 No Content"),
        early(status="302 Found", fields=[("Location", "/login")]),
    ],
)
def test_an_answer_before_a_large_body_says_that_it_is_the_last(serve, app, head):
    client = serve(app, spool_bodies=False).connect()
    client.send(head + b"b" * 100_000)
    response = client.read()
    assert response.get("Connection") == "close"
    client.expect_end()


def test_an_app_that_reads_the_body_first_keeps_the_connection(serve):
    def app(environ, start_response):
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([str(size).encode()])

    client = serve(app).connect()
    client.send(LARGE + b"b" * 1_000_000)
    response = client.read()
    assert (response.body, response.get("Connection")) == (b"1000000", None)
    assert client.request().body == b"0"


def test_a_large_rest_of_a_body_ends_the_connection(serve):
    client = serve(hello).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n" + b"b" * 200_000)
    response = client.read()
    assert (response.body, response.get("Connection")) == (b"hello", "close")
    client.expect_end()
