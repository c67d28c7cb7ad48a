"""The opening handshake of a WebSocket (RFC 6455 sections 1.3, 4.1 and 4.2)."""

from __future__ import annotations

import pytest

from skitai.errors import RemoteProtocolError
from skitai.wire import ws_handshake
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields
from skitai.wire.ws_deflate import Agreement
from skitai.wire.ws_handshake import Offer, Opening, Refusal

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {"sec-websocket-version": "13", "sec-websocket-key": KEY}


def test_example_of_the_standard() -> None:
    assert ws_handshake.accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("upgrade", "connection", "expected"),
    [
        ("websocket", "Upgrade", True),
        ("WebSocket", "keep-alive, UPGRADE", True),
        ("h2c, websocket", "Upgrade, HTTP2-Settings", True),
        ("websocket", None, False),
        ("websocket", "close", False),
        (None, "Upgrade", False),
        ("websockets", "Upgrade", False),
        ("h2c", "Upgrade", False),
    ],
)
def test_who_asks(upgrade: str | None, connection: str | None, expected: bool) -> None:
    assert ws_handshake.is_asked_for(upgrade, connection) is expected


def test_good_request() -> None:
    found = ws_handshake.read_request("GET", {**GOOD, "sec-websocket-protocol": " chat ,superchat"}.get)
    assert found == Offer(KEY, ("chat", "superchat"), None)


@pytest.mark.parametrize(
    ("method", "changes", "status", "field"),
    [
        ("POST", {}, 405, ("Allow", "GET")),
        ("HEAD", {}, 405, ("Allow", "GET")),
        ("GET", {"sec-websocket-version": None}, 426, ("Sec-WebSocket-Version", "13")),
        ("GET", {"sec-websocket-version": "8"}, 426, ("Sec-WebSocket-Version", "13")),
        ("GET", {"sec-websocket-version": "13, 8"}, 426, ("Sec-WebSocket-Version", "13")),
        ("GET", {"sec-websocket-key": None}, 400, None),
        ("GET", {"sec-websocket-key": ""}, 400, None),
        ("GET", {"sec-websocket-key": "c2hvcnQ="}, 400, None),
        ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ"}, 400, None),
        ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZ\xe4=="}, 400, None),
        ("GET", {"sec-websocket-key": f"{KEY}, {KEY}"}, 400, None),
        ("GET", {"sec-websocket-protocol": "a b"}, 400, None),
        ("GET", {"sec-websocket-protocol": "a, a"}, 400, None),
    ],
)
def test_bad_requests(method: str, changes: dict[str, str | None], status: int, field: tuple[str, str] | None) -> None:
    found = ws_handshake.read_request(method, {**GOOD, **changes}.get)
    assert isinstance(found, Refusal)
    assert found.status == status
    assert field is None or field in found.fields
    assert status != 426 or ("Upgrade", "websocket") in found.fields


def test_request_over_http_2() -> None:
    """RFC 8441 section 5: no key, no Upgrade, no Connection, in either direction."""
    offer = ws_handshake.read_request("GET", {"sec-websocket-version": "13", "sec-websocket-protocol": "b"}.get, 20)
    assert offer == Offer(None, ("b",), None)
    opening = ws_handshake.accept(offer, ["b"])
    assert isinstance(opening, Opening)
    assert opening.fields == [("Sec-WebSocket-Protocol", "b")]
    found = ws_handshake.read_request("GET", {"sec-websocket-version": "8"}.get, 20)
    assert isinstance(found, Refusal)
    assert (found.status, found.fields) == (400, [("Sec-WebSocket-Version", "13")])


def test_answers() -> None:
    offer = Offer(KEY, ("a", "b"), "permessage-deflate")
    opening = ws_handshake.accept(offer, ["b", "a"])
    assert isinstance(opening, Opening)
    assert opening.subprotocol == "b"
    assert opening.agreement == Agreement()
    assert dict(opening.fields) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol": "b",
        "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    }
    opening = ws_handshake.accept(offer, ["c"], is_compressing=False)
    assert isinstance(opening, Opening)
    assert (opening.subprotocol, opening.agreement, len(opening.fields)) == (None, None, 3)
    refusal = ws_handshake.accept(Offer(KEY, (), "; ;"))
    assert isinstance(refusal, Refusal) and refusal.status == 400


def response(changes: dict[str, str | None]) -> ResponseHead:
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ws_handshake.accept_key(KEY),
        **changes,
    }
    given: Fields = [(name, value) for name, value in fields.items() if value is not None]
    return ResponseHead(101, "Switching Protocols", 11, given, True)


def test_good_response() -> None:
    opening = ws_handshake.read_response(response({}), KEY)
    assert (opening.subprotocol, opening.agreement) == (None, None)
    opening = ws_handshake.read_response(response({"Sec-WebSocket-Protocol": "a"}), KEY, ["a"])
    assert opening.subprotocol == "a"


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Sec-WebSocket-Accept": None},
        {"Sec-WebSocket-Accept": KEY},
        {"Sec-WebSocket-Protocol": "unasked"},
        {"Sec-WebSocket-Extensions": "unasked"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=99"},
    ],
)
def test_bad_responses(changes: dict[str, str | None]) -> None:
    with pytest.raises(RemoteProtocolError):
        ws_handshake.read_response(response(changes), KEY)


def test_request_and_answer_fit() -> None:
    key = ws_handshake.new_key()
    lines = ws_handshake.request_lines(key, ["a", "b"]).split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if line)
    assert ws_handshake.is_asked_for(fields["Upgrade"], fields["Connection"])
    lower = {name.lower(): value for name, value in fields.items()}
    offer = ws_handshake.read_request("GET", lower.get)
    assert isinstance(offer, Offer)
    opening = ws_handshake.accept(offer, ["b"])
    assert isinstance(opening, Opening)
    read = ws_handshake.read_response(ResponseHead(101, "", 11, opening.fields, True), key, ["a", "b"])
    assert (read.subprotocol, read.agreement) == ("b", Agreement())
