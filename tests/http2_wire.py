"""HTTP/2 in bytes: frames and header sections made by hand, said over a socket, and what the other side makes of them.

Nothing here comes from the engine under test, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import NamedTuple

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = (
    1, 3, 5, 6, 7, 8, 9,
)  # fmt: skip
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: The largest payload that may be sent without being asked, and the largest window.
MOST, LARGEST = 16_384, (1 << 31) - 1

#: Seconds; reaching them is a failure.
PATIENCE = 5.0


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """Whether it is the last of its stream."""
        return self.kind == RST_STREAM or (self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM))


# Frames


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", size: int | None = None) -> bytes:
    """A frame; ``size`` is what it says about its length where that is not true."""
    length = len(payload) if size is None else size
    return length.to_bytes(3, "big") + bytes((kind, flags)) + number(stream) + payload


def headers(stream: int, section: bytes, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return frame(HEADERS, flags, stream, section)


def data(stream: int, content: bytes = b"test", flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, content)


def continuation(stream: int, section: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(CONTINUATION, flags, stream, section)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join([key.to_bytes(2, "big") + number(value) for key, value in pairs]))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, number(code))


def window(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, number(more))


def priority(stream: int, on: int = 0, weight: int = 15, is_exclusive: bool = False) -> bytes:
    return frame(PRIORITY, 0, stream, dependency(on, weight, is_exclusive))


def dependency(on: int = 0, weight: int = 15, is_exclusive: bool = False) -> bytes:
    return number(on | (is_exclusive << 31)) + bytes((weight,))


def ping(content: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, content)


def goaway(last: int = 0, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, number(last) + number(code) + b"words")


# Header sections (RFC 7541). Literals that are not indexed leave no state behind.


def integer(value: int, bits: int, first: int = 0) -> bytes:
    """Section 5.1; ``first`` is what stands before the ``bits`` of the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    rest, value = bytearray((first | most,)), value - most
    while value >= 128:
        rest.append(value % 128 | 128)
        value //= 128
    return bytes((*rest, value))


def string(value: str | bytes, is_huffman: bool = False) -> bytes:
    """Section 5.2; a value in Huffman's code is encoded already."""
    raw = value.encode("latin-1") if isinstance(value, str) else value
    return integer(len(raw), 7, 0x80 if is_huffman else 0) + raw


def section(*fields: tuple[str, str]) -> bytes:
    return b"".join([b"\0" + string(name) + string(value) for name, value in fields])


# A connection


class Wire:
    """One side of a connection, after the greeting.

    Args:
        sock: connected. hello: what this side says first, its SETTINGS among it.
    """

    def __init__(self, sock: socket.socket, hello: bytes) -> None:
        self._sock = sock
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # cases that say something twice need no 40 ms
        self._buffer = b""
        self.frames: list[Frame] = []
        self.send(hello)

    def send(self, content: bytes) -> None:
        with contextlib.suppress(OSError):  # closed by the other side, which what follows will see
            self._sock.sendall(content)

    def skip(self, words: bytes) -> None:
        """The other side says this first."""
        assert self._fill(len(words)) and self._buffer.startswith(words), self._buffer
        self._buffer = self._buffer[len(words) :]

    def next(self) -> Frame | None:
        """The next frame; ``None`` when the other side has closed."""
        if not self._fill(9):
            return None
        size = int.from_bytes(self._buffer[:3], "big")
        assert self._fill(9 + size), f"it closed inside a frame, after {self.frames}"
        head, payload, self._buffer = self._buffer[:9], self._buffer[9 : 9 + size], self._buffer[9 + size :]
        found = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        self.frames.append(found)
        return found

    def until(self, condition: Callable[[Frame], object], what: str) -> Frame:
        while (found := self.next()) is not None:
            if condition(found):
                return found
        raise AssertionError(f"no {what} before the end: {self.frames}")

    def is_closed(self) -> bool:
        """Read to the end; a side that never closes is a timeout."""
        while self.next() is not None:
            pass
        return True

    def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            try:
                more = self._sock.recv(65_536)
            except TimeoutError:
                raise AssertionError(f"silence for {PATIENCE} seconds after {self.frames}") from None
            except OSError:
                more = b""
            if not more:
                return False
            self._buffer += more
        return True


# What may be expected of the other side. Each is called with the wire.

Step = bytes | Callable[[Wire], None]


def play(wire: Wire, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if isinstance(step, bytes):
            wire.send(step)
        else:
            step(wire)


def broken(*codes: int) -> Callable[[Wire], None]:
    """GOAWAY with one of these codes, and then the end of the connection (section 5.4.1)."""

    def check(wire: Wire) -> None:
        last = wire.until(lambda each: each.kind == GOAWAY, "GOAWAY")
        assert int.from_bytes(last.payload[4:8], "big") in codes, wire.frames
        assert wire.next() is None, f"something came behind GOAWAY: {wire.frames}"

    return check


def refused(stream: int, *codes: int) -> Callable[[Wire], None]:
    """RST_STREAM with one of these codes, and the connection goes on (5.4.2); or it ends as in :func:`broken`."""

    def check(wire: Wire) -> None:
        found = wire.until(
            lambda each: each.kind == GOAWAY or (each.kind == RST_STREAM and each.stream == stream), "end"
        )
        if found.kind == GOAWAY:
            assert int.from_bytes(found.payload[4:8], "big") in codes, wire.frames
            assert wire.next() is None
        else:
            assert int.from_bytes(found.payload, "big") in codes, wire.frames
            alive(wire)

    return check


def only_refused(stream: int, *codes: int) -> Callable[[Wire], None]:
    """As :func:`refused`, but the connection must go on."""

    def check(wire: Wire) -> None:
        refused(stream, *codes)(wire)
        assert not any(each.kind == GOAWAY for each in wire.frames), wire.frames

    return check


def alive(wire: Wire) -> None:
    """A PING is answered, and nothing was refused before."""
    before = len(wire.frames)
    wire.send(ping(b"still on"))
    wire.until(lambda each: each.kind == PING and each.flags & ACK and each.payload == b"still on", "answer to PING")
    assert not any(each.kind in (GOAWAY, RST_STREAM) for each in wire.frames[before:]), wire.frames


def answered(stream: int, status: bytes = b"\x88") -> Callable[[Wire], None]:
    """A response on this stream, with a section that begins with ``status``."""

    def check(wire: Wire) -> None:
        found = wire.until(lambda each: each.kind == HEADERS and each.stream == stream, f"response on {stream}")
        assert found.payload.startswith(status), wire.frames
        if not found.ends:
            ended(stream)(wire)
        alive(wire)

    return check


def ended(stream: int) -> Callable[[Wire], None]:
    def check(wire: Wire) -> None:
        wire.until(lambda each: each.stream == stream and each.ends, f"end of stream {stream}")

    return check


def got(stream: int, size: int) -> Callable[[Wire], None]:
    """The next DATA of a stream has so many bytes."""

    def check(wire: Wire) -> None:
        found = wire.until(lambda each: each.kind == DATA and each.stream == stream, f"DATA on {stream}")
        assert len(found.payload) == size, wire.frames

    return check


def acknowledged(wire: Wire) -> None:
    wire.until(lambda each: each.kind == SETTINGS and each.flags & ACK, "acknowledged SETTINGS")


def closed(wire: Wire) -> None:
    """It ends, with GOAWAY or without."""
    assert wire.is_closed()
