"""Every limit of the server: its status, and a close that lets the client read the answer."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from flask import Flask, request
from gevent.event import Event

# A rate that no body of these tests keeps up, so that only the body time counts.
NO_RATE = {"body_rate": 1_000_000_000}


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def size(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    count = 0
    while data := environ["wsgi.input"].read(10_000):
        count += len(data)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % count]


def refused(client: Any, status: int) -> Any:
    """The client reads the whole answer, then the end, and no reset on the way."""
    response = client.read()
    assert response.status == status
    assert response.get("Connection") == "close"
    assert str(status).encode() in response.body
    client.expect_end()
    return response


# The header section


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_long_request_line_is_414(serve, is_complete):
    client = serve(hello, limits={"request_line": 100}).connect()
    client.send("GET /" + "a" * 100 + (" HTTP/1.1\r\nHost: test\r\n\r\n" if is_complete else ""))
    refused(client, 414)


def test_the_longest_request_line_is_served(serve):
    client = serve(hello, limits={"request_line": 100}).connect()
    target = "/" + "a" * (100 - len("GET / HTTP/1.1\r\n"))
    assert client.request(target=target).status == 200
    assert client.request(target=target + "a").status == 414


@pytest.mark.parametrize("is_complete", [True, False])
def test_too_many_fields_are_431(serve, is_complete):
    client = serve(hello, limits={"header_count": 10}).connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n" + "A: b\r\n" * 10 + ("\r\n" if is_complete else "C"))
    refused(client, 431)


def test_as_many_fields_as_allowed_are_served(serve):
    client = serve(hello, limits={"header_count": 10}).connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n" + "A: b\r\n" * 9 + "\r\n")
    assert client.read().status == 200


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_large_header_section_is_431(serve, is_complete):
    client = serve(hello, limits={"header_bytes": 1000}).connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\nA: " + "b" * 1000 + ("\r\n\r\n" if is_complete else ""))
    refused(client, 431)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
)
@pytest.mark.row("WSGI-16")
def test_garbage_is_400_and_the_server_goes_on(serve, data):
    called = []

    def app(environ, start_response):
        called.append(environ)
        return hello(environ, start_response)

    server = serve(app)
    client = server.connect().send(data)
    refused(client, 400)
    assert not called
    assert server.get().status == 200


def test_a_slow_header_section_is_408(serve):
    server = serve(hello, limits={"header_time": 0.2})
    refused(server.connect().send("GET / HTTP/1.1\r\nHost: te"), 408)


def test_a_slow_header_section_of_a_kept_connection_is_408(serve):
    server = serve(hello, limits={"header_time": 0.2, "keep_alive": 60})
    client = server.connect()
    assert client.request().status == 200
    refused(client.send("GET / HTTP/1.1\r\n"), 408)


def test_a_slow_header_section_in_a_pipeline_is_408(serve):
    client = serve(hello, limits={"header_time": 0.2}).connect()
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HT")
    assert client.read().status == 200
    refused(client, 408)


def test_a_connection_that_says_nothing_is_closed(serve):
    serve(hello, limits={"header_time": 0.2}).connect().expect_end()


def test_an_idle_connection_is_closed(serve):
    client = serve(hello, limits={"keep_alive": 0.2}).connect()
    assert client.request().status == 200
    client.expect_end()


# Bodies


@pytest.mark.row("WSGI-07")
@pytest.mark.parametrize("most", [1000, 200_000])  # buffered; streamed
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_the_limit_is_413(serve, most, framing):
    client = serve(size, limits={"body_bytes": most}).connect()
    body = b"b" * most
    if framing == "length":
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (most, body))
    else:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (most, body))
    assert client.read().body == b"%d" % most
    if framing == "length":
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%bb" % (most + 1, body))
    else:
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"%x\r\n%b\r\n1\r\nb\r\n0\r\n\r\n" % (most, body))
    refused(client, 413)


def test_an_app_that_does_not_notice_cannot_answer_200_to_a_body_over_the_limit(serve):
    came = Event()

    def app(environ, start_response):
        came.wait()
        return hello(environ, start_response)

    server = serve(app, limits={"body_bytes": 100_000})
    client = server.connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"20000\r\n" + b"b" * 0x20000 + b"\r\n")
    gevent.spawn_later(0.2, came.set)
    response = client.read()
    assert (response.status, response.get("Connection")) == (413, "close")
    client.expect_end()


def test_a_response_that_began_before_its_request_turned_bad_ends_the_connection(serve):
    """Where the next request begins is not known any more."""
    went_bad = Event()

    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"first")
        went_bad.wait()
        return [b"last"]

    client = serve(app, spool_bodies=False).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"11000\r\n" + b"b" * 0x11000 + b"\r\n")
    head = client.read_head()
    assert head.status == 200
    client.send(b"no chunk\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")
    gevent.spawn_later(0.2, went_bad.set)
    assert client.read_rest() == b"5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n"


@pytest.mark.row("WSGI-07")
def test_multipart_has_a_limit_of_its_own(serve):
    client = serve(size, limits={"body_bytes": 100, "multipart_bytes": 1000}).connect()
    body = b"b" * 1000
    assert client.request("POST", "/", body, Content_Type="multipart/form-data; boundary=x").body == b"1000"
    assert client.request("POST", "/", body + b"b", Content_Type="Multipart/form-data; boundary=x").status == 413


@pytest.mark.row("WSGI-07")
@pytest.mark.parametrize(
    "config",
    [
        {"max_post_body_size": 10, "max_multipart_body_size": 20},
        SimpleNamespace(max_post_body_size=10, max_multipart_body_size=20),
    ],
)
def test_an_app_sets_its_own_limits(serve, config):
    def app(environ, start_response):
        return size(environ, start_response)

    app.config = config
    server = serve(app)
    for kind, most in (("text/plain", 10), ("multipart/form-data; boundary=x", 20)):
        client = server.connect()
        assert client.request("POST", "/", b"b" * most, Content_Type=kind).status == 200
        assert client.request("POST", "/", b"b" * (most + 1), Content_Type=kind).status == 413


@pytest.mark.row("WSGI-07")
@pytest.mark.parametrize("how", ["MAX_CONTENT_LENGTH", "attribute"])
def test_flasks_limit_counts(serve, how):
    app = Flask("limited")
    if how == "attribute":
        app.config.max_post_body_size = 6_000_000
    else:
        app.config["MAX_CONTENT_LENGTH"] = 6_000_000

    @app.post("/")
    def view():
        return str(len(request.get_data()))

    client = serve(app).connect()
    assert client.request("POST", "/", b"b" * 6_000_000).body == b"6000000"  # more than the default of the server
    assert client.request("POST", "/", b"b" * 6_000_001).status == 413


@pytest.mark.parametrize("length", [100, 100_000])  # buffered; streamed
def test_a_slow_body_is_408(serve, length):
    server = serve(size, limits={"body_time": 0.2, **NO_RATE})
    client = server.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\nabc")
    refused(client, 408)
    assert "Traceback" not in server.app_text()
    assert "[expt" not in server.app_text()  # it is not the app's fault


@pytest.mark.parametrize("length", [1000, 100_000])
def test_a_dripped_body_is_408(serve, length):
    """Each read of the app gets a few bytes; that must not start the clock anew."""
    client = serve(size, limits={"body_time": 0.5, **NO_RATE}).connect()
    client.send(f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
    over = Event()

    def drip():
        while not over.is_set():
            client.send(b"b")
            gevent.sleep(0.02)

    dripping = gevent.spawn(drip)
    try:
        assert client.read().status == 408
    finally:
        over.set()
        dripping.join()


def test_a_body_that_keeps_up_the_rate_may_take_its_time(serve):
    client = serve(size, limits={"body_time": 0.1, "body_rate": 100}).connect()
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(10):
        client.send(b"b" * 100)
        gevent.sleep(0.06)
    assert client.read().body == b"1000"


def test_an_app_that_reads_slowly_does_not_time_out_its_client(serve):
    """The connection is not read while the app takes its time, and that time is not the client's."""
    go = Event()

    def app(environ, start_response):
        environ["wsgi.input"].read(1)
        go.wait()
        return size(environ, start_response)

    client = serve(app, limits={"body_time": 0.7, "body_bytes": 10_000_000, **NO_RATE}).connect()

    def send():
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n" + b"b" * 7_999_990)
        gevent.sleep(0.5)  # still in time: only this is the client's own
        client.send(b"b" * 10)

    sender = gevent.spawn(send)
    gevent.spawn_later(1.2, go.set)
    assert client.read().body == b"7999999"
    sender.join()


