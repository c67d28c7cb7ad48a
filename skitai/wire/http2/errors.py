"""The error codes of HTTP/2 (RFC 9113 section 7), and what carries them."""

from __future__ import annotations

from enum import IntEnum

from skitai.errors import RemoteProtocolError


class Code(IntEnum):
    """See the module."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class BrokenConnection(RemoteProtocolError):
    """The peer did what ends the whole connection (section 5.4.1).

    Args:
        code: for the GOAWAY frame. message: what was wrong, in one sentence without the offending bytes.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamError(RemoteProtocolError):
    """The peer did what ends one stream (section 5.4.2), such as a malformed message.

    Args:
        code: for the RST_STREAM frame. message: as above.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_name(code: int) -> str:
    """Return the name of a code that a peer sent, its number when it has none."""
    try:
        return Code(code).name
    except ValueError:
        return f"error {code}"
