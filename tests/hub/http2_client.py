"""A client of HTTP/2 over a socket, by our own engine, that says what a test wants said."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from skitai.settings import Limits
from skitai.wire.fields import Fields
from skitai.wire.http2.coders import raw_field
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code
from skitai.wire.http2.events import (
    BodyReceived,
    ConnectionBroken,
    Event,
    GoAwayReceived,
    InterimReceived,
    ResponseStarted,
    StreamReset,
    TrailersReceived,
)


@dataclass
class Answer:
    """What came on one stream."""

    status: int = 0
    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields | None = None
    interim: list[tuple[int, Fields]] = field(default_factory=list)
    reset: int | None = None
    has_ended: bool = False

    def get(self, name: str) -> str | None:
        values = [value for each, value in self.fields if each == name]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None


class Http2Client:
    """One connection.

    Args:
        sock: connected, with a timeout. is_reading: hand read bodies back to the window by itself.
    """

    def __init__(self, sock: socket.socket, *, is_reading: bool = True, engine: Http2Engine | None = None) -> None:
        self.sock = sock
        self.engine = engine or Http2Engine(False, Limits())
        if engine is None:
            self.engine.begin()
        self.answers: dict[int, Answer] = {}
        self.goodbyes: list[GoAwayReceived] = []
        self.is_closed = False
        self.pings = 0  # that the server sent
        self._is_reading = is_reading
        self.flush()

    @property
    def goodbye(self) -> GoAwayReceived | None:
        """The last GOAWAY."""
        return self.goodbyes[-1] if self.goodbyes else None

    def flush(self) -> None:
        data = self.engine.data_to_send()
        if data:
            self.sock.sendall(data)

    def open(self, method: str = "GET", path: str = "/", fields: Fields | None = None, end: bool = True) -> int:
        all_fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")]
        raw = [raw_field(n.encode(), v.encode()) for n, v in all_fields + (fields or [])]
        stream = self.engine.open(raw, end, method == "HEAD")
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send a body; waits for the window."""
        answer, engine = self.answers[stream], self.engine
        while data or end:
            if data:
                self.until(lambda: engine.window(stream) > 0 or answer.has_ended)
            if answer.has_ended or stream not in engine.streams:
                return
            room = max(engine.window(stream), 0)
            part, data = data[:room], data[room:]
            engine.send_data(stream, part, end and not data)
            self.flush()
            end = end and bool(data)

    def request(self, method: str = "GET", path: str = "/", body: bytes = b"", fields: Fields | None = None) -> Answer:
        stream = self.open(method, path, fields, not body)
        if body:
            self.send(stream, body, True)
        return self.finish(stream)

    def finish(self, stream: int) -> Answer:
        """Read until a stream has ended."""
        answer = self.answers[stream]
        self.until(lambda: answer.has_ended)
        return answer

    def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert not self.is_closed, f"the server closed the connection: {self.goodbye}"
            self.step()

    def until_closed(self) -> GoAwayReceived | None:
        while not self.is_closed:
            self.step()
        return self.goodbye

    def step(self) -> None:
        """Read once."""
        try:
            data = self.sock.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return
        for event in self.engine.receive(data, 0.0):
            self._take(event)
        self.pings += data.count(b"are you?")
        self.flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, GoAwayReceived):
            self.goodbyes.append(event)
        assert not isinstance(event, ConnectionBroken), event
        answer = self.answers.get(getattr(event, "stream", 0))
        if answer is None:
            return
        if isinstance(event, InterimReceived):
            answer.interim.append((event.head.status, event.head.fields))
        elif isinstance(event, ResponseStarted):
            answer.status, answer.fields = event.head.status, event.head.fields
            answer.has_ended = event.has_ended
        elif isinstance(event, BodyReceived):
            answer.body += event.content
            answer.has_ended = event.has_ended
            if self._is_reading:
                self.engine.acknowledge(event.stream, event.size)
        elif isinstance(event, TrailersReceived):
            answer.trailers, answer.has_ended = event.fields, True
        elif isinstance(event, StreamReset):
            answer.reset, answer.has_ended = event.code, True

    def give_up(self, stream: int) -> None:
        self.engine.reset(stream, Code.CANCEL)
        self.flush()
