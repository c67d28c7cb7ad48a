"""What the HTTP services send."""

from __future__ import annotations

import io
from typing import Any

import multipart
import pytest

from skitai import was
from skitai.was._context import Context

from .conftest import Link, Peers, Received


def asked(peers: Peers, service: str, *args: Any, **kwargs: Any) -> Received:
    """Call a service at a peer and return what the peer read."""
    peer = peers.saying(b"ok")
    path = kwargs.pop("path", "/a")
    result = getattr(was, service)(peer.url(path), *args, **kwargs).getwait(5)
    assert result.status == 3, result.error
    return peer.received[0]


@pytest.mark.row("WAS-HTTP-01", "WAS-HTTP-16")
def test_get_takes_its_arguments_in_the_documented_order(peers: Peers) -> None:
    request = asked(peers, "get", {"k": "v"}, ("user", "pw"), [("X-A", "1")], False, path="/a?x=1")
    assert (request.method, request.target) == ("GET", "/a?x=1&k=v")
    assert request.header("x-a") == "1"
    assert request.header("cache-control") == "no-cache"
    assert request.header("content-length") is None


def test_fifth_argument_may_be_meta(peers: Peers) -> None:
    peer = peers.saying(b"ok")
    assert was.get(peer.url(), None, None, None, {"a": 1}).getwait(5).meta == {"a": 1}
    assert was.get(peer.url(), meta={"a": 2}).getwait(5).meta == {"a": 2}


@pytest.mark.row("WAS-HTTP-14")
def test_default_headers(peers: Peers) -> None:
    request = asked(peers, "get")
    assert request.header("accept") == "*/*"
    assert "gzip" in str(request.header("accept-encoding"))
    assert str(request.header("user-agent")).startswith("Skitai/")
    assert request.fields[0][0] == "Host"


@pytest.mark.row("WAS-HTTP-12")
@pytest.mark.parametrize("headers", [[("X-A", "1"), ("accept", "text/html")], {"X-A": "1", "accept": "text/html"}])
def test_headers_are_pairs_or_a_dict_and_replace_defaults(peers: Peers, headers: Any) -> None:
    request = asked(peers, "get", headers=headers)
    assert request.header("x-a") == "1"
    assert [value for name, value in request.fields if name.lower() == "accept"] == ["text/html"]


def test_a_host_of_ones_own(peers: Peers) -> None:
    request = asked(peers, "get", headers={"Host": "other.example"})
    assert [value for name, value in request.fields if name.lower() == "host"] == ["other.example"]


@pytest.mark.row("WAS-HTTP-03", "WAS-HTTP-06", "WAS-HTTP-07")
@pytest.mark.parametrize("method", ["post", "put", "patch"])
@pytest.mark.parametrize(
    ("suffix", "data", "content_type", "body"),
    [
        ("", {"a": "ä"}, "application/json", '{"a":"ä"}'.encode()),
        ("", [1, None], "application/json", b"[1,null]"),
        ("", "raw ä", "application/json", "raw ä".encode()),
        ("", b"\xff", "application/json", b"\xff"),
        ("json", {"a": 1}, "application/json", b'{"a":1}'),
        ("form", {"a": 1, "b": "ä &"}, "application/x-www-form-urlencoded", b"a=1&b=%C3%A4+%26"),
        ("xml", "<a/>", "text/xml", b"<a/>"),
        ("nvp", {"a": "ä"}, "text/namevalue", "a[2]=ä".encode()),
    ],
)
def test_bodies(peers: Peers, method: str, suffix: str, data: Any, content_type: str, body: bytes) -> None:
    request = asked(peers, method + suffix, data)
    assert request.method == method.upper()
    assert request.header("content-type") == content_type
    assert request.header("content-length") == str(len(body))
    assert request.body == body


@pytest.mark.row("WAS-HTTP-04", "WAS-HTTP-05")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/x-www-form-urlencoded", b"a=1"), ("application/json; charset=utf-8", b'{"a":1}'),
     ("text/namevalue", b"a[1]=1")],
)  # fmt: skip
def test_an_explicit_content_type_decides_the_encoding(peers: Peers, content_type: str, body: bytes) -> None:
    request = asked(peers, "post", {"a": 1}, headers={"content-type": content_type})
    assert request.body == body
    assert [value for name, value in request.fields if name.lower() == "content-type"] == [content_type]


