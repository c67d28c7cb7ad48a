"""The WebSocket session of a connection or a stream: control frames, keep-alive, closing, back-pressure, a log line.

It owns no greenlet. Messages go to its :class:`Servant`, which knows how the app wants them; whatever carries the
bytes is a :class:`~skitai.hub.websocket_carrier.Carrier`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gevent import get_hub
from gevent.hub import Waiter
from gevent.monkey import get_original
from greenlet import getcurrent

from skitai.errors import ClientDisconnected
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep
from skitai.net.turns import Stint, current
from skitai.wire.ws_frames import ABNORMAL, GOING_AWAY
from skitai.wire.ws_messages import Close, Event, Failure, Ping

if TYPE_CHECKING:
    from skitai.hub.websocket_carrier import Carrier
    from skitai.settings import Limits
    from skitai.wire.websocket import WebSocket

#: Unsent bytes above which a sender waits and the client is not read, and below which both go on.
HIGH_WATER = 256 * 1024

# Why the client is not read: its messages wait, it takes nothing, or not all is looked at that was read.
INBOX, UNSENT, UNREAD = 1, 2, 4

#: Steps of reading (see :meth:`~skitai.wire.ws_reader.MessageReader.receive`) before others have their turn: twenty
#: clients that sent small messages as fast as they could kept everybody else waiting for six seconds.
MOST_STEPS = 32
#: Seconds that a step takes, roughly: to serve a small message, or to decompress 4 KB.
STEP_TIME = 15e-6

_OPEN, _CLOSING, _ENDED = range(3)

_thread = get_original("_thread", "get_ident")


class Servant(Protocol):
    """Who gets the messages of a session. ``begin`` and ``message`` are called in the hub; none of these may block."""

    is_busy: bool

    def begin(self) -> None:
        """The WebSocket is open."""

    def message(self, content: str | bytes) -> None:
        """A message came."""

    def ended(self) -> None:
        """The WebSocket is closed; called once."""

    def drain(self) -> None:
        """The server stops: close with 1001 when what is being done is done."""


class WebSocketSession:
    """See the module.

    Args:
        carrier: of the bytes. engine: of the protocol. limits: of the server.
        keep_alive: seconds without traffic after which it is closed. ping: seconds of silence after which the client
            is sent a ping, 0 for none; its pong is traffic.
        on_end: called with the session, the code and the reason when it has ended.
    """

    __slots__ = (
        "_carrier", "_engine", "_has_input_ended", "_heard", "_held", "_keep_alive", "_limits", "_loop", "_on_end",
        "_ping", "_pinged", "_reason", "_servant", "_state", "_stint", "_thread", "_turns", "_waiters", "began",
        "bytes_in", "bytes_out", "deadline",
    )  # fmt: skip

    is_idle = False  # a stop drains it, and does not just close it

    def __init__(
        self,
        carrier: Carrier,
        engine: WebSocket,
        limits: Limits,
        keep_alive: float,
        ping: float,
        on_end: Callable[[WebSocketSession, int, str], object],
    ) -> None:
        self._carrier = carrier
        self._engine = engine
        self._limits = limits
        self._keep_alive = keep_alive
        self._ping = ping
        self._on_end = on_end
        self._servant: Servant | None = None
        self._state = _OPEN
        self._reason = ""  # of our own close
        self._held = 0
        self._has_input_ended = False
        self._waiters: list[Waiter[None]] | None = None
        self._loop = get_hub().loop
        self._thread = _thread()
        self._turns = current()
        self._stint: Stint | None = None  # of whoever sends
        self._heard = self._pinged = self.began = sweep.now
        self.bytes_in = self.bytes_out = 0
        self.deadline = NEVER

    def serve_by(self, servant: Servant) -> None:
        """Say who gets the messages, before it begins."""
        self._servant = servant

    def begin(self) -> None:
        """The connection is ours; called in the hub."""
        self._heard = self._pinged = sweep.now
        self._arm()
        sweep.watch(self)
        if self._servant is not None:
            self._servant.begin()

    # From the carrier

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        if self._state == _ENDED:
            return
        self._heard = sweep.now
        self.bytes_in += len(data)
        if self._turns.is_over:
            self._engine.receive(data, 0)
            self._put_off()
            return
        self._take_in(data)
        steps = self._engine.steps_left
        if steps <= 0:
            self._turns.spend((MOST_STEPS - steps) * STEP_TIME)
            self._put_off()

    def _put_off(self) -> None:
        """Look at the rest of what was read later, and read no more before."""
        if self._engine.has_more and self._state != _ENDED:
            self.hold(UNREAD)
            if self._held == UNREAD:
                self._turns.later(self._go_on)

    def _take_in(self, data: bytes) -> None:
        for event in self._engine.receive(data, MOST_STEPS):
            if event.__class__ is str or event.__class__ is bytes:
                if self._state == _OPEN and self._servant is not None:
                    self._servant.message(event)
            else:
                self._control(event)

    def _go_on(self) -> None:
        """Look at more of what was read."""
        if self._held != UNREAD or self._state == _ENDED:
            return
        self._take_in(b"")
        if not self._engine.has_more:
            self.let_go(UNREAD)
            if self._has_input_ended:
                self.end_of_input()
        elif self._held == UNREAD:
            self._turns.later(self._go_on)

    def end_of_input(self) -> None:
        """The client ended its side without a close frame (RFC 6455 section 7.1.5)."""
        if self._held & UNREAD and self._state != _ENDED:
            self._has_input_ended = True  # what it said before comes first
            return
        self._end(ABNORMAL, "the client closed the connection")
        self._carrier.finish()

    def closed(self) -> None:
        """The connection is gone."""
        self._end(ABNORMAL, "the connection was lost")
        self._carrier.release()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._carrier.abort()

    def carrier_drained(self) -> None:
        """Some of what was unsent went out."""
        if self._carrier.unsent <= HIGH_WATER:
            self.let_go(UNSENT)
            self._wake()

    def expire(self) -> None:
        """The sweep calls this when the deadline has passed."""
        carrier, now = self._carrier, sweep.now
        is_stalled = carrier.unsent and now - carrier.progressed >= self._limits.write_time
        if self._state != _OPEN or is_stalled:
            carrier.abort()
            return
        if now - self._heard >= self._keep_alive and not (self._servant is not None and self._servant.is_busy):
            self.close(GOING_AWAY, "keep-alive timeout")
            return
        if self._ping and now - max(self._heard, self._pinged) >= self._ping:
            self._pinged = now
            carrier.send(self._engine.ping())
        self._arm()

    # For servants and apps

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._state == _OPEN

    @property
    def engine(self) -> WebSocket:
        """Makes its frames."""
        return self._engine

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a message; the calling greenlet waits while the client takes nothing and much is unsent.

        Raises:
            ClientDisconnected: the WebSocket is closed.
        """
        self._check_open()
        self._submit(self._engine.data_frame(opcode, payload))
        self.wait_until_drained()
        if self._thread == _thread():
            if self._stint is None:
                self._stint = Stint()
            else:
                self._stint.share()

    def send_ping(self, payload: bytes, is_pong: bool = False) -> None:
        """Send a ping, or a pong that nobody asked for."""
        self._check_open()
        self._submit(self._engine.pong(payload) if is_pong else self._engine.ping(payload))

    def reply(self, opcode: int, payload: bytes) -> None:
        """Send a message without waiting. The client is not read while it has not taken enough of what it asked for."""
        if self._state == _OPEN:
            self._take(self._engine.data_frame(opcode, payload))

    def post(self, frame: bytes) -> None:
        """Send a frame that others made, without waiting; a client that leaves too much unread is given up."""
        if self._state != _OPEN:
            return
        if self._carrier.unsent > self._limits.websocket_unsent:
            self._end(ABNORMAL, "the client does not read what it is sent")
            self._carrier.abort()
        else:
            self._take(frame)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait, in the background, for that of the client. Nothing happens when it is closed."""
        if self._state != _OPEN:
            return
        data = self._engine.close(code, reason)
        self._state = _CLOSING
        self._reason = reason
        self.run_in_hub_thread(self._closing, data)

    def wait_until_drained(self) -> None:
        """Block the calling greenlet while too much is unsent; other threads and the hub itself never wait.

        Raises:
            ClientDisconnected: the WebSocket was closed meanwhile.
        """
        while self._carrier.unsent > HIGH_WATER and _thread() == self._thread:
            hub = get_hub()
            if getcurrent() is hub:
                return
            waiter: Waiter[None] = Waiter(hub)
            self._waiters = [*(self._waiters or ()), waiter]
            waiter.get()
            self._check_open()

    def hold(self, reason: int) -> None:
        """Read no more for a reason."""
        if not self._held:
            self._carrier.pause()
        self._held |= reason

    def let_go(self, reason: int) -> None:
        """Read again when no other reason is left."""
        if self._held & reason:
            self._held &= ~reason
            if self._state == _ENDED:
                return
            if not self._held:
                self._carrier.resume()
            elif self._held == UNREAD:
                self._turns.later(self._go_on)

    def drain(self) -> None:
        """The server stops."""
        if self._state == _OPEN and self._servant is not None:
            self._servant.drain()

    def end_drain(self) -> None:
        """See :class:`~skitai.hub.connection.Session`: the close frame has said it."""

    def say_goodbye(self) -> None:
        """The server has waited long enough, and breaks the connection off next."""
        self.close(GOING_AWAY, "the server stops")

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is the one of its hub."""
        return bool(_thread() == self._thread)

    def run_in_hub_thread(self, fn: Callable[..., object], *args: object) -> None:
        """Call ``fn(*args)``: now, or soon when another native thread asks."""
        if _thread() == self._thread:
            fn(*args)
        else:
            self._loop.run_callback_threadsafe(faults.guarded, fn, *args)

    # Internals

    def _control(self, event: Event) -> None:
        if event.__class__ is Ping and self._carrier.unsent > HIGH_WATER:
            return  # section 5.5.3: only the last of many pings needs its pong, and nobody reads them
        reply = self._engine.reply(event)
        if reply:
            self._carrier.send(reply)
            self.bytes_out += len(reply)
        if isinstance(event, (Close, Failure)):
            self._end(event.code, event.reason)
            self._carrier.finish()

    def _submit(self, frame: bytes) -> None:
        if _thread() != self._thread:
            self._loop.run_callback_threadsafe(faults.guarded, self.post, frame)
        else:
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        carrier = self._carrier
        self._heard = sweep.now
        self.bytes_out += len(frame)
        carrier.send(frame)
        if carrier.unsent:
            self.deadline = min(self.deadline, sweep.now + TICK + self._limits.write_time)
            if carrier.unsent > HIGH_WATER:
                self.hold(UNSENT)

    def _closing(self, data: bytes) -> None:
        self._carrier.send(data)
        self.bytes_out += len(data)
        self.deadline = sweep.now + TICK + self._limits.websocket_close_time
        self.let_go(INBOX | UNSENT)
        self._wake()

    def _end(self, code: int, reason: str) -> None:
        if self._state == _ENDED:
            return
        self._state = _ENDED
        sweep.forget(self)
        self._wake()
        self._on_end(self, code, self._reason or reason)
        servant, self._servant = self._servant, None
        if servant is not None:
            servant.ended()

    def _arm(self) -> None:
        deadline = self._heard + self._keep_alive
        if self._servant is not None and self._servant.is_busy:
            deadline = sweep.now + self._keep_alive
        if self._ping:
            deadline = min(deadline, max(self._heard, self._pinged) + self._ping)
        if self._carrier.unsent:
            deadline = min(deadline, self._carrier.progressed + self._limits.write_time)
        self.deadline = deadline

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            waiter.hub.loop.run_callback(waiter.switch, None)

    def _check_open(self) -> None:
        if self._state != _OPEN:
            raise ClientDisconnected("the WebSocket is closed")

    def __repr__(self) -> str:
        return f"<WebSocketSession {('open', 'closing', 'ended')[self._state]}>"
