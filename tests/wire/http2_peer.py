"""A peer made by hand: it says exactly the frames that a test wants said, valid or not."""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Decoder, Encoder

from skitai.settings import Limits
from skitai.wire.http2 import frames
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.http2.events import ConnectionBroken, Event, StreamReset
from skitai.wire.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Frame,
    FrameReader,
    serialize,
)

GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")]
POST = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "test")]
OK = [(":status", "200")]


def setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


class Peer:
    """Speaks to an engine in raw frames.

    Args:
        is_server: the role of the engine under test.
    """

    def __init__(self, is_server: bool = True, limits: Limits | None = None, **options: object) -> None:
        self.engine = Http2Engine(is_server, limits or Limits(), **options)  # type: ignore[arg-type]
        self.engine.begin()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.now = 0.0
        self.answers: list[Frame] = []
        self._reader = FrameReader(not is_server, 1 << 20)
        hello = PREFACE if is_server else b""
        self.say(hello + serialize(SETTINGS, 0, 0), serialize(SETTINGS, ACK, 0))
        self.answers.clear()

    def say(self, *data: bytes) -> list[Event]:
        """Send bytes; what the engine answers is kept in :attr:`answers`."""
        events = self.engine.receive(b"".join(data), self.now)
        self.collect()
        return events

    def collect(self) -> list[Frame]:
        self._reader.feed(self.engine.data_to_send())
        new = []
        while (frame := self._reader.next()) is not None:
            new.append(frame)
        self.answers += new
        return new

    def section(self, fields: Iterable[tuple[str, str]]) -> bytes:
        return bytes(self.encoder.encode(fields))

    def headers(self, stream: int, fields: Iterable[tuple[str, str]] = GET, end: bool = True, flags: int = 0) -> bytes:
        flags |= END_HEADERS | (END_STREAM if end else 0)
        return serialize(HEADERS, flags, stream, self.section(fields))

    def data(self, stream: int, content: bytes, end: bool = False) -> bytes:
        return serialize(frames.DATA, END_STREAM if end else 0, stream, content)

    # What the engine did

    def resets(self) -> list[tuple[int, Code]]:
        """(stream, code) of every RST_STREAM so far."""
        return [(f.stream, Code(int.from_bytes(f.payload, "big"))) for f in self.answers if f.kind == RST_STREAM]

    def goodbye(self) -> tuple[int, Code] | None:
        """(last stream, code) of the GOAWAY, which there must be no more than one of."""
        found = [f.payload for f in self.answers if f.kind == frames.GOAWAY]
        assert len(found) < 2
        return (int.from_bytes(found[0][:4], "big"), Code(int.from_bytes(found[0][4:8], "big"))) if found else None

    def expect_broken(self, code: Code, *data: bytes) -> None:
        """These bytes end the connection with this code."""
        events = self.say(*data)
        assert isinstance(events[-1], ConnectionBroken), events
        assert events[-1].code == code
        assert self.engine.is_broken
        goodbye = self.goodbye()
        assert goodbye is not None and goodbye[1] == code

    def expect_reset(self, stream: int, code: Code, *data: bytes) -> None:
        """These bytes end the stream with this code, and nothing else."""
        self.say(*data)
        assert (stream, code) in self.resets(), self.answers
        assert self.goodbye() is None
        assert not self.engine.is_broken

    def answer(self, number: int) -> tuple[list[tuple[str, str]], bytes]:
        """(fields, body) of what was answered on a stream."""
        fields: list[tuple[str, str]] = []
        body = b""
        for frame in self.answers:
            if frame.kind == HEADERS:
                section = [(str(k), str(v)) for k, v in self.decoder.decode(frame.payload)]
                if frame.stream == number:
                    fields += section
            elif frame.kind == frames.DATA and frame.stream == number:
                body += frame.payload
        return fields, body


def is_reset(events: list[Event], stream: int) -> bool:
    return any(isinstance(event, StreamReset) and event.stream == stream for event in events)
