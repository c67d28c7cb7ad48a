"""A plain port that sends clients to https, and Strict-Transport-Security."""

from __future__ import annotations

import pytest

from skitai.hub.binding import bind
from skitai.settings import TlsSettings


def app(environ, start_response):
    raise AssertionError("no app sees a request by the plain port")


@pytest.fixture
def redirecting(serve):
    """A server whose plain port redirects to port 8443."""
    return redirect_of(serve(app), 8443)


def redirect_of(running, port):
    sock = bind("127.0.0.1", 0)[0]
    running.port = sock.getsockname()[1]
    running.server.add_redirect(sock, port).start()
    return running


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("example.com", "/", "https://example.com:8443/"),
        ("example.com:8080", "/a%20b/?q=1&r=%0D%0A", "https://example.com:8443/a%20b/?q=1&r=%0D%0A"),
        ("[::1]:80", "/x", "https://[::1]:8443/x"),
        ("EXAMPLE.com", "//evil.example/x", "https://EXAMPLE.com:8443//evil.example/x"),
        ("ignored.example", "http://example.com:80/x", "https://example.com:8443/x"),
    ],
)
def test_the_same_url_by_https(redirecting, host, target, location):
    client = redirecting.connect()
    response = client.request(target=target, Host=host)
    assert (response.status, response.get("Location")) == (308, location)
    assert response.get("Strict-Transport-Security") is None
    client.expect_end()
    assert redirecting.request_lines()[0].count(" 308 ") == 1


def test_the_default_port_is_not_named(serve):
    server = redirect_of(serve(app), 443)
    assert server.get(Host="example.com:80").get("Location") == "https://example.com/"


@pytest.mark.parametrize(
    "request_",
    [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com\rSet-Cookie: x=1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com/evil\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n",
        "GET /\x0bx HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
    ],
)
def test_what_names_no_place_is_a_bad_request(redirecting, request_):
    client = redirecting.connect().send(request_)
    response = client.read()
    assert (response.status, response.get("Location"), response.get("Set-Cookie")) == (400, None, None)
    client.expect_end()


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_any_method_and_a_body_that_nobody_reads(redirecting, method):
    body = b"b" * 200_000 if method == "POST" else b""
    client = redirecting.connect()
    response = client.request(method, "/form", body, Host="example.com")
    assert (response.status, response.get("Location")) == (308, "https://example.com:8443/form")
    client.expect_end()


def test_pipelined_requests_get_one_answer(redirecting):
    client = redirecting.connect().send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read().get("Location") == "https://x:8443/a"
    client.expect_end()


def hello(environ, start_response):
    fields = [("Strict-Transport-Security", "max-age=7")] if environ["PATH_INFO"] == "/own" else []
    start_response("200 OK", fields)
    return [b"hello"]


def test_hsts_is_off_unless_it_is_set(serve):
    assert TlsSettings().hsts == 0
    assert serve(hello).get().get("Strict-Transport-Security") is None


def test_hsts_on_every_response(serve):
    server = serve(hello, hsts=300)
    client = server.connect()
    for target in ("/", "/", "/%zz"):
        assert client.request(target=target).get("Strict-Transport-Security") == "max-age=300"
    assert server.connect().send("bad\r\n\r\n").read().get("Strict-Transport-Security") == "max-age=300"
    # A browser takes the first one (RFC 6797 section 8.1).
    fields = client.request(target="/own").fields
    assert [value for name, value in fields if name == "Strict-Transport-Security"] == ["max-age=7", "max-age=300"]
