"""Reading a WebSocket (RFC 6455 sections 5 and 8.1): bytes in, whole messages and control frames out.

Every rule is checked as soon as the bytes that break it are there: a wrong head before its payload, text that is no
UTF-8 before its message ends, a message that is too large before it is held.
"""

from __future__ import annotations

import sys
import zlib
from codecs import getincrementaldecoder
from io import StringIO
from struct import Struct
from typing import Final

from skitai.wire.ws_deflate import Agreement, Inflater
from skitai.wire.ws_frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    FIN,
    INVALID_DATA,
    MASKED,
    MOST_OF_CONTROL,
    NO_STATUS,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    apply_mask,
    is_close_code,
    read_code,
)
from skitai.wire.ws_messages import Close, Event, Failure, Ping, Pong

_middle = Struct("!H").unpack_from
_long = Struct("!Q").unpack_from
_utf8_decoder = getincrementaldecoder("utf-8")

_RESERVED: Final = 0x30
_CONTROL: Final = 0x8
_OPCODE: Final = 0xF
#: How most frames begin: a whole message that is not compressed.
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY
#: Bytes by which deflate may make a message larger that it cannot make smaller: five for each block.
_STORED: Final = 64
#: Decompressed bytes that count as one step of reading.
_STEP: Final = 4096