# Slots, queue, connections


@pytest.mark.row("RUN-04")
def test_a_full_queue_is_503_with_retry_after(serve, until):
    go = Event()

    def app(environ, start_response):
        go.wait()
        return hello(environ, start_response)

    server = serve(app, threads=2, limits={"queue": 3})
    clients = [server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n") for _ in range(5)]
    until(lambda: server.server.slots.busy == 2 and server.server.slots.waiting == 3)
    client = server.connect()
    response = client.request()
    assert response.status == 503
    assert int(response.get("Retry-After")) > 0
    go.set()
    assert [each.read().status for each in clients] == [200] * 5
    assert client.request().status == 200  # the connection was kept


def test_too_many_connections_are_503_and_closed(serve, until):
    server = serve(hello, limits={"connections": 3})
    clients = [server.connect() for _ in range(3)]
    until(lambda: server.server.connections == 3)
    late = server.connect()
    late.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    response = refused(late, 503)
    assert int(response.get("Retry-After")) > 0
    late.close()
    assert [each.request().status for each in clients] == [200] * 3
    clients[0].close()
    until(lambda: server.server.connections == 2)
    assert server.get().status == 200


def test_a_flood_past_the_limit_of_connections_is_bounded(serve, until):
    server = serve(hello, limits={"connections": 3})
    kept = [server.connect() for _ in range(3)]
    until(lambda: server.server.connections == 3)
    flood = [server.connect() for _ in range(200)]
    most = 0
    for _ in range(5):
        gevent.sleep(0.01)
        most = max(most, server.server.connections)
    assert most < 100
    assert kept[0].request().status == 200
    for each in flood:
        each.close()
    until(lambda: server.server.connections == 3)


def test_a_client_that_takes_nothing_is_cut_off(serve, until):
    def app(environ, start_response):
        start_response("200 OK", [])
        return (b"x" * 100_000 for _ in range(1000))

    server = serve(app, limits={"write_time": 0.2})
    client = server.connect(receive_buffer=4096)
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    until(lambda: server.server.connections == 1)
    until(lambda: server.server.connections == 0, "the client is cut off")


def test_a_client_that_sends_but_takes_nothing_is_cut_off(serve, until):
    """The clock of the body must not stand in for the one of the response."""

    def app(environ, start_response):
        write = start_response("200 OK", [])
        while data := environ["wsgi.input"].read(10_000):
            write(data * 100)
        return []

    server = serve(app, limits={"write_time": 0.3, "body_time": 60, "body_bytes": 100_000_000})
    client = server.connect(receive_buffer=4096)

    def send():
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            try:
                client.send(b"b" * 100_000)
            except OSError:
                return

    sender = gevent.spawn(send)
    until(lambda: server.server.connections == 1)
    until(lambda: server.server.connections == 0, "the client is cut off")
    sender.join()


def test_a_blocked_loop_does_not_expire_those_who_were_in_time(serve):
    """A view that computes for longer than the keep-alive time must not close the connections of its neighbours."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/compute":
            # It comes while the loop is blocked, in time, and the loop has to find it before it looks at the clock.
            os.write(second.sock.fileno(), b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                pass
        return hello(environ, start_response)

    server = serve(app, limits={"keep_alive": 0.5})
    first, second = server.connect(), server.connect()
    assert first.request().status == second.request().status == 200
    assert first.request(target="/compute").status == 200
    assert second.read().status == 200


def test_an_app_whose_config_raises_is_500(serve):
    class App:
        @property
        def config(self) -> Any:
            raise RuntimeError("outside of a context")

        def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
            return hello(environ, start_response)

    server = serve(App())
    refused(server.connect().send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nb"), 500)
    assert "outside of a context" in server.app_text()
    assert server.get().status == 200
