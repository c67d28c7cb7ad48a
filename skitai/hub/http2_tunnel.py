"""A stream of HTTP/2 that carries a WebSocket (RFC 8441): the content of DATA frames, both ways.

It owns no greenlet. What the client sends goes to the WebSocket straight from the event of the HTTP/2 session; what is
for the client waits here while its stream has no window or the socket takes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gevent import get_hub

from skitai.errors import ClientDisconnected
from skitai.hub.connection import LINGER_TIME, LINGER_TIME_WHEN_STOPPING
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep
from skitai.wire.http2.errors import Code

if TYPE_CHECKING:
    from skitai.hub.http2_exchange import Http2Exchange
    from skitai.hub.websocket_carrier import Carried
    from skitai.wire.fields import Fields

#: Bytes that a WebSocket gets at a time of what came while it was not read: it may want to pause again.
_PIECE = 64 * 1024

# Who has the stream: the app, which is asked; the WebSocket, which has not begun, or is open; nobody, while the rest is
# sent, or while the end of the client is awaited; and nobody at all.
_ASKED, _TAKEN, _OPEN, _FINISHING, _LINGERING, _OVER = range(6)


class Http2Tunnel:
    """The :class:`~skitai.hub.websocket_carrier.Carrier` of a WebSocket, and to the HTTP/2 session what a body is.

    Args:
        exchange: of the request that asks for it.

    Attributes:
        deadline: for the sweep, while the stream is being ended; before, the WebSocket has one.
    """

    __slots__ = (
        "_exchange", "_has_ended", "_held", "_http2", "_is_paused", "_is_waiting", "_queue", "_state", "deadline",
        "progressed", "session", "unsent",
    )  # fmt: skip

    session: Carried

    def __init__(self, exchange: Http2Exchange) -> None:
        self._exchange = exchange
        self._http2 = exchange.session
        self._state = _ASKED
        self._held = bytearray()  # came while nobody read; the window bounds it, which has not got it back
        self._has_ended = False
        self._is_paused = False
        self._is_waiting = False  # for the outbox
        self._queue: deque[memoryview] | None = None
        self.unsent = 0
        self.progressed = 0.0
        self.deadline = NEVER

    # From the exchange

    def hand_over(self, session: Carried) -> None:
        """The client got its 200: the WebSocket begins, in the hub.

        Raises:
            ClientDisconnected: the client is gone.
        """
        if self._state != _ASKED:
            raise ClientDisconnected("the client gave the request up, or closed the connection")
        self._state = _TAKEN
        get_hub().loop.run_callback(faults.guarded, self._begin)

    def _begin(self) -> None:
        if self._state == _TAKEN:
            self._state = _OPEN
            self.session.begin()
            self._deliver()

    # From the HTTP/2 session

    def receive(self, content: bytes, size: int, has_ended: bool) -> None:
        """A part came; ``size`` is what the window must get back for it."""
        self._has_ended = self._has_ended or has_ended
        if self._state == _OPEN and not (self._is_paused or self._held):
            self.session.receive(content)
        elif self._state < _FINISHING:
            self._held += content
            size -= len(content)
        self._http2.consumed(self._exchange, size)
        if has_ended:
            self._end_of_input()

    def end(self, trailers: Fields | None = None) -> None:
        """The client sends no more, as at the end of a TCP connection. Trailers mean nothing here."""
        self._has_ended = True
        self._end_of_input()

    def _end_of_input(self) -> None:
        if self._state == _OPEN and not (self._is_paused or self._held):
            self.session.end_of_input()
        elif self._state == _LINGERING:
            self._leave()

    def fail(self, error: Exception) -> None:
        """The stream was reset, or the connection is gone."""
        is_taken = _ASKED < self._state < _OVER
        if self._state == _ASKED:
            self._state = _OVER  # the app hears of it when it answers
        else:
            self._leave(Code.CANCEL)
        if is_taken:
            self.session.closed()

    def drop(self) -> None:
        """Nobody will read what is here."""
        size = len(self._held)
        self._held.clear()
        self._http2.consumed(self._exchange, size)

    def drain(self) -> None:
        """The server stops. A WebSocket that has not begun looks for itself when it does."""
        if self._state == _OPEN:
            self.session.drain()

    def say_goodbye(self) -> None:
        """The server has waited long enough, and breaks the connection off next."""
        if self._state == _OPEN:
            self.session.say_goodbye()

    def go_on(self) -> None:
        """There is a window again, or room in the outbox."""
        if not self._queue:
            return
        before = self.unsent
        self._send_queue()
        if self.unsent == before or self._state == _OVER:
            return
        self.progressed = sweep.now
        if self._state == _FINISHING:
            self._finish_soon()
        elif self._state == _OPEN:
            self.session.carrier_drained()
        if self.unsent:
            self._http2.let_others_go_first(self._exchange)

    # From the WebSocket

    def send(self, data: bytes) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carrier`."""
        if self._state not in (_TAKEN, _OPEN):
            return
        self.unsent += len(data)
        if self._queue:
            self._queue.append(memoryview(data))
            return
        self._queue = deque([memoryview(data)])
        self.progressed = sweep.now
        self._send_queue()

    def pause(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carrier`: the window gets nothing back."""
        self._is_paused = True

    def resume(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carrier`."""
        self._is_paused = False
        if self._held or self._has_ended:
            get_hub().loop.run_callback(faults.guarded, self._deliver)

    def finish(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carrier`: ends our side by END_STREAM."""
        if self._state < _FINISHING:
            self._state = _FINISHING
            self.drop()
            sweep.watch(self)
            self._finish_soon()

    def abort(self) -> None:
        """See :class:`~skitai.hub.websocket_carrier.Carrier`: ends by RST_STREAM."""
        if self._state != _OVER:
            self._leave(Code.CANCEL)
            self.session.closed()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self.abort()

    def release(self) -> None:
        """Forget what is unsent."""
        self._queue = None
        self.unsent = 0

    def expire(self) -> None:
        """The client took too long to take the rest, or to end its side; the sweep calls this."""
        self._leave(Code.CANCEL if self.unsent else None)

    # Internals

    def _deliver(self) -> None:
        """Let the WebSocket have what came before it began, or while it was paused."""
        while self._held and self._state == _OPEN and not self._is_paused:
            part = bytes(self._held[:_PIECE])
            del self._held[:_PIECE]
            self.session.receive(part)
            self._http2.consumed(self._exchange, len(part))
        if self._has_ended:
            self._end_of_input()

    def _send_queue(self) -> None:
        http2, stream = self._http2, self._exchange.stream
        engine, outbox = http2.engine, http2.outbox
        while self._queue and stream in engine.streams:
            if outbox.is_full:
                self._wait_for_outbox()
                break
            room = min(engine.window(stream), _PIECE)
            if room <= 0:
                break
            part = self._queue[0][:room]
            if len(part) == len(self._queue[0]):
                self._queue.popleft()
            else:
                self._queue[0] = self._queue[0][room:]
            engine.send_data(stream, part, False)
            self.unsent -= len(part)
            http2.flush_some(len(part))  # the connection may break by it, and forget the queue
        http2.flush()

    def _wait_for_outbox(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._http2.outbox.when_room(self._on_room)

    def _on_room(self) -> None:
        self._is_waiting = False
        self.go_on()

    def _finish_soon(self) -> None:
        """End our side when all is sent; the client gets a moment to end its own."""
        http2, stream = self._http2, self._exchange.stream
        server = self._exchange.connection.server
        if self.unsent:
            self.deadline = sweep.now + TICK + server.limits.write_time
            return
        if stream in http2.engine.streams:
            http2.engine.send_data(stream, b"", True)
            http2.flush()
        if self._has_ended:
            self._leave()
        elif self._state == _FINISHING:
            self._state = _LINGERING
            time = LINGER_TIME_WHEN_STOPPING if server.is_stopping else LINGER_TIME
            self.deadline = sweep.now + TICK + time

    def _leave(self, code: Code | None = None) -> None:
        if self._state != _OVER:
            self._state = _OVER
            sweep.forget(self)
            self.release()
            self._http2.finished(self._exchange, code)

    def __repr__(self) -> str:
        state = ("asked", "taken", "open", "finishing", "lingering", "over")[self._state]
        return f"<Http2Tunnel {state}, {self.unsent} bytes unsent>"
