"""The host by which a request was routed is the one that every app sees (RFC 9112 section 3.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from skitai.hub.site import Site
from skitai.saddle import Saddle
from tests.hub.http2_client import Answer, Http2Client


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["HTTP_HOST"].encode()]


def native() -> Saddle:
    app = Saddle(__name__)

    @app.route("/")
    def index(was: Any) -> str:
        request = was.request
        raw = [line for line in request.get_headers() if line.lower().startswith("host:")]
        seen = {was.env["HTTP_HOST"], request.headers["host"], request.get_header("Host"), raw[0].partition(": ")[2]}
        assert len(raw) == len(seen) == 1, seen
        host: str = seen.pop()
        return host

    return app


@pytest.fixture(params=["wsgi", "native"])
def site(request: Any, mounted: Any) -> Site:
    made = Site()
    for host in ("default", "routed.example"):
        made.mount_app("/", mounted(wsgi if request.param == "wsgi" else native()), host)
    return made


@pytest.mark.parametrize(
    ("target", "host", "seen"),
    [
        ("/", "a.example", "a.example"),
        ("http://routed.example/", "a.example", "routed.example"),
        ("http://routed.example", "a.example", "routed.example"),
        ("https://routed.example:8443/", "a.example", "routed.example:8443"),
        ("HTTP://ROUTED.example/", "routed.example", "ROUTED.example"),
        ("http://routed.example./", "a.example", "routed.example."),
        ("http://[::1]:80/", "a.example", "[::1]:80"),
    ],
)
def test_http1(serve: Any, site: Site, target: str, host: str, seen: str) -> None:
    client = serve(site=site).connect()
    assert client.request("GET", target, Host=host).body == seen.encode()
    # The header section was seen before: what is remembered of it is not what its request line made of it.
    assert client.request("GET", "/", Host=host).body == host.encode()
    assert client.request("GET", target, Host=host).body == seen.encode()


def test_http_1_0_without_a_host(serve: Any, site: Site) -> None:
    client = serve(site=site).connect()
    assert client.send("GET http://routed.example/ HTTP/1.0\r\n\r\n").read().body == b"routed.example"


def test_http2(serve: Any, site: Site) -> None:
    client = Http2Client(serve(site=site).connect().sock)
    assert client.finish(client.open("GET", "/", [("host", "test")])).body == b"test"
    answer = client.finish(client.open("GET", "/", [("host", "other")]))
    assert answer.body == b"" and answer.reset is not None  # malformed (RFC 9113 section 8.3.1)


HOSTS = [
    *("user:s3cr3t@h", "a@b", "[v1.a]", "a%41", "%61", "a\\b", "a\\@b", "a b", "a,b", "a:b", "a:80:80", "a:+80"),
    *("a:8_0", "a:65536", "[::1", "[::1%1]", "[1.2.3.4]", "a\"b", "<a>", "\xe9", "\xad"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_others_read_otherwise(serve: Any, site: Site, host: str) -> None:
    server = serve(site=site)
    for request in (
        f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        f"GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        assert server.connect().send(request).read().status == 400
    client = Http2Client(server.connect().sock)
    raw = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", host.encode("latin-1"))]
    stream = client.engine.open(raw, True, False)
    client.answers[stream] = Answer()
    client.flush()
    answer = client.finish(stream)
    assert answer.status == 400 or answer.reset is not None
    assert "s3cr3t" not in "".join(server.request_lines()) + server.messages_text() + server.app_text()
