"""The request log."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gevent.event import Event

from skitai.hub.site import Site

LINE = re.compile(
    r"(?P<time>\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d) \[info\]"
    r" (?P<client>\S+:\d+) (?P<host>\S+) (?P<method>\S+) (?P<target>\S+)"
    r" (?P<version>HTTP/1\.[01]|-) (?P<status>\d{3}|-) (?P<bytes_in>\d+) (?P<bytes_out>\d+)"
    r" (?P<gtxnid>\S+) (?P<ltxnid>\S+)"
    r' (?P<user>-|"[^"]*") (?P<token>\S+) "(?P<agent>[^"]*)" (?P<processing>\d+)ms (?P<sending>\d+)ms'
)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"hello"]


def lines(server: Any, until: Any, count: int) -> list[dict[str, str]]:
    until(lambda: len(server.request_lines()) >= count, f"{count} lines")
    found = server.request_lines()
    assert len(found) == count, found
    matches = [LINE.fullmatch(line) for line in found]
    assert all(matches), found
    return [match.groupdict() for match in matches if match]


@pytest.mark.row("LOG-06")
def test_the_columns(serve, until):
    server = serve(hello)
    client = server.connect()
    agent = "Mozilla/5.0 (Windows NT 6.1;)"
    client.request("POST", "/path?q=%20", b"x" * 12, User_Agent=agent, Host="site.example:5000")
    (line,) = lines(server, until, 1)
    port = client.sock.getsockname()[1]
    expected = {
        "client": f"127.0.0.1:{port}",
        "host": "site.example:5000",
        "method": "POST",
        "target": "/path?q=%20",
        "version": "HTTP/1.1",
        "status": "200",
        "bytes_in": "12",
        "bytes_out": "5",
        "ltxnid": "1000",
        "user": "-",
        "token": "-",
        "agent": agent,
    }
    assert {key: line[key] for key in expected} == expected
    assert re.fullmatch(r"GTID-C\d+-R\d+", line["gtxnid"])


@pytest.mark.row("LOG-06")
def test_what_is_empty_is_a_dash(serve, until):
    server = serve(hello)
    server.connect().send("GET / HTTP/1.0\r\n\r\n").read()
    (line,) = lines(server, until, 1)
    assert (line["host"], line["user"], line["token"], line["agent"]) == ("-", "-", "-", "-")
    assert line["version"] == "HTTP/1.0"


@pytest.mark.row("LOG-06")
def test_user_and_token(serve, until):
    def app(environ, start_response):
        exchange = environ["skitai.was"].exchange
        exchange.user, exchange.token = 'hans "x" \n', "a b"
        return hello(environ, start_response)

    server = serve(app)
    server.get()
    (line,) = lines(server, until, 1)
    assert line["user"] == r'"hans \x22x\x22 \x0a"'
    assert line["token"] == r"a\x20b"


@pytest.mark.row("LOG-06")
def test_transaction_ids_of_a_call(serve, until):
    server = serve(hello)
    server.get(X_Gtxn_Id="GTID-C3-R8", X_Ltxn_Id="1001")
    (line,) = lines(server, until, 1)
    assert (line["gtxnid"], line["ltxnid"]) == ("GTID-C3-R8", "2001")


@pytest.mark.parametrize(
    ("agent", "logged"),
    [
        ('quote" end', r"quote\x22 end"),
        ("back\\slash", r"back\x5cslash"),
        ("tab\there", r"tab\x09here"),
        ("\x85next line", r"\x85next line"),
        ("\x9b31mred", r"\x9b31mred"),
        ("caf\xe9", "caf\xe9"),
    ],
)
def test_what_a_client_sends_cannot_break_a_line(serve, until, agent, logged):
    server = serve(hello)
    server.get(User_Agent=agent)
    (line,) = lines(server, until, 1)
    assert line["agent"] == logged


def test_a_transaction_id_that_is_no_word_is_not_taken(serve, until):
    server = serve(hello)
    server.get(X_Gtxn_Id="a b", X_Ltxn_Id="x")
    (line,) = lines(server, until, 1)
    assert line["gtxnid"].startswith("GTID-")


@pytest.mark.row("LOG-07")
def test_one_line_per_response_whoever_sent_it(serve, until, mounted, tmp_path):
    (tmp_path / "f.txt").write_text("file")

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/error":
            raise ValueError
        if environ["PATH_INFO"] == "/stream":
            start_response("200 OK", [])
            return (each for each in (b"one", b"two"))
        return hello(environ, start_response)

    site = Site()
    site.mount_app("/app", mounted(app))
    site.mount_directory("/static", str(tmp_path))
    server = serve(site=site, limits={"body_bytes": 10})
    client = server.connect()
    for target in ("/app/", "/app/error", "/app/stream", "/app", "/nothing", "/static/f.txt", "/static/none"):
        client.request(target=target)
    client.request(target="/static/f.txt", If_None_Match="*")
    client.request("HEAD", "/static/f.txt")
    client.request("TRACE", "/app/")
    client.request("POST", "/app/")
    client.request("POST", "/app/", b"x" * 11)
    found = lines(server, until, 12)
    assert [(each["method"], each["target"], each["status"], each["bytes_out"]) for each in found][:3] == [
        ("GET", "/app/", "200", "5"),
        ("GET", "/app/error", "500", found[1]["bytes_out"]),
        ("GET", "/app/stream", "200", "6"),
    ]
    assert [each["status"] for each in found[3:]] == ["308", "404", "200", "404", "304", "200", "405", "200", "413"]
    assert [each["bytes_out"] for each in found[5:9]] == ["4", found[6]["bytes_out"], "0", "0"]
    assert int(found[1]["bytes_out"]) > 100


@pytest.mark.row("LOG-07")
@pytest.mark.parametrize(("data", "status"), [(b"garbage\r\n\r\n", "400"), (b"GET /" + b"a" * 9000, "414")])
def test_what_was_no_request_is_logged_too(serve, until, data, status):
    server = serve(hello)
    assert str(server.connect().send(data).read().status) == status
    (line,) = lines(server, until, 1)
    assert (line["method"], line["target"], line["status"]) == ("-", "-", status)
    assert f"with {status}" in server.messages_text()


@pytest.mark.row("LOG-07")
def test_the_line_comes_after_the_last_byte(serve, until):
    go = Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        go.wait()
        yield b"two"

    server = serve(app)
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.read_head()
    client.read_exactly(8)
    assert server.request_lines() == []
    go.set()
    client.read_exactly(13)
    (line,) = lines(server, until, 1)
    assert line["bytes_out"] == "6"


def test_a_client_that_went_is_logged_once(serve, until):
    go = Event()

    def app(environ, start_response):
        go.wait()
        return hello(environ, start_response)

    server = serve(app)
    client = server.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    until(lambda: server.server.slots.busy)
    client.reset()
    until(lambda: server.server.connections == 0)
    go.set()
    (line,) = lines(server, until, 1)
    assert line["target"] == "/"
