"""Methods: a server lets every token through, and an app of Saddle answers 405 for those that a route does not have."""

from __future__ import annotations

import pytest

ALL = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@pytest.fixture
def routed(app):
    app.route("/any")(lambda was: was.request.method)
    app.route("/get", methods=["GET"])(lambda was: "got")
    app.route("/dav", methods=["GET", "PROPFIND"])(lambda was: was.request.method)
    app.route("/mixed")(lambda was: "any")
    app.route("/mixed", methods=["LOCK"])(lambda was: "locked")
    app.route("/<path:rest>", methods=["GET"])(lambda was, rest: "rest")
    return app


@pytest.mark.row("WSGI-09", "SAD-ROUTE-02")
@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/any", "PROPFIND", ALL),
        ("/any", "get", ALL),
        ("/any", "M-SEARCH", ALL),
        ("/get", "PROPFIND", {"GET"}),
        ("/get", "Get", {"GET"}),
        ("/dav", "propfind", {"GET", "PROPFIND"}),
        ("/mixed", "UNLOCK", ALL | {"LOCK"}),
        ("/some/where", "PROPFIND", {"GET"}),
    ],
)
def test_what_a_route_does_not_have(routed, run, path, method, allowed) -> None:
    with run({"": routed}).connect() as sock:
        sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert " 405 " in head
    (allow,) = [line[7:] for line in head.split("\r\n") if line.startswith("Allow: ")]
    assert allowed <= set(allow.split(", ")) <= allowed | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize(("path", "method", "text"), [("/dav", "PROPFIND", "PROPFIND"), ("/mixed", "LOCK", "locked")])
def test_what_a_route_lists_it_gets(routed, path, method, text) -> None:
    target, _ = routed.table.find(path, method)
    assert target is not None
    with_server = routed.test_client()
    assert with_server.request(method, path).text == text
