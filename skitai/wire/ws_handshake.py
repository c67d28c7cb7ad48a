"""The opening handshake of a WebSocket, of both ends, as header fields (RFC 6455 section 4; RFC 8441 section 5)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from secrets import token_bytes
from typing import Final, NamedTuple

from skitai.errors import LocalProtocolError, RemoteProtocolError
from skitai.wire import ws_deflate
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields, field_line, is_token, tokens
from skitai.wire.ws_deflate import Agreement

VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: (name) -> value of a header field of the request, repeated ones joined; ``None`` when there is none.
Header = Callable[[str], str | None]


class Refusal(NamedTuple):
    """Why a request opens no WebSocket.

    Attributes:
        status: of the response. detail: for the client. fields: that the response must have.
    """

    status: int
    detail: str
    fields: Fields


class Offer(NamedTuple):
    """What a client asks for.

    Attributes:
        key: its challenge; ``None`` over HTTP/2, which needs none. subprotocols: it speaks, best first.
        extensions: the value of its field.
    """

    key: str | None
    subprotocols: tuple[str, ...]
    extensions: str | None


class Opening(NamedTuple):
    """What both ends agreed on.

    Attributes:
        fields: of the 101 response, or the 200 of HTTP/2. subprotocol: ``None`` for none. agreement: on compression.
    """

    fields: Fields
    subprotocol: str | None
    agreement: Agreement | None


def is_asked_for(upgrade: str | None, connection: str | None) -> bool:
    """Whether the values of Upgrade and Connection ask for a WebSocket (RFC 9110 section 7.8)."""
    return "websocket" in tokens(upgrade or "") and "upgrade" in tokens(connection or "")


# The server


def read_request(method: str, header: Header, http: int = 11) -> Offer | Refusal:
    """Check a request that asks for a WebSocket (section 4.2.1).

    Args:
        http: version that it came by; over 20, HTTP/2, the method is that of HTTP/1.1 and there is no key.
    """
    if method != "GET":
        return Refusal(405, "A WebSocket is opened by GET.", [("Allow", "GET")])
    version = header("sec-websocket-version")
    if version != VERSION:
        # Section 4.4; RFC 9110 section 15.5.22 wants Upgrade in a 426, which HTTP/2 has not.
        fields = [("Upgrade", "websocket")] if http == 11 else []
        detail = f"This server speaks version {VERSION} of the WebSocket protocol."
        return Refusal(426 if fields else 400, detail, [*fields, ("Sec-WebSocket-Version", VERSION)])
    key = (header("sec-websocket-key") or "").strip(" \t") if http == 11 else None
    if key is not None and not _is_key(key):
        return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64.", [])
    asked = [each.strip(" \t") for each in (header("sec-websocket-protocol") or "").split(",")]
    subprotocols = tuple(each for each in asked if each)
    if not all(map(is_token, subprotocols)) or len(set(subprotocols)) != len(subprotocols):
        return Refusal(400, "Sec-WebSocket-Protocol is not a list of different names.", [])
    extensions = header("sec-websocket-extensions")
    try:
        ws_deflate.answer(extensions)  # now, and not when the app was asked and believes that it has a client
    except ws_deflate.NotNegotiable as error:
        return Refusal(400, f"{error}.", [])
    return Offer(key, subprotocols, extensions)


def accept(offer: Offer, supported: Sequence[str] = (), is_compressing: bool = True) -> Opening | Refusal:
    """Answer an offer (section 4.2.2).

    Args:
        supported: subprotocols that the server speaks, best first; without a common one the connection has none.
    """
    fields = []
    if offer.key is not None:
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(offer.key))]
    subprotocol = next((each for each in supported if each in offer.subprotocols), None)
    if subprotocol is not None:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    try:
        found = ws_deflate.answer(offer.extensions) if is_compressing else None
    except ws_deflate.NotNegotiable as error:
        return Refusal(400, f"{error}.", [])
    if found is None:
        return Opening(fields, subprotocol, None)
    return Opening([*fields, ("Sec-WebSocket-Extensions", found[0])], subprotocol, found[1])


def accept_key(key: str) -> str:
    """Return the value of Sec-WebSocket-Accept for a key."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode("ascii"), validate=True)) == 16
    except (UnicodeEncodeError, binascii.Error):
        return False


# The client


def new_key() -> str:
    """Return a value for Sec-WebSocket-Key."""
    return base64.b64encode(token_bytes(16)).decode("ascii")


def check_subprotocols(subprotocols: Sequence[str]) -> None:
    """Refuse names that cannot be offered. Raises LocalProtocolError: one is no token, or is there twice."""
    if not all(isinstance(each, str) and is_token(each) for each in subprotocols):
        raise LocalProtocolError("the name of a subprotocol is a token (RFC 6455 section 4.1)")
    if len(set(subprotocols)) != len(subprotocols):
        raise LocalProtocolError("a subprotocol is offered twice")


def request_lines(key: str, subprotocols: Sequence[str] = (), is_compressing: bool = True) -> str:
    """Return the header lines with which a client asks (section 4.1).

    Raises:
        LocalProtocolError: see :func:`check_subprotocols`.
    """
    check_subprotocols(subprotocols)
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", VERSION)]
    fields.append(("Sec-WebSocket-Key", key))
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if is_compressing:
        fields.append(("Sec-WebSocket-Extensions", ws_deflate.OFFER))
    return "".join([field_line(name, value) for name, value in fields])


def read_response(head: ResponseHead, key: str, subprotocols: Sequence[str] = ()) -> Opening:
    """Check a 101 response (section 4.1, its last list).

    Raises:
        RemoteProtocolError: the server did not do what a WebSocket server does.
    """

    def joined(name: str) -> str | None:
        values = [value for each, value in head.fields if each.lower() == name]
        return ", ".join(values) if values else None

    if not is_asked_for(joined("upgrade"), joined("connection")):
        raise RemoteProtocolError("the server switched to another protocol than WebSocket")
    if (joined("sec-websocket-accept") or "").strip(" \t") != accept_key(key):
        raise RemoteProtocolError("Sec-WebSocket-Accept is not the answer to our key")
    subprotocol = joined("sec-websocket-protocol")
    if subprotocol is not None and subprotocol not in subprotocols:
        raise RemoteProtocolError("the server chose a subprotocol that was not offered")
    try:
        agreement = ws_deflate.agreed(joined("sec-websocket-extensions"))
    except ws_deflate.NotNegotiable as error:
        raise RemoteProtocolError(str(error)) from error
    return Opening(head.fields, subprotocol, agreement)
