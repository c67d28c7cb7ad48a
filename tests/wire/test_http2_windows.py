"""The two windows of a body, given back apart: that of the connection as bytes come, that of the stream as they go."""

from __future__ import annotations

import pytest

from skitai.settings import Limits
from skitai.wire.http2.engine import CONNECTION_WINDOW, STREAM_WINDOW, Http2Engine
from skitai.wire.http2.events import BodyReceived, RequestStarted

RAW = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"test")]


class Pair:
    """A client and a server, joined in memory."""

    def __init__(self) -> None:
        self.client = Http2Engine(False, Limits())
        self.server = Http2Engine(True, Limits())
        self.client.begin()
        self.server.begin()
        self.bodies: dict[int, int] = {}
        self.move()

    def move(self) -> None:
        for _ in range(3):
            for event in self.server.receive(self.client.data_to_send(), 0.0):
                if isinstance(event, RequestStarted):
                    self.server.send_head(event.stream, [(b":status", b"200")], False)
            for event in self.client.receive(self.server.data_to_send(), 0.0):
                if isinstance(event, BodyReceived):
                    self.bodies[event.stream] = self.bodies.get(event.stream, 0) + event.size
                    self.client.acknowledge_connection(event.size)

    def fill(self, stream: int) -> int:
        """Send as much as the windows allow; return how much that was."""
        sent = 0
        while (room := self.server.window(stream)) > 0:
            self.server.send_data(stream, bytes(room), False)
            sent += room
            self.move()
        return sent


@pytest.mark.parametrize("streams", [1, 9, 30])
def test_streams_that_nobody_reads_leave_the_connection_open(streams: int) -> None:
    """Nine of them are more than its window has."""
    pair = Pair()
    numbers = [pair.client.open(RAW, True) for _ in range(streams)]
    pair.move()
    assert [pair.fill(number) for number in numbers] == [STREAM_WINDOW] * streams
    assert STREAM_WINDOW * 9 > CONNECTION_WINDOW
    assert not pair.client.is_broken and not pair.server.is_broken
    other = pair.client.open(RAW, True)
    pair.move()
    assert pair.fill(other) == STREAM_WINDOW
    # What is read lets more of that stream come, and of no other.
    pair.client.acknowledge_stream(other, STREAM_WINDOW)
    pair.move()
    assert pair.fill(other) == STREAM_WINDOW
    assert pair.fill(numbers[0]) == 0


def test_a_stream_that_is_over_needs_no_window() -> None:
    pair = Pair()
    number = pair.client.open(RAW, True)
    pair.move()
    pair.server.send_data(number, b"x" * 1000, True)
    pair.move()
    before = pair.client.data_to_send()
    pair.client.acknowledge_stream(number, 1000)
    pair.client.acknowledge_stream(99, 1000)
    assert (before, pair.client.data_to_send()) == (b"", b"")
