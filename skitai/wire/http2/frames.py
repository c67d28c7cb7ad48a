"""The frames of a connection, cut out of its bytes and checked for what their headers say (RFC 9113 section 4).

h2 looks at a frame when all of it has come. Here a frame that cannot be valid is refused when its header has, so that
nobody can make us keep 16 MB for it, and a header section in many frames is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from skitai.wire.http2.errors import BrokenConnection, Code

#: What a client says first (section 3.4).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8

#: The largest payload that we take, which is what every peer may send without being asked (section 6.5.2).
MAX_FRAME_SIZE: Final = 16_384
#: The highest number of a stream (section 5.1.1).
MAX_STREAM: Final = 0x7FFFFFFF
#: CONTINUATION frames of one header section. A section that is not too large fits in five.
MOST_CONTINUATIONS: Final = 16

# By type: whether it belongs to a stream (True), to the connection (False) or to either, and the length it must have.
_RULES: Final[dict[int, tuple[bool | None, int | None]]] = {
    DATA: (True, None),
    HEADERS: (True, None),
    PRIORITY: (True, 5),
    RST_STREAM: (True, 4),
    SETTINGS: (False, None),
    PUSH_PROMISE: (True, None),
    PING: (False, 8),
    GOAWAY: (False, None),
    WINDOW_UPDATE: (None, 4),
    CONTINUATION: (True, None),
}


_unpack_header = struct.Struct("!HBBBI").unpack_from


class Frame(NamedTuple):
    """One frame; ``data`` is all of it, with its header."""

    kind: int
    flags: int
    stream: int
    data: bytes

    @property
    def payload(self) -> bytes:
        """What follows the header."""
        return self.data[9:]


#: Settings that are looked at (section 6.5.2, RFC 8441 section 3).
_KNOWN_SETTINGS: Final = frozenset({1, 2, 3, 4, 5, 6, 8})
_setting = struct.Struct("!HI")


def known_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return the settings of a SETTINGS frame that are known, in their order; others are ignored (section 6.5.2).

    h2 would keep every number that a peer thinks of: 65,536 of them take 55 MB.
    """
    return [each for each in _setting.iter_unpack(payload) if each[0] in _KNOWN_SETTINGS]


def settings_payload(settings: Mapping[int, int]) -> bytes:
    """Return the payload of a SETTINGS frame."""
    return b"".join([_setting.pack(*each) for each in settings.items()])


class FrameReader:
    """Cuts frames out of bytes.

    Args:
        is_server: whether the preface of a client comes first.
        most_header_bytes: bytes of one header section, encoded; more is abuse.
    """

    def __init__(self, is_server: bool, most_header_bytes: int) -> None:
        self._is_server = is_server
        self._most_header_bytes = most_header_bytes
        self._buffer = b""
        self._start = 0  # of what was not given out: one of many frames must not cost a copy of all others
        self._preface_left = PREFACE if is_server else b""
        self._has_settings = False
        self._section_stream = 0  # of a header section that has begun and not ended
        self._section_bytes = 0
        self._continuations = 0
        #: Frames so far; those of one header section count as one.
        self.progress = 0

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; call :meth:`next` until it returns ``None``."""
        rest = self._buffer[self._start :] if self._start else self._buffer
        self._buffer = rest + data if rest else data
        self._start = 0

    @property
    def is_between(self) -> bool:
        """Whether neither a frame nor a header section nor the preface has begun and not ended."""
        return not (len(self._buffer) > self._start or self._section_stream or self._preface_left)

    @property
    def is_in_section(self) -> bool:
        """Whether a header section has begun and not ended."""
        return bool(self._section_stream)

    @property
    def has_settings(self) -> bool:
        """Whether the peer has said all that it must say first."""
        return self._has_settings

    def next(self) -> Frame | None:
        """Return the next frame, ``None`` when more bytes are needed.

        Raises:
            BrokenConnection: the bytes are not valid.
        """
        if self._preface_left:
            self._read_preface()
            if self._preface_left:
                return None
        buffer, start = self._buffer, self._start
        if len(buffer) - start < 9:
            return None
        high, low, kind, flags, stream = _unpack_header(buffer, start)
        length = high << 8 | low
        stream &= 0x7FFFFFFF
        self._check(kind, flags, stream, length)
        end = start + 9 + length
        if len(buffer) < end:
            return None
        self._start = end
        if kind in (HEADERS, CONTINUATION, PUSH_PROMISE):
            self._follow_section(kind, flags, stream, length)
        if kind != CONTINUATION:
            self.progress += 1
        return Frame(kind, flags, stream, buffer[start:end])

    def _read_preface(self) -> None:
        left = self._preface_left
        begin = self._buffer[: len(left)]  # nothing was given out before
        if not left.startswith(begin):
            raise BrokenConnection(Code.PROTOCOL_ERROR, "the connection preface is not that of HTTP/2")
        self._preface_left = left[len(begin) :]
        self._buffer = self._buffer[len(begin) :]

    def _check(self, kind: int, flags: int, stream: int, length: int) -> None:
        if length > MAX_FRAME_SIZE:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"a frame of more than {MAX_FRAME_SIZE} bytes")
        if not self._has_settings:
            if kind != SETTINGS or flags & ACK:
                raise BrokenConnection(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if self._section_stream and (kind != CONTINUATION or stream != self._section_stream):
            raise BrokenConnection(Code.PROTOCOL_ERROR, "another frame inside a header section")
        if kind not in _RULES:
            return
        of_stream, exact = _RULES[kind]
        if of_stream is not None and of_stream != bool(stream):
            raise BrokenConnection(Code.PROTOCOL_ERROR, f"a frame of type {kind} on stream {stream}")
        if exact is not None and length != exact:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
        if kind == SETTINGS and (length % 6 or (flags & ACK and length)):
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"a SETTINGS frame with {length} bytes")
        if kind == GOAWAY and length < 8:
            raise BrokenConnection(Code.FRAME_SIZE_ERROR, f"a GOAWAY frame with {length} bytes")
        if kind == CONTINUATION and not self._section_stream:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a CONTINUATION frame without a header section")
        if kind == PUSH_PROMISE and self._is_server:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a client must not push")

    def _follow_section(self, kind: int, flags: int, stream: int, length: int) -> None:
        if kind == CONTINUATION:
            self._continuations += 1
            self._section_bytes += length
        else:
            self._continuations, self._section_bytes = 0, length
        if self._section_bytes > self._most_header_bytes or self._continuations > MOST_CONTINUATIONS:
            raise BrokenConnection(Code.ENHANCE_YOUR_CALM, "a header section is much too large")
        self._section_stream = 0 if flags & END_HEADERS else stream


_pack_header = struct.Struct("!IBBI").pack


def frame_header(size: int, kind: int, flags: int, stream: int) -> bytes:
    """Return the header of a frame with ``size`` bytes of payload (section 4.1)."""
    return _pack_header(size, kind, flags, stream)[1:]


def serialize(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return frame_header(len(payload), kind, flags, stream) + payload


def goaway(last: int, code: int) -> bytes:
    """Return a GOAWAY frame (section 6.8)."""
    return serialize(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))
