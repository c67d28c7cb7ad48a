"""How the body of an HTTP/1.1 message is found in the bytes of a connection (RFC 9112 sections 6 and 7).

Each framing is one class with the same methods; the reader in :mod:`skitai.wire.http1` holds one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from skitai.errors import RemoteProtocolError
from skitai.wire.fields import FIELD_LINE, TOKEN, is_lenient_line
from skitai.wire.lines import refuse_bare_line_end

# ``chunk-size [ chunk-ext ] CRLF`` (RFC 9112 section 7.1.1). 16 digits hold any size that a machine can.
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_CHUNK_HEAD = re.compile(
    rf"([0-9A-Fa-f]{{1,16}}+)(?:[ \t]*+;[ \t]*+{TOKEN}(?:[ \t]*+=[ \t]*+(?:{TOKEN}|{_QUOTED}))?)*\r\n".encode("latin-1")
)
# Some servers pad a chunk size with blanks to a fixed width, which no two readers can understand in two ways.
_PADDED_CHUNK_HEAD = re.compile(rb"[ \t]*+" + _CHUNK_HEAD.pattern.replace(rb"}+)", rb"}+)[ \t]*+", 1))
# What a first line may look like before its CRLF has come; what its extensions look like is seen then.
_MAYBE_PADDED_HEAD = re.compile(rb"[ \t]*+" + rb"(?:[0-9A-Fa-f]{1,16}+(?:[ \t]*+(?:;[\t -~\x80-\xff]*+)?+)?+\r?+)?+")
_MAYBE_CHUNK_HEAD = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:[ \t]*+(?:;[\t -~\x80-\xff]*+)?+)?+\r?+)?+")

#: Bytes of a chunk. Some hold sizes in 63 bits or in a double; no body comes near, so nobody may find out what they do.
MOST_CHUNK = 1 << 50
#: Bytes of a chunk's first line.
MOST_CHUNK_HEAD = 4096
#: Bytes of chunk extensions in a body. We know none, so many are an attack: they cost us and no body limit counts them.
MOST_EXTENSIONS = 16 * 1024
#: Bytes of a trailer section.
MOST_TRAILERS = 8 * 1024


class Body(Protocol):
    """One framing of a body."""

    @property
    def announced(self) -> int:
        """Bytes that the peer has said will follow."""

    def decode(self, data: bytes, start: int) -> tuple[bytes, int, bool]:
        """Return (content found in ``data[start:]``, where what was not used begins, whether the body ended)."""

    def end_of_input(self) -> None:
        """The peer will send no more. Returns when that ends the body, else raises RemoteProtocolError."""


class LengthBody:
    """A body of as many bytes as Content-Length says."""

    def __init__(self, length: int) -> None:
        self.announced = length

    def decode(self, data: bytes, start: int) -> tuple[bytes, int, bool]:
        """See :class:`Body`."""
        end = min(start + self.announced, len(data))
        self.announced -= end - start
        return data[start:end], end, not self.announced

    def end_of_input(self) -> None:
        """See :class:`Body`."""
        raise RemoteProtocolError(f"the connection ended {self.announced} bytes before the body did")


class UntilCloseBody:
    """The body of a response that ends when its connection does."""

    announced = 0

    def decode(self, data: bytes, start: int) -> tuple[bytes, int, bool]:
        """See :class:`Body`."""
        return data[start:], len(data), False

    def end_of_input(self) -> None:
        """See :class:`Body`."""


class ChunkedBody:
    """A body in chunks. Extensions and trailer fields are checked and dropped.

    Args:
        most_trailers: the trailer section may not have more fields; 431.
        is_lenient: it is the body of a response, read as a user agent must: with blanks around chunk sizes, and trailer
            lines that are folded or have a blank before the colon.

    The body is read in steps: a chunk's first line, its content, the CRLF behind it, and after the last chunk the lines
    of the trailer section. A step returns the position behind what it took, the same one when it needs more bytes.
    """

    def __init__(self, most_trailers: int, is_lenient: bool = False) -> None:
        self.announced = 0
        self._is_lenient = is_lenient
        self._match_head = (_PADDED_CHUNK_HEAD if is_lenient else _CHUNK_HEAD).match
        self._most_trailers = most_trailers
        self._trailers = 0
        self._trailer_bytes = 0
        self._extension_bytes = 0
        self._has_ended = False
        self._step: Callable[[bytes, int, list[bytes]], int] = self._chunk_head

    def decode(self, data: bytes, start: int) -> tuple[bytes, int, bool]:
        """See :class:`Body`."""
        parts: list[bytes] = []
        position = start
        while position < len(data) and not self._has_ended:
            before = position
            position = self._step(data, position, parts)
            if position == before:
                break
        return b"".join(parts), position, self._has_ended

    def end_of_input(self) -> None:
        """See :class:`Body`."""
        raise RemoteProtocolError("the connection ended inside a chunked body")

    def _chunk_head(self, data: bytes, position: int, parts: list[bytes]) -> int:
        match = self._match_head(data, position)
        if match is None or match.end() - position > MOST_CHUNK_HEAD:
            self._refuse_bad_start(data[position : position + MOST_CHUNK_HEAD + 1])
            return position
        self._count_extension(match.end() - 2 - match.end(1))
        size = int(match[1], 16)
        if size == 0:
            self._step = self._trailer
            return match.end()
        if size > MOST_CHUNK:
            raise RemoteProtocolError("a chunk size is larger than any body")
        end = match.end() + size
        if data.startswith(b"\r\n", end):  # a small chunk mostly comes whole
            parts.append(data[match.end() : end])
            return end + 2
        self.announced = size
        self._step = self._content
        return match.end()

    def _content(self, data: bytes, position: int, parts: list[bytes]) -> int:
        content = data[position : position + self.announced]
        parts.append(content)
        self.announced -= len(content)
        if not self.announced:
            self._step = self._content_end
        return position + len(content)

    def _content_end(self, data: bytes, position: int, parts: list[bytes]) -> int:
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise RemoteProtocolError("a chunk is not followed by CRLF")
        if len(end) < 2:
            return position
        self._step = self._chunk_head
        return position + 2

    def _trailer(self, data: bytes, position: int, parts: list[bytes]) -> int:
        end = data.find(b"\n", position) + 1
        line = data[position : end or len(data)]
        if line == b"\r\n":
            self._has_ended = True
            return end
        refuse_bare_line_end(line[:MOST_TRAILERS], 0, MOST_TRAILERS)
        if self._trailer_bytes + len(line) > MOST_TRAILERS:
            raise RemoteProtocolError(f"the trailer section is larger than {MOST_TRAILERS} bytes", 431)
        if not end:
            return position
        self._trailer_bytes += len(line)
        self._trailers += 1
        if self._trailers > self._most_trailers:
            raise RemoteProtocolError(f"more than {self._most_trailers} trailer fields", 431)
        text = line.decode("latin-1")
        if not FIELD_LINE.fullmatch(text) and not (
            self._is_lenient and is_lenient_line(text) and (self._trailers > 1 or text[0] not in " \t")
        ):
            raise RemoteProtocolError("a trailer field line is not valid")
        return end

    def _count_extension(self, size: int) -> None:
        self._extension_bytes += size
        if self._extension_bytes > MOST_EXTENSIONS:
            raise RemoteProtocolError(f"more than {MOST_EXTENSIONS} bytes of chunk extensions", 413)

    def _refuse_bad_start(self, data: bytes) -> None:
        """Refuse what cannot become the first line of a chunk however many bytes follow."""
        pattern = _MAYBE_PADDED_HEAD if self._is_lenient else _MAYBE_CHUNK_HEAD
        if b"\n" in data or len(data) > MOST_CHUNK_HEAD or not pattern.fullmatch(data):
            raise RemoteProtocolError("a chunk size or extension is not valid")
