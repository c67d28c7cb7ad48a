"""Frames of a WebSocket as bytes (RFC 6455 section 5.2), and the codes with which one is closed (section 7.4)."""

from __future__ import annotations

from secrets import token_bytes
from struct import Struct
from typing import Final

from websockets.frames import apply_mask  # type: ignore[attr-defined]

from skitai.constants import WS_OPCODE_BINARY, WS_OPCODE_CLOSE, WS_OPCODE_PING, WS_OPCODE_PONG, WS_OPCODE_TEXT
from skitai.errors import LocalProtocolError

__all__ = ["apply_mask"]

CONTINUATION: Final = 0x0
TEXT: Final = WS_OPCODE_TEXT
BINARY: Final = WS_OPCODE_BINARY
CLOSE: Final = WS_OPCODE_CLOSE
PING: Final = WS_OPCODE_PING
PONG: Final = WS_OPCODE_PONG

FIN: Final = 0x80
#: RSV1: the message is compressed (RFC 7692 section 6).
COMPRESSED: Final = 0x40
MASKED: Final = 0x80

#: Bytes that a control frame can carry (section 5.5).
MOST_OF_CONTROL: Final = 125

# Why a WebSocket was closed (section 7.4.1 and the registry of section 11.7).
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED_DATA: Final = 1003
#: Only told to an app: the close frame had no code. Never sent.
NO_STATUS: Final = 1005
#: Only told to an app: there was no close frame. Never sent.
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
MISSING_EXTENSION: Final = 1010
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

#: 1004 to 1006 and 1015 are never sent; 1012 to 1014 were registered after the RFC.
_STANDARD = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

_short = Struct("!BB").pack
_middle = Struct("!BBH").pack
_long = Struct("!BBQ").pack
_code = Struct("!H")


def frame(first: int, payload: bytes, is_masked: bool = False) -> bytes:
    """Return one frame.

    Args:
        first: its first byte: FIN, COMPRESSED and the opcode.
        is_masked: as every frame of a client must be, by a new key each (section 5.3).
    """
    size = len(payload)
    mask = MASKED if is_masked else 0
    if size < 126:
        head = _short(first, mask | size)
    elif size < 65536:
        head = _middle(first, mask | 126, size)
    else:
        head = _long(first, mask | 127, size)
    if not is_masked:
        return head + payload
    key = token_bytes(4)
    return b"%b%b%b" % (head, key, apply_mask(payload, key))


def is_close_code(code: int) -> bool:
    """Whether a close frame may have this code: one of the standards, of a library (3xxx) or of an app (4xxx)."""
    return code in _STANDARD or 3000 <= code <= 4999


def close_payload(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame; a reason that is too long is cut between two characters.

    Raises:
        LocalProtocolError: the code must not be sent.
    """
    if code == NO_STATUS:
        return b""
    if not is_close_code(code):
        raise LocalProtocolError(f"a WebSocket cannot be closed with {code}: use 1000, or 4000 to 4999 of your own")
    text = reason.encode()[: MOST_OF_CONTROL - 2]
    return _code.pack(code) + text.decode("utf-8", "ignore").encode()


def read_code(payload: bytes) -> int:
    """Return the code at the beginning of the payload of a close frame."""
    return int(_code.unpack_from(payload)[0])