def test_post_without_a_body_says_so(peers: Peers) -> None:
    request = asked(peers, "post")
    assert request.header("content-length") == "0"
    assert request.header("content-type") is None


def test_a_content_length_of_the_caller_does_not_count(peers: Peers) -> None:
    request = asked(peers, "post", "abc", headers={"Content-Length": "1000"})
    assert [value for name, value in request.fields if name.lower() == "content-length"] == ["3"]


@pytest.mark.row("WAS-HTTP-08", "WAS-HTTP-09")
@pytest.mark.parametrize("method", ["delete", "options", "trace", "head"])
def test_other_methods(peers: Peers, method: str) -> None:
    def answer(received: Received, link: Link) -> None:
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if received.method == "HEAD" else b"ok"))

    peer = peers.http(answer)
    result = getattr(was, method)(peer.url("/a"), {"k": "v"}).getwait(5)
    assert (result.status, result.code) == (3, 200)
    assert (peer.received[0].method, peer.received[0].target) == (method.upper(), "/a?k=v")
    assert result.content == (b"" if method == "head" else b"ok")


@pytest.mark.row("WAS-HTTP-10")
def test_upload_sends_fields_and_files(peers: Peers, tmp_path: Any) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(b"\x89PNG" * 50_000)
    file = path.open("rb")
    request = asked(peers, "upload", {"user": "Hans Roh", "file": file})
    assert file.closed
    kind, options = multipart.parse_options_header(request.header("content-type"))
    assert (request.method, kind) == ("POST", "multipart/form-data")
    assert request.header("content-length") == str(len(request.body))
    user, part = multipart.MultipartParser(io.BytesIO(request.body), options["boundary"], strict=True)
    assert (user.name, user.value) == ("user", "Hans Roh")
    assert (part.name, part.filename, part.content_type) == ("file", "logo.png", "image/png")
    assert part.raw == b"\x89PNG" * 50_000
    part.close()


def test_upload_takes_ready_made_bytes(peers: Peers) -> None:
    body = b'--b1\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b1--\r\n'
    request = asked(peers, "upload", body)
    assert request.body == body
    assert request.header("content-type") == "multipart/form-data; boundary=b1"


def test_a_generator_is_sent_in_chunks_while_it_runs(peers: Peers) -> None:
    request = asked(peers, "post", (piece for piece in ["a", b"", b"bc", "ä"]), headers={"Content-Type": "text/plain"})
    assert request.header("transfer-encoding") == "chunked"
    assert request.header("content-length") is None
    assert request.header("content-type") == "text/plain"
    assert request.body == "abcä".encode()


def test_a_file_is_sent_from_where_it_stands(peers: Peers, tmp_path: Any) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    file = path.open("rb")
    file.seek(4)
    request = asked(peers, "put", file)
    assert (request.body, request.header("content-length")) == (b"456789", "6")


def test_a_file_without_a_position_is_sent_in_chunks(peers: Peers) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.pieces = [b"ab", b"c", b""]
            self.is_closed = False

        def read(self, size: int) -> bytes:
            return self.pieces.pop(0)

        def close(self) -> None:
            self.is_closed = True

    pipe = Pipe()
    request = asked(peers, "post", pipe)
    assert request.body == b"abc"
    assert pipe.is_closed


@pytest.mark.row("WAS-HTTP-13")
def test_transaction_headers_inside_a_request_only(peers: Peers, in_request: Context, outside: Context) -> None:
    peer = peers.saying(b"ok")
    for _ in range(2):
        in_request.get(peer.url()).getwait(5)
    in_request.rpc(peer.url()).method().getwait(5)
    outside.get(peer.url()).getwait(5)
    sent = [(request.header("x-gtxn-id"), request.header("x-ltxn-id")) for request in peer.received]
    assert sent == [("GTID-C1-R1", "1001"), ("GTID-C1-R1", "1002"), ("GTID-C1-R1", "1003"), (None, None)]