class _Violation(Exception):
    def __init__(self, reason: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.code = code


class _TextMessage:
    """A text that comes in pieces; it may be cut inside of a character (section 5.6)."""

    __slots__ = ("_decode", "_text")

    def __init__(self) -> None:
        self._decode = _utf8_decoder().decode
        self._text = StringIO()  # a list of pieces would take 60 bytes for each of two

    def add(self, payload: bytes, is_last: bool) -> None:
        self._text.write(self._decode(payload, is_last))

    def content(self) -> str:
        return self._text.getvalue()


class _BinaryMessage:
    """Bytes that come in pieces."""

    __slots__ = ("_content",)

    def __init__(self) -> None:
        self._content = bytearray()

    def add(self, payload: bytes, is_last: bool) -> None:
        self._content += payload

    def content(self) -> bytes:
        return bytes(self._content)


class MessageReader:
    """One direction of a WebSocket.

    Args:
        is_server: whether we are the server: what comes must be masked then, and else must not be (section 5.1).
        most_bytes: of a message, decompressed; of a text in UTF-8. One more: a :class:`Failure` with 1009.
        agreement: on compression, ``None`` goes without.

    Attributes:
        has_more: :meth:`receive` stopped before it had looked at all that came; call it again, with ``b""``.
        steps_left: of those that the last :meth:`receive` might take, below 0 when it took more.
    """

    __slots__ = (
        "_buffer", "_first", "_inflater", "_is_compressed", "_is_over", "_key", "_left", "_mask_bit", "_message",
        "_most", "_opcode", "_size", "has_more", "steps_left",
    )  # fmt: skip

    def __init__(self, is_server: bool, most_bytes: int, agreement: Agreement | None = None) -> None:
        self._mask_bit = MASKED if is_server else 0
        self._most = most_bytes
        self._inflater = Inflater(agreement) if agreement is not None else None
        self._buffer = b""
        self._is_over = False
        self._opcode = CONTINUATION  # of the message that has begun; CONTINUATION when none has
        self._is_compressed = False  # the message that has begun
        self._message: _TextMessage | _BinaryMessage | None = None
        self._size = 0  # bytes of it so far
        self._first = 0  # first byte of the data frame whose payload is coming
        self._left = 0  # bytes of that payload which are still to come
        self._key = b""  # of its mask, turned to the next byte
        self.steps_left = 0
        self.has_more = False

    def receive(self, data: bytes, most_steps: int = sys.maxsize) -> list[Event]:
        """Take bytes of the other end and return what they complete, in order.

        After a :class:`Close` or a :class:`Failure`, the last event of a list, everything is ignored.

        Args:
            most_steps: after which :attr:`has_more` is set and the rest kept for the next call. A frame is one or two,
                and so are 4 KB that were compressed: 80 KB may be ten thousand messages, or 80 MB of them.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        events: list[Event] = []
        position, end = 0, len(data)
        self.steps_left = most_steps
        self.has_more = False
        try:
            while position < end and not self._is_over:
                if self.steps_left <= 0:
                    self.has_more = True
                    self._buffer = data[position:]
                    break
                self.steps_left -= 1
                if self._left:
                    position = self._take_payload(data, position, events)
                else:
                    position = self._take_frame(data, position, events)
                    if position < 0:
                        break
        except _Violation as violation:
            self._fail(events, violation.code, str(violation))
        except UnicodeDecodeError:
            self._fail(events, INVALID_DATA, "a text is not valid UTF-8")
        except zlib.error:
            self._fail(events, INVALID_DATA, "a message does not decompress")
        return events

    @property
    def is_between(self) -> bool:
        """Whether no message and no frame has begun."""
        return not self._buffer and not self._left and self._opcode == CONTINUATION

    def _fail(self, events: list[Event], code: int, reason: str) -> None:
        self._message = None
        self._is_over = True
        events.append(Failure(code, reason))

    # Frames (section 5.2)

    def _take_frame(self, data: bytes, start: int, events: list[Event]) -> int:
        """Read a frame at ``start``; return where to go on, -1 when its head or a control frame is incomplete."""
        end = len(data)
        if start + 2 > end:
            self._buffer = data[start:]
            return -1
        first, size = data[start], data[start + 1]
        if size & MASKED != self._mask_bit:
            raise _Violation("a frame is not masked" if self._mask_bit else "a frame is masked")
        size &= 0x7F
        if self._opcode or (first != _WHOLE_TEXT and first != _WHOLE_BINARY):
            self._check_first(first, size)
        position = start + 2
        if size > MOST_OF_CONTROL:
            position += 2 if size == 126 else 8
            if position > end:
                self._buffer = data[start:]
                return -1
            size = self._read_size(data, start, size)
        if self._mask_bit:
            position += 4
            if position > end:
                self._buffer = data[start:]
                return -1
        stop = position + size
        if first & _CONTROL:
            if stop > end:
                self._buffer = data[start:]
                return -1
            self._take_control(first & _OPCODE, self._unmask(data, position, stop), events)
        elif stop <= end and first & FIN and first & _OPCODE:
            self._take_whole(first, self._unmask(data, position, stop), events)
        else:
            self._begin(first, size, data[position - 4 : position])
            if not size:
                self._take_piece(b"", events)
            return position
        return stop

    def _check_first(self, first: int, size: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise _Violation("a reserved bit is set")
        if first & COMPRESSED and (self._inflater is None or opcode not in (TEXT, BINARY)):
            raise _Violation("RSV1 is set where it has no meaning")
        if opcode & _CONTROL:
            if opcode > PONG:
                raise _Violation("the opcode of a control frame is reserved")
            if not first & FIN:
                raise _Violation("a control frame is fragmented")
            if size > MOST_OF_CONTROL:
                raise _Violation("a control frame is longer than 125 bytes")
        elif opcode > BINARY:
            raise _Violation("the opcode of a data frame is reserved")
        elif opcode == CONTINUATION and not self._opcode:
            raise _Violation("a continuation of no message")
        elif opcode != CONTINUATION and self._opcode:
            raise _Violation("a message begins inside of another one")

    def _read_size(self, data: bytes, start: int, code: int) -> int:
        size: int
        if code == 126:
            (size,) = _middle(data, start + 2)
        else:
            (size,) = _long(data, start + 2)
        if size < (126 if code == 126 else 65536) or size >= 1 << 63:
            raise _Violation("the length of a frame is not encoded as it must be")
        if size > self._most + self._most // 1024 + _STORED:
            raise _Violation(f"a message is larger than {self._most} bytes", TOO_BIG)
        return size

    def _unmask(self, data: bytes, start: int, stop: int) -> bytes:
        payload = data[start:stop]
        return apply_mask(payload, data[start - 4 : start]) if self._mask_bit and payload else payload

    # Messages (section 5.4)

    def _take_whole(self, first: int, payload: bytes, events: list[Event]) -> None:
        """A message in one frame that came in one piece, as most do."""
        if first & COMPRESSED:
            payload = self._inflate(payload, True)
        elif len(payload) > self._most:
            raise _Violation(f"a message is larger than {self._most} bytes", TOO_BIG)
        events.append(payload.decode() if first & TEXT else payload)

    def _begin(self, first: int, size: int, key: bytes) -> None:
        """The head of a data frame was read whose payload, or whose message, is not complete."""
        opcode = first & _OPCODE
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._is_compressed = bool(first & COMPRESSED)
            self._message = _TextMessage() if opcode == TEXT else _BinaryMessage()
            self._size = 0
        if not self._is_compressed and self._size + size > self._most:
            raise _Violation(f"a message is larger than {self._most} bytes", TOO_BIG)
        self._first = first
        self._left = size
        self._key = key

    def _take_payload(self, data: bytes, start: int, events: list[Event]) -> int:
        stop = min(len(data), start + self._left)
        payload = data[start:stop]
        if self._mask_bit:
            key = self._key
            payload = apply_mask(payload, key)
            turn = len(payload) % 4
            self._key = key[turn:] + key[:turn]
        self._left -= len(payload)
        self._take_piece(payload, events)
        return stop

    def _take_piece(self, payload: bytes, events: list[Event]) -> None:
        is_last = not self._left and bool(self._first & FIN)
        if self._is_compressed:
            payload = self._inflate(payload, is_last)
        self._size += len(payload)
        message = self._message
        assert message is not None
        message.add(payload, is_last)
        if is_last:
            self._opcode = CONTINUATION
            self._message = None
            self._size = 0
            events.append(message.content())

    def _inflate(self, payload: bytes, is_last: bool) -> bytes:
        assert self._inflater is not None
        content = self._inflater.inflate(payload, is_last, self._most - self._size)
        if content is None:
            raise _Violation(f"a message is larger than {self._most} bytes", TOO_BIG)
        self.steps_left -= len(content) // _STEP
        return content

    # Control frames (section 5.5)

    def _take_control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == PING:
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        else:
            assert opcode == CLOSE
            events.append(_read_close(payload))
            self._is_over = True


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS)
    if len(payload) == 1:
        raise _Violation("a close frame has half a code")
    code = read_code(payload)
    if not is_close_code(code):
        raise _Violation(f"a close frame has code {code}")
    return Close(code, payload[2:].decode())
