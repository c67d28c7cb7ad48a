"""What still comes of a request that was answered before all of it was there (RFC 9113 section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.hub.connection import LINGER_BYTES, LINGER_TIME
from skitai.net.timers import TICK, sweep

if TYPE_CHECKING:
    from skitai.hub.http2 import Http2Session


class Rest:
    """Bytes that nobody wants any more: they are dropped for a moment, and then the client is told to stop.

    A client must not lose its answer by a RST_STREAM right behind it, but some do: curl 7.88 and httpx call the request
    failed. So it gets as much time as one over HTTP/1.1 whose connection is closed behind its answer. Not where it
    would send more than its window allows: behind a good answer curl 7.88 reads no WINDOW_UPDATE, and waits for ever.

    Args:
        session: of the connection. stream: that is answered.

    Attributes:
        deadline: for the sweep.
    """

    __slots__ = ("_left", "_session", "_stream", "deadline")

    def __init__(self, session: Http2Session, stream: int) -> None:
        self._session = session
        self._stream = stream
        self._left = LINGER_BYTES
        self.deadline = sweep.now + TICK + LINGER_TIME
        sweep.watch(self)

    def receive(self, size: int, has_ended: bool) -> None:
        """A part came, and was dropped."""
        self._left -= size
        if has_ended:
            self.leave()
        elif self._left < 0:
            self.expire()

    def expire(self) -> None:
        """It takes too long; the sweep calls this."""
        self.leave()
        self._session.stop_rest(self._stream)

    def leave(self) -> None:
        """The client has ended the stream, or the connection is closed."""
        sweep.forget(self)
        self._session.rests.pop(self._stream, None)