@pytest.mark.row("WAS-GEN-17")
def test_redirects_are_not_followed(peers: Peers) -> None:
    peer = peers.saying(b"", "302 Found", "Location: /other")
    result = was.get(peer.url()).getwait(5)
    assert (result.status, result.code, result.headers["location"]) == (3, 302, "/other")
    assert len(peer.received) == 1


def test_cookies_are_not_kept(peers: Peers) -> None:
    peer = peers.saying(b"ok", "200 OK", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2")
    assert was.get(peer.url()).getwait(5).cookies == {"a": "1", "b": "2"}
    was.get(peer.url()).getwait(5)
    assert peer.received[1].header("cookie") is None


# Credentials


def challenging(peers: Peers, challenge: str, accepts: str) -> Any:
    def answer(received: Received, link: Link) -> None:
        if accepts in str(received.header("authorization")):
            link.reply(b"in")
        else:
            link.reply(b"out", "401 Unauthorized", f"WWW-Authenticate: {challenge}")

    return peers.http(answer)


@pytest.mark.row("WAS-HTTP-11")
@pytest.mark.parametrize(
    ("challenge", "accepts"),
    [('Basic realm="r"', "Basic dXNlcjpwdw=="), ('Digest realm="r", nonce="n", qop="auth"', 'username="user"'),
     ('Digest realm="r", nonce="n", algorithm=SHA-256, Basic realm="r"', "SHA-256")],
)  # fmt: skip
@pytest.mark.parametrize("auth", [("user", "pw"), "user:pw"])
def test_a_challenge_is_answered_and_remembered(peers: Peers, challenge: str, accepts: str, auth: Any) -> None:
    peer = challenging(peers, challenge, accepts)
    assert was.get(peer.url(), auth=auth).getwait(5).data == b"in"
    assert len(peer.received) == 2
    assert peer.received[0].header("authorization") is None
    assert was.post(peer.url(), {"a": 1}, auth=auth).getwait(5).data == b"in"
    assert len(peer.received) == 3


@pytest.mark.parametrize("challenge", ['Basic realm="r"', 'Digest realm="r", nonce="n"', "Negotiate", ""])
def test_a_second_401_is_returned(peers: Peers, challenge: str) -> None:
    peer = challenging(peers, challenge, "never")
    result = was.get(peer.url(), auth=("user", "wrong")).getwait(5)
    assert (result.status, result.code, result.data) == (3, 401, b"out")
    assert len(peer.received) == (1 if challenge in ("Negotiate", "") else 2)


def test_a_remembered_basic_password_is_not_sent_twice(peers: Peers) -> None:
    peer = challenging(peers, 'Basic realm="r"', "never")
    was.get(peer.url(), auth=("user", "wrong")).getwait(5)
    was.get(peer.url(), auth=("user", "wrong")).getwait(5)
    assert len(peer.received) == 3


def test_a_body_goes_out_again_after_a_challenge(peers: Peers, tmp_path: Any) -> None:
    peer = challenging(peers, 'Basic realm="r"', "Basic")
    path = tmp_path / "f.txt"
    path.write_bytes(b"abc")
    assert was.upload(peer.url(), {"f": path.open("rb")}, auth=("user", "pw")).getwait(5).data == b"in"
    assert peer.received[0].body == peer.received[1].body


def test_a_generator_cannot_go_out_again(peers: Peers) -> None:
    peer = challenging(peers, 'Basic realm="r"', "Basic")
    result = was.post(peer.url(), iter([b"abc"]), auth=("user", "pw")).getwait(5)
    assert (result.code, len(peer.received)) == (401, 1)
    assert was.post(peer.url(), iter([b"abc"]), auth=("user", "pw")).getwait(5).code == 200


def test_a_token_goes_out_at_once(peers: Peers) -> None:
    assert asked(peers, "get", auth=("tok",)).header("authorization") == "Bearer tok"


def test_a_header_stands_over_auth(peers: Peers) -> None:
    request = asked(peers, "get", auth=("tok",), headers={"Authorization": "Mine"})
    assert [value for name, value in request.fields if name.lower() == "authorization"] == ["Mine"]


def test_user_and_password_of_a_url(peers: Peers) -> None:
    peer = challenging(peers, 'Basic realm="r"', "Basic dXNlcjpwdw==")
    assert was.get(peer.url().replace("http://", "http://user:pw@")).getwait(5).data == b"in"
