"""The slow service behind the fan-out page: answers every request 20 ms after it arrived.

It has to be far cheaper than the servers that call it, so it looks for the end of each request only, and one timer
answers all that fell due within a millisecond. ``/count`` answers at once with the number of requests answered so far:
the harness checks with it that a page really made its calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import cast

import uvloop

DELAY = 0.020
TICK = 0.001
BODY = b"twenty\n"
END_OF_HEAD = b"\r\n\r\n"


def answer(body: bytes) -> bytes:
    """One whole HTTP/1.1 response."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


ANSWER = answer(BODY)


class Delay:
    """Requests that wait for their answer, in the order they came: all wait equally long, so the first is due first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: deque[tuple[float, asyncio.Transport]] = deque()
        self.answered = 0

    def add(self, transport: asyncio.Transport) -> None:
        """Answer on ``transport`` after ``DELAY`` seconds."""
        self.waiting.append((self.loop.time() + DELAY, transport))
        if len(self.waiting) == 1:
            self.loop.call_later(DELAY, self.release)

    def release(self) -> None:
        """Send every answer that is due, then sleep until the next is, at least ``TICK``: a tick late, never early."""
        now = self.loop.time()
        waiting = self.waiting
        while waiting and waiting[0][0] <= now:
            _, transport = waiting.popleft()
            self.answered += 1
            # A load generator that ends leaves requests behind; writing to a closed transport raises in uvloop.
            if not transport.is_closing():
                transport.write(ANSWER)
        if waiting:
            self.loop.call_later(max(TICK, waiting[0][0] - now), self.release)


class Upstream(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self, delay: Delay) -> None:
        self.delay = delay
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        # uvloop's transports are not instances of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take whole requests off the buffer."""
        self.head += data
        while END_OF_HEAD in self.head:
            head, _, self.head = self.head.partition(END_OF_HEAD)
            if head.startswith(b"GET /count "):
                self.transport.write(answer(b"%d" % self.delay.answered))
            else:
                self.delay.add(self.transport)


async def main(port: int) -> None:
    """Serve until a signal ends the process."""
    loop = asyncio.get_running_loop()
    delay = Delay(loop)
    server = await loop.create_server(lambda: Upstream(delay), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
