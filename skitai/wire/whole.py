"""Responses that come in one piece under a header section that came before: their head is remembered.

A service that is asked again and again says the same header section but for its Date, so most responses of a busy
second need no parsing. A call without its I/O takes 7 microseconds this way instead of 15. Nothing new is accepted:
what is remembered was read by :class:`skitai.wire.http1.ResponseReader`, byte for byte.
"""

from __future__ import annotations

from skitai.wire.fields import find
from skitai.wire.http1 import ResponseHead

#: Header sections that are remembered at one time, and the size of the largest: 1 MB at most.
_MOST = 256
_MOST_BYTES = 4096

_known: dict[bytes, tuple[ResponseHead, int]] = {}
# Hashes of header sections that came once. One that never comes again must not drive out those that do.
_seen: set[int] = set()
_MOST_SEEN = 4096


def read_whole(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """Return head and body when ``data`` is exactly one response with a remembered header section, else ``None``.

    Not for the response to a HEAD or CONNECT request, whose fields mean something else.
    """
    end = data.find(b"\r\n\r\n") + 4
    known = _known.get(data[:end])
    if known is None or len(data) != end + known[1]:
        return None
    return known[0], data[end:]


def remember(data: bytes, head: ResponseHead) -> None:
    """Remember the header section at the start of ``data`` if it came before.

    Args:
        data: the first bytes of a response, as they came.
        head: what they were read as. Only one with a Content-Length on a connection that stays is remembered: whatever
            else frames a body is left to the reader, and so are bodies with a content coding.
    """
    end = data.find(b"\r\n\r\n") + 4
    if not 4 <= end <= _MOST_BYTES:
        return
    section = data[:end]
    seen = hash(section)
    if seen not in _seen:
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        _seen.add(seen)
        return
    length = _plain_length(head)
    if length is not None:
        if len(_known) >= _MOST:
            _known.clear()
        _known[section] = (head, length)


def _plain_length(head: ResponseHead) -> int | None:
    if not head.keep_alive or head.status < 200 or head.status in (204, 304):
        return None
    if find(head.fields, "content-encoding") or find(head.fields, "transfer-encoding"):
        return None
    length = find(head.fields, "content-length", "")
    return int(length) if length else None
