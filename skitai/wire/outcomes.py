"""Codes and texts of results that no server sent: 7xx, so that none can be taken for an HTTP status."""

from __future__ import annotations

from typing import Final

from skitai.errors import ConnectionFailed, LocalProtocolError, ProtocolError, SkitaiError

# Values of ``result.status``, which says how the call went, not what the server answered.
INITIAL: Final = 0
TIMED_OUT: Final = 1
FAILED: Final = 2
NORMAL: Final = 3

SOCKET_ERROR: Final = 700
INVALID_ANSWER: Final = 716
UNREADABLE_BODY: Final = 717
BODY_TOO_LARGE: Final = 718
TIMEOUT: Final = 730
REQUEST_FAILED: Final = 731

REASONS: Final = {
    700: "Socket Error",
    702: "Socket Timeout",
    704: "DNS Not Found",
    705: "Connection Closed By Peer",
    706: "Cancelled",
    714: "Connection Failure",
    715: "TLS Failure",
    716: "Invalid Response",
    717: "Unreadable Response Body",
    718: "Response Too Large",
    730: "Timeout",
    731: "Request Failed",
}


class UnreadableBody(SkitaiError):
    """The body of an answer does not decode: a broken content coding, or a document that is not what it should be."""


class BodyTooLarge(SkitaiError):
    """The body of an answer is larger than allowed, perhaps only after its content coding was undone."""


def code_of(error: BaseException) -> int:
    """Return the 7xx code of a result that failed with ``error``."""
    if isinstance(error, ConnectionFailed):
        return error.code
    if isinstance(error, UnreadableBody):
        return UNREADABLE_BODY
    if isinstance(error, BodyTooLarge):
        return BODY_TOO_LARGE
    if isinstance(error, LocalProtocolError):  # what was to be sent is wrong, not what came
        return REQUEST_FAILED
    if isinstance(error, ProtocolError):
        return INVALID_ANSWER
    return SOCKET_ERROR if isinstance(error, OSError) else REQUEST_FAILED
