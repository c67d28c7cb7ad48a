"""Content coding of responses: gzip or deflate for text, when the client accepts it (RFC 9110 section 8.4).

A body is encoded when it is text, JSON or JavaScript and longer than 2048 bytes, or of unknown length. Streaming
async responses are never encoded: their pieces are meant to arrive when they are pushed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skitai.saddle.streams import Stream
from skitai.wire.fields import Fields

if TYPE_CHECKING:
    from skitai.saddle.service import Was

#: Bytes above which encoding is worth its time.
MOST_PLAIN = 2048
_LEVEL = 6
#: How zlib spells the two formats: ``deflate`` is the zlib format of RFC 1950.
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_OTHER_TEXT = frozenset(
    {"application/json", "application/json-rpc", "application/javascript", "application/xml", "image/svg+xml"}
)


def encode(was: Was, code: int, fields: Fields, body: Any) -> Any:
    """Return the body, encoded when that is worth it; ``fields`` gets Content-Encoding and Vary then.

    Args:
        code: of the status. fields: of the response, changed in place. body: bytes or a stream.
    """
    if code == 206 or not _is_worth_it(fields, body):
        return body
    fields.append(("Vary", "Accept-Encoding"))
    coding = choose(was.exchange.header("accept-encoding") or "")
    if coding is None:
        return body
    fields.append(("Content-Encoding", coding))
    fields[:] = [(name, _weak(value) if name.lower() == "etag" else value) for name, value in fields]
    if isinstance(body, bytes):
        return b"".join(_encoded(iter((body,)), coding))
    body.encode(lambda pieces: _encoded(pieces, coding))
    return body


def _weak(etag: str) -> str:
    return etag if etag.startswith("W/") else "W/" + etag


def choose(accepted: str) -> str | None:
    """Return the coding for a value of Accept-Encoding (RFC 9110 section 12.5.3); gzip before deflate."""
    weights: dict[str, float] = {}
    for each in accepted.lower().split(","):
        name, _, parameter = each.partition(";")
        weights[name.strip()] = _weight(parameter)
    best = max(_WINDOW_BITS, key=lambda name: weights.get(name, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _is_worth_it(fields: Fields, body: Any) -> bool:
    if isinstance(body, bytes):
        if len(body) <= MOST_PLAIN:
            return False
    elif not isinstance(body, Stream) or (body.length is not None and body.length <= MOST_PLAIN):
        return False
    content_type = ""
    for name, value in fields:
        lower = name.lower()
        if lower in ("content-encoding", "content-length", "content-range"):
            return False
        if lower == "cache-control" and "no-transform" in value.lower():
            return False
        if lower == "content-type":
            content_type = value.partition(";")[0].strip().lower()
    return content_type.startswith("text/") or content_type in _OTHER_TEXT or content_type.endswith("+json")


def _encoded(pieces: Iterator[bytes], coding: str) -> Iterator[bytes]:
    engine = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[coding])
    for piece in pieces:
        # What came so far must be readable at the other end, or a slow generator would look as if it hung.
        if data := engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH):
            yield data
    yield engine.flush()
