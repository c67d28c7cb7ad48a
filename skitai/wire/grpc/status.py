"""The status of a call: its fields in the trailers, and what a status of HTTP is among the codes of gRPC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from skitai.errors import GrpcCode, GrpcError
from skitai.wire.fields import Fields, find
from skitai.wire.grpc.metadata import decode_metadata, encode_metadata
from skitai.wire.http2.errors import Code

#: Characters of a ``grpc-message`` before it is encoded: a header section of a status must not be refused for it.
MOST_DETAILS: Final = 1024

#: Codes that speak of the server; all others answer what the client asked for, or did.
SERVER_FAULTS: Final = frozenset(
    {GrpcCode.UNKNOWN, GrpcCode.DEADLINE_EXCEEDED, GrpcCode.INTERNAL, GrpcCode.UNAVAILABLE, GrpcCode.DATA_LOSS}
)

#: What a response of HTTP that is none of gRPC means to a client, by the specification.
_FROM_RESPONSE: Final[Mapping[int, GrpcCode]] = {
    400: GrpcCode.INTERNAL,
    401: GrpcCode.UNAUTHENTICATED,
    403: GrpcCode.PERMISSION_DENIED,
    404: GrpcCode.UNIMPLEMENTED,
    429: GrpcCode.UNAVAILABLE,
    502: GrpcCode.UNAVAILABLE,
    503: GrpcCode.UNAVAILABLE,
    504: GrpcCode.UNAVAILABLE,
}
#: What a status means that an app gives as it would to a browser.
_FROM_APP: Final[Mapping[int, GrpcCode]] = {
    400: GrpcCode.INVALID_ARGUMENT,
    401: GrpcCode.UNAUTHENTICATED,
    403: GrpcCode.PERMISSION_DENIED,
    404: GrpcCode.NOT_FOUND,
    405: GrpcCode.UNIMPLEMENTED,
    408: GrpcCode.DEADLINE_EXCEEDED,
    409: GrpcCode.ABORTED,
    412: GrpcCode.FAILED_PRECONDITION,
    413: GrpcCode.RESOURCE_EXHAUSTED,
    415: GrpcCode.INVALID_ARGUMENT,
    416: GrpcCode.OUT_OF_RANGE,
    422: GrpcCode.INVALID_ARGUMENT,
    429: GrpcCode.RESOURCE_EXHAUSTED,
    500: GrpcCode.INTERNAL,
    501: GrpcCode.UNIMPLEMENTED,
    502: GrpcCode.UNAVAILABLE,
    503: GrpcCode.UNAVAILABLE,
    504: GrpcCode.DEADLINE_EXCEEDED,
}

#: What the code of a RST_STREAM means, by the specification; all others are INTERNAL.
_FROM_RESET: Final[Mapping[int, GrpcCode]] = {
    Code.REFUSED_STREAM: GrpcCode.UNAVAILABLE,
    Code.CANCEL: GrpcCode.CANCELLED,
    Code.ENHANCE_YOUR_CALM: GrpcCode.RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: GrpcCode.PERMISSION_DENIED,
}

_plain = re.compile(r"[ -$&-~]*").fullmatch


def code_of_response(status: int) -> GrpcCode:
    """Return the code for a response without a ``grpc-status``."""
    return _FROM_RESPONSE.get(status, GrpcCode.UNKNOWN)


def code_of_reset(http2_code: int) -> GrpcCode:
    """Return the code for a call whose stream the server reset with a code of HTTP/2 (RFC 9113 section 7)."""
    return _FROM_RESET.get(http2_code, GrpcCode.INTERNAL)


def code_of_app(status: int) -> GrpcCode:
    """Return the code for a status of HTTP, 300 or more, that an app answers a call with."""
    return _FROM_APP.get(status, GrpcCode.FAILED_PRECONDITION if 400 <= status < 500 else GrpcCode.UNKNOWN)


def encode_message(text: str) -> str:
    """Return the value of ``grpc-message``: percent-encoded UTF-8, except printable ASCII."""
    text = text[:MOST_DETAILS]
    if _plain(text):
        return text
    data = text.encode("utf-8", "replace")
    return "".join(chr(each) if 32 <= each <= 126 and each != 37 else f"%{each:02X}" for each in data)


def decode_message(value: str) -> str:
    """Return the text of a ``grpc-message``; what is not encoded properly stays as it is."""
    return unquote_to_bytes(value.encode("latin-1", "replace")).decode("utf-8", "replace") if "%" in value else value


def status_fields(error: GrpcError) -> Fields:
    """Return the trailers of a call that ended with an error.

    Raises:
        LocalProtocolError: metadata of the error cannot be sent.
    """
    fields = [("grpc-status", str(int(error.code)))]
    if error.details:
        fields.append(("grpc-message", encode_message(error.details)))
    return fields + encode_metadata(error.metadata)


def read_status(status: int, fields: Fields) -> GrpcError | None:
    """Return how a call ended by its response, ``None`` when it went well.

    Args:
        status: of HTTP. fields: the trailers, or the header section of a response without a body.
    """
    value = find(fields, "grpc-status")
    if value is None:
        if status == 200:
            return GrpcError(GrpcCode.UNKNOWN, "the response has no status of gRPC")
        return GrpcError(code_of_response(status), f"the server answered by HTTP with {status}")
    code = GrpcCode.find(int(value)) if value.isascii() and value.isdigit() and len(value) < 4 else GrpcCode.UNKNOWN
    if code is GrpcCode.OK:
        return None
    return GrpcError(code, decode_message(find(fields, "grpc-message") or ""), decode_metadata(fields))
