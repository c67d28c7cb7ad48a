"""What goes with a call besides its messages: metadata of the app, and the time that it may take."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

from skitai.errors import GrpcCode, GrpcError, LocalProtocolError
from skitai.wire.fields import Fields

#: A (name, value) pair; values of names that end with ``-bin`` are bytes.
Metadata = Iterable[tuple[str, str | bytes]]

_is_name = re.compile(r"[0-9a-z_.\-]+").fullmatch
_is_text = re.compile(r"[ -~]*").fullmatch
#: Fields of HTTP and of gRPC itself.
_RESERVED: Final = frozenset(
    {"connection", "content-length", "content-type", "date", "host", "keep-alive", "proxy-connection", "server", "te"}
    | {"trailer", "transfer-encoding", "upgrade"}
)


def encode_metadata(pairs: Metadata) -> Fields:
    """Return the fields for metadata.

    Raises:
        LocalProtocolError: a name is not of ``a-z 0-9 - _ .`` or is taken, or a value is no text of printable ASCII;
            bytes are for names that end with ``-bin``.
    """
    fields = []
    for name, value in pairs:
        if not isinstance(name, str):
            raise LocalProtocolError(f"the name of metadata is a str, not {type(name).__name__}")
        name = name.lower()
        if not _is_name(name) or name.startswith("grpc-") or name in _RESERVED:
            raise LocalProtocolError(f"metadata cannot be called {name!r}")
        fields.append((name, _encode(name, value)))
    return fields


def _encode(name: str, value: str | bytes) -> str:
    if name.endswith("-bin"):
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise LocalProtocolError(f"the value of {name!r} is bytes, because its name ends with -bin")
        return b64encode(value).decode().rstrip("=")
    if not isinstance(value, str) or not _is_text(value):
        raise LocalProtocolError(f"the value of {name!r} is printable ASCII; bytes are for names that end with -bin")
    return value


def decode_metadata(fields: Fields) -> list[tuple[str, str | bytes]]:
    """Return the metadata among fields; a value of ``-bin`` that is no base64 is left out."""
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        name = name.lower()
        if name.startswith("grpc-") or name in _RESERVED:
            continue
        if not name.endswith("-bin"):
            pairs.append((name, value))
            continue
        for each in value.split(","):  # several values of one name may come in one field
            text = each.strip().rstrip("=")
            try:
                pairs.append((name, b64decode(text + "=" * (-len(text) % 4), validate=True)))
            except ValueError:  # also what is no ASCII, which is no binascii.Error
                continue
    return pairs


# Deadlines

_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_read_timeout = re.compile(r"([0-9]{1,8})([HMSmun])").fullmatch


def parse_timeout(value: str) -> float:
    """Return the seconds of a ``grpc-timeout``.

    Raises:
        GrpcError: INTERNAL: it is none.
    """
    match = _read_timeout(value)
    if match is None:
        raise GrpcError(GrpcCode.INTERNAL, "grpc-timeout is not valid")
    return int(match[1]) * _SECONDS[match[2]]


def format_timeout(seconds: float) -> str:
    """Return the ``grpc-timeout`` for seconds, as exact as its eight digits allow; less than nothing is 0."""
    for unit in "num":
        number = int(max(0.0, seconds) / _SECONDS[unit] + 0.5)
        if number < 100_000_000:
            return f"{number}{unit}"
    return f"{min(99_999_999, int(seconds))}S"
