"""How the body of an HTTP/1.1 message is found in the bytes of a connection (RFC 9112 sections 6 and 7).

Each framing is one class with the same two methods; the reader in :mod:`skitai.wire.http1` holds one at a time.
"""

from __future__ import annotations

import re
from typing import Protocol

from skitai.errors import RemoteProtocolError
from skitai.wire.fields import TOKEN, parse_fields

# ``chunk-size [ chunk-ext ] CRLF`` (RFC 9112 section 7.1.1). 16 digits hold any size that a machine can.
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_CHUNK_HEAD = re.compile(
    rf"([0-9A-Fa-f]{{1,16}}+)(?:[ \t]*+;[ \t]*+{TOKEN}(?:[ \t]*+=[ \t]*+(?:{TOKEN}|{_QUOTED}))?+)*+\r\n".encode("latin-1")
)
#: Bytes of a chunk's first line; extensions are never used, so a long one is an attack.
MOST_CHUNK_HEAD = 4096


class Body(Protocol):
    """One framing of a body."""

    def decode(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return (content found, bytes not used, whether the body ended)."""

    def end_of_input(self) -> None:
        """The peer will send no more. Returns when that ends the body, else raises RemoteProtocolError."""


class LengthBody:
    """A body of as many bytes as Content-Length says."""

    def __init__(self, length: int) -> None:
        self._left = length

    def decode(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """See :class:`Body`."""
        if len(data) < self._left:
            self._left -= len(data)
            return data, b"", False
        content, rest = data[: self._left], data[self._left :]
        self._left = 0
        return content, rest, True

    def end_of_input(self) -> None:
        """See :class:`Body`."""
        raise RemoteProtocolError(f"the connection ended {self._left} bytes before the body did")


class UntilCloseBody:
    """The body of a response that ends when its connection does."""

    def decode(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """See :class:`Body`."""
        return data, b"", False

    def end_of_input(self) -> None:
        """See :class:`Body`."""


class ChunkedBody:
    """A body in chunks. Extensions and trailer fields are checked and dropped.

    Args:
        most_trailer_bytes: the trailer section may not be longer; 431.
        most_trailers: nor have more fields.
    """

    def __init__(self, most_trailer_bytes: int, most_trailers: int) -> None:
        self._most_trailer_bytes = most_trailer_bytes
        self._most_trailers = most_trailers
        self._left = 0  # bytes of the current chunk still to come, its CRLF not counted
        self._has_ended = False
        self._decode = self._size

    def decode(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """See :class:`Body`."""
        parts: list[bytes] = []
        position = 0
        while True:
            step = self._decode
            position, is_stuck = step(data, position, parts)
            if self._has_ended or is_stuck:
                return b"".join(parts), data[position:], self._has_ended

    def end_of_input(self) -> None:
        """See :class:`Body`."""
        raise RemoteProtocolError("the connection ended inside a chunked body")

    # Each step returns (position, whether it needs more bytes) and names the step after it.

    def _size(self, data: bytes, position: int, parts: list[bytes]) -> tuple[int, bool]:
        match = _CHUNK_HEAD.match(data, position)
        if match is None:
            self._refuse_bad_start(data[position:])
            return position, True
        self._left = int(match.group(1), 16)
        self._decode = self._content if self._left else self._trailers
        return match.end(), False

    def _content(self, data: bytes, position: int, parts: list[bytes]) -> tuple[int, bool]:
        content = data[position : position + self._left]
        if content:
            parts.append(content)
            self._left -= len(content)
        if self._left:
            return len(data), True
        self._decode = self._content_end
        return position + len(content), False

    def _content_end(self, data: bytes, position: int, parts: list[bytes]) -> tuple[int, bool]:
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise RemoteProtocolError("a chunk is not followed by CRLF")
        if len(end) < 2:
            return position, True
        self._decode = self._size
        return position + 2, False

    def _trailers(self, data: bytes, position: int, parts: list[bytes]) -> tuple[int, bool]:
        if data.startswith(b"\r\n", position):
            self._has_ended = True
            return position + 2, False
        end = data.find(b"\r\n\r\n", position)
        section = data[position : end + 2] if end >= 0 else data[position : data.rfind(b"\r\n", position) + 2]
        if max(len(section), len(data) - position if end < 0 else 0) > self._most_trailer_bytes:
            raise RemoteProtocolError("the trailer section is too large", 431)
        if parse_fields(section.decode("latin-1"), 0, self._most_trailers) is None:
            raise RemoteProtocolError("a trailer field is not valid")
        if end < 0:
            refuse_bare_line_end(data, position)
            return position, True
        self._has_ended = True
        return end + 4, False

    def _refuse_bad_start(self, data: bytes) -> None:
        """Refuse what cannot become the first line of a chunk however many bytes follow."""
        if b"\n" in data or len(data) > MOST_CHUNK_HEAD or not _MAYBE_CHUNK_HEAD.fullmatch(data):
            raise RemoteProtocolError("a chunk size or extension is not valid")


_MAYBE_CHUNK_HEAD = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:[ \t]*+(?:;[\t -~\x80-\xff]*+)?+)?+\r?+)?+")

_BARE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n")


def refuse_bare_line_end(data: bytes, start: int) -> None:
    """Refuse control characters, CR without LF and LF without CR, in ``data[start:]``, which may end inside a line.

    Raises:
        RemoteProtocolError: one was found. Some parser before or behind us would take it for the end of a line.
    """
    if _BARE.search(data, start):
        raise RemoteProtocolError("a control character, a bare CR or a bare LF in a header section")
