"""Nothing that a call sends becomes a header field but through ``check_field``: every place, protocol and character."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

import skitai
from skitai import was
from skitai.errors import LocalProtocolError, RequestFailed
from skitai.was._context import wasc
from skitai.was._request import Request
from skitai.wire import clusters
from skitai.wire.fields import check_field, field_line

from .conftest import Link, Peer, Peers, Received
from .test_http2_calls import http2

BAD = [
    *(chr(code) for code in (*range(9), *range(10, 32), 127)),
    "\r\n", "\r\nX-Admin: yes", "\n X: y", "\u0142", "\u010d\u010a", "\u2028", "\U0001f600", "\ud800",
]  # fmt: skip
#: What may stand in a field: blanks inside, HTAB, and bytes above 127 (obs-text).
GOOD = ["a b", "a\tb", "\xe9", "\x80", "\xff\xa0x", "a: b", "a, b; c=d"]


@pytest.mark.parametrize("value", BAD)
def test_the_check_refuses(value: str) -> None:
    for each in (value, value + "x", "x" + value, f"x{value}x"):
        with pytest.raises(LocalProtocolError) as caught:
            check_field("X", each)
        assert each not in str(caught.value)
    with pytest.raises(LocalProtocolError, match="token"):
        check_field("X" + value, "y")


@pytest.mark.parametrize("value", GOOD)
def test_the_check_lets_through(value: str) -> None:
    assert field_line("X", value) == f"X: {value}\r\n"
    assert field_line("X", f" \t{value}\t ") == f"X: {value}\r\n"


@pytest.mark.parametrize("value", [b"bytes", 5, None])
def test_a_value_is_text(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="not a str"):
        check_field("X", value)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", ":a", "a\x00", "\xe9", "a(b)"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="token"):
        check_field(name, "x")


# Every place where a call puts a text into a field


def get(url: str, **options: Any) -> Request:
    request: Request = was.get(url, **options)
    return request


def get_by_http2(url: str, **options: Any) -> Request:
    request: Request = was.get(url, http2=True, **options)
    return request


def post(url: str, **options: Any) -> Request:
    request: Request = was.post(url, {"a": "b"}, **options)
    return request


def rpc(url: str, **options: Any) -> Request:
    request: Request = was.rpc(url, **options).method()
    return request


def message(url: str, **options: Any) -> Request:
    request: Request = was.ws(url.replace("http", "ws"), "hi", **options)
    return request


def grpc(url: str, **options: Any) -> Request:
    pytest.importorskip("google.protobuf")
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    import route_guide_pb2

    request: Request = was.grpc(f"{url}routeguide.RouteGuide", **options).GetFeature(route_guide_pb2.Point())
    return request


CALLS = [get, get_by_http2, post, rpc, message, grpc]
Call = Callable[..., Request]


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


#: (what is called, with what) for a text that cannot be in a field.
PLACES: dict[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "token": lambda where, text: (f"http://{where}/", {"auth": (f"tok{text}en",)}),
    "header value": lambda where, text: (f"http://{where}/", {"headers": {"X-Given": f"a{text}b"}}),
    "header name": lambda where, text: (f"http://{where}/", {"headers": {f"X{text}": "a"}}),
}


@pytest.fixture
def silent(peers: Peers) -> Peer:
    """Notes what comes; there should be nothing."""
    return peers(lambda link: seen.append(link.wait_for_close()))


seen: list[bytes] = []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["\r\nX-Admin: yes", "\n", "\0", "\x7f", "\u0142", "\ud800"])
def test_nothing_is_sent_of_what_cannot_be_a_field(silent: Peer, call: Call, place: str, text: str) -> None:
    url, options = PLACES[place](silent.address, text)
    result = call(url, **options).getwait(5)
    assert (result.status, result.code) == (2, 731)
    assert silent.links == 0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("text", ["\r\nX-Admin: yes", "\n", "\0", "\x7f"])
def test_userinfo_has_no_control_characters(silent: Peer, call: Call, text: str) -> None:
    for userinfo in (f"u{quoted(text)}:p", f"u:p{quoted(text)}"):
        result = call(f"http://{userinfo}@{silent.address}/").getwait(5)
        assert (result.status, result.code) == (2, 731)
    for auth in ((f"u{text}", "p"), ("u", f"p{text}"), f"u:p{text}", ("u", "\ud800"), ("\ud800", "p")):
        result = call(silent.url(), auth=auth).getwait(5)
        assert (result.status, result.code) == (2, 731)
    assert silent.links == 0


@pytest.mark.parametrize("call", [get, get_by_http2, post, rpc, message])
@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a\\b", "[v1.a]", "a:b:c", "a, b"])
def test_a_host_field_is_a_host(silent: Peer, call: Call, host: str) -> None:
    assert call(silent.url(), headers={"Host": host}).getwait(5).code == 731
    assert call(silent.url(), headers=[("Host", "a"), ("host", "b")]).getwait(5).code == 731
    assert silent.links == 0


@pytest.mark.parametrize("call", CALLS)
def test_the_user_agent_is_checked(silent: Peer, call: Call) -> None:
    wasc.configure(user_agent="me\r\nX-Admin: yes")
    assert call(silent.url()).getwait(5).code == 731
    assert silent.links == 0


@pytest.mark.parametrize("names", [("a\r\nX: y",), ("a b",), ("",), ("a,b",), ("\u0142",), ("a", "a"), (5,)])
def test_subprotocols_are_tokens(silent: Peer, names: Any) -> None:
    with pytest.raises(LocalProtocolError):
        was.ws.connect(silent.url().replace("http", "ws"), subprotocols=names)
    assert silent.links == 0


@pytest.mark.parametrize("value", GOOD)
def test_what_arrives_is_what_was_given(peers: Peers, value: str) -> None:
    peer = peers.saying(b"ok")
    was.get(peer.url(), headers={"X-Given": f" {value} "}, auth=(value,)).getwait(5)
    assert peer.received[0].header("x-given") == value
    assert peer.received[0].header("authorization") == f"Bearer {value}"
    told = []
    other = http2(peers, lambda request, link: (told.append(request.head.environ), link.reply(request, b"ok")))
    assert was.get(other.url(), headers={"X-Given": f" {value} "}, auth=(value,), http2=True).getwait(5).code == 200
    assert (told[0]["HTTP_X_GIVEN"], told[0]["HTTP_AUTHORIZATION"]) == (value, f"Bearer {value}")


# Credentials that are made in a callback, when the server has said how it wants them


def challenging(peers: Peers, challenge: str) -> Peer:
    """Asks for a login, and says what it got."""

    def answer(received: Received, link: Link) -> None:
        given = received.header("authorization")
        if given is None:
            link.reply(b"", "401 Unauthorized", f"WWW-Authenticate: {challenge}")
        else:
            link.reply(given.encode("latin-1"))

    return peers.http(answer)


DIGEST = 'Digest realm="r", nonce="n", qop="auth", algorithm={}'


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize(
    ("user", "sent"),
    [
        ("Jan", 'username="Jan"'),
        ('a"b\\c', 'username="a\\"b\\\\c"'),
        ("a:b", 'username="a:b"'),
        ("Röh", "username*=UTF-8''R%C3%B6h"),
        ("Łukasz", "username*=UTF-8''%C5%81ukasz"),
        ("J\u00e4s\u00f8n Doe", "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe"),
        ("\U0001f600'", "username*=UTF-8''%F0%9F%98%80%27"),
    ],
)
def test_digest_says_any_user(peers: Peers, algorithm: str, user: str, sent: str) -> None:
    peer = challenging(peers, DIGEST.format(algorithm))
    result = was.get(peer.url(), auth=(user, "pässwörd ł")).getwait(5)
    assert result.code == 200
    assert f" {sent}," in result.text


def test_basic_with_a_colon_in_the_user_ends_with_an_error(peers: Peers) -> None:
    peer = challenging(peers, 'Basic realm="r"')
    for _ in range(2):  # the second time it is known how to log in, and the call fails where it is made
        result = was.get(peer.url(), auth=("a:b", "c")).getwait(5)
        assert (result.status, result.code) == (2, 731)
        assert "colon" in str(result.error)
    clusters.define("@two", "http", [peer.address, peer.address.replace("127.0.0.1", "localhost")])
    assert was.get.lb("@two/", auth=("a:b", "c")).getwait(5).code == 731
    with pytest.raises(RequestFailed):
        was.ws.connect(peer.url().replace("http", "ws"), auth=("a:b", "c"))


def test_an_answer_to_a_challenge_that_fails_reaches_who_waits(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> str:
        raise RuntimeError("no random numbers left")

    monkeypatch.setattr("skitai.wire.auth.Authorization.value", fail)
    peer = challenging(peers, DIGEST.format("MD5"))
    waiting = [was.get(peer.url(), auth=("a", "b")) for _ in range(3)]
    with gevent.Timeout(5, AssertionError("nobody told them")):
        assert [(each.getwait(None).status, each.getwait().code) for each in waiting] == [(2, 731)] * 3


# The source


def functions_that_make_lines() -> set[tuple[str, str]]:
    """(file, function) with an f-string that puts a value behind ``": "`` and has a line end."""
    found = set()
    root = Path(skitai.__file__).parent
    for path in root.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for text in ast.walk(function):
                if isinstance(text, ast.JoinedStr) and _is_line(text):
                    found.add((str(path.relative_to(root)), function.name))
    return found


def _is_line(text: ast.JoinedStr) -> bool:
    parts = [each.value if isinstance(each, ast.Constant) else None for each in text.values]
    has_end = any(isinstance(each, str) and "\r\n" in each for each in parts)
    return has_end and any(
        isinstance(each, str) and each.endswith(": ") and following is None
        for each, following in itertools.pairwise(parts)
    )


def test_one_function_makes_field_lines() -> None:
    # The lines of the parts of a form are in a body; what ends one there is quoted.
    assert functions_that_make_lines() == {("wire/fields.py", "field_line"), ("wire/formdata.py", "_disposition")}


def test_fields_of_http2_are_made_of_checked_ones() -> None:
    root = Path(skitai.__file__).parent
    users = {str(path.relative_to(root)) for path in root.rglob("*.py") if "raw_field(" in path.read_text()}
    # The second makes them of checked values, the last only those of a request line that was read.
    assert users == {"wire/http2/coders.py", "wire/http2/heads.py", "wire/http2/responses.py", "hub/http2_push.py"}
