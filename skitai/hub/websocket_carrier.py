"""What carries the bytes of a WebSocket: a connection of HTTP/1.1 after 101, or a stream of another protocol."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

from skitai.hub.connection import MOST_AT_ONCE, WRITE
from skitai.net import faults
from skitai.net.timers import TICK, sweep

if TYPE_CHECKING:
    from skitai.hub.connection import Connection


#: Bytes read at a time. A message of 64 KB in one read instead of five takes two thirds of the processor time.
_READ_SIZE = 80 * 1024


class Carried(Protocol):
    """What a carrier carries: a :class:`~skitai.hub.websocket_session.WebSocketSession`, or bytes that an app makes."""

    is_idle: bool

    def begin(self) -> None:
        """The carrier is yours; called in the hub, as all of these."""

    def receive(self, data: bytes) -> None:
        """Bytes came."""

    def end_of_input(self) -> None:
        """The client sends no more."""

    def closed(self) -> None:
        """The carrier is gone."""

    def carrier_drained(self) -> None:
        """Some of what was unsent went out."""

    def expire(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """The server stops."""

    def end_drain(self) -> None:
        """The client has had a moment to hear of it."""

    def say_goodbye(self) -> None:
        """The server has waited long enough, and breaks the connection off next."""


class Carrier(Protocol):
    """All that a session needs to know of its carrier. Nothing here waits, and all of it runs in the hub's thread.

    The carrier calls ``receive``, ``end_of_input``, ``closed`` and ``carrier_drained`` of the session.

    Attributes:
        session: that is carried. unsent: bytes that were taken and not sent yet.
        progressed: monotonic time at which some of them were.
    """

    session: Carried
    unsent: int
    progressed: float

    def send(self, data: bytes) -> None:
        """Take ``data``, and send of it now what can be sent."""

    def pause(self) -> None:
        """Read no more, so that the client must wait."""

    def resume(self) -> None:
        """Read again."""

    def finish(self) -> None:
        """Send what is unsent, then end in peace; at once when nothing of it is taken for ``Limits.write_time``."""

    def abort(self) -> None:
        """End at once."""

    def release(self) -> None:
        """Forget what is unsent: the session was told that it is closed."""


class ConnectionCarrier:
    """A whole connection. Its queue and its write watcher exist only while a client does not take what it is sent."""

    __slots__ = ("_connection", "_is_finishing", "_queue", "_send", "_watcher", "progressed", "session", "unsent")

    session: Carried

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.read_size = _READ_SIZE
        self._send = connection.transport.send
        self._queue: deque[memoryview] | None = None
        self._watcher: Any = None
        self._is_finishing = False
        self.unsent = 0
        self.progressed = 0.0

    def send(self, data: bytes) -> None:
        """See :class:`Carrier`."""
        if self._queue is not None:
            self._queue.append(memoryview(data))
            self.unsent += len(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._connection.abort()
            return
        if sent < len(data) or self._connection.transport.pending:
            self._keep(memoryview(data)[sent:])

    def pause(self) -> None:
        """See :class:`Carrier`."""
        self._connection.pause()

    def resume(self) -> None:
        """See :class:`Carrier`."""
        self._connection.resume()

    def finish(self) -> None:
        """See :class:`Carrier`."""
        self._is_finishing = True
        if self._queue is None:
            self._connection.close()
        else:
            self._extend()

    def abort(self) -> None:
        """See :class:`Carrier`."""
        self._connection.abort()

    def release(self) -> None:
        """Forget what is unsent: the connection is closed, and no watcher may outlive the number of its socket."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._queue = None
        self.unsent = 0

    def _keep(self, rest: memoryview) -> None:
        self._queue = deque([rest] if rest else ())
        self.unsent = len(rest)
        self.progressed = sweep.now
        connection = self._connection
        self._watcher = get_hub().loop.io(connection.transport.fileno(), WRITE)
        self._watcher.start(self._on_writable)

    def _on_writable(self) -> None:
        try:
            self._go_on()
        except Exception as error:
            faults.escaped(self._on_writable, error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)

    def _go_on(self) -> None:
        before = self.unsent
        try:
            self._send_queue()
        except BlockingIOError:
            pass
        except OSError:
            self._connection.abort()
            return
        if self.unsent < before:
            self.progressed = sweep.now
            if self._is_finishing:
                self._extend()
        if not self._queue and not self._connection.transport.pending:
            self.release()
            if self._is_finishing:
                self._connection.close()
                return
        self.session.carrier_drained()

    def _extend(self) -> None:
        # The session has ended and watches no clock any more; that of the connection calls its expire(), which aborts.
        connection = self._connection
        connection.deadline = sweep.now + TICK + connection.server.limits.write_time

    def _send_queue(self) -> None:
        transport, queue = self._connection.transport, self._queue
        assert queue is not None
        if transport.pending:
            transport.flush()
        stop = self.unsent - MOST_AT_ONCE  # then the others have their turn
        while queue and self.unsent > stop:
            sent = self._send(queue[0][:MOST_AT_ONCE])
            self.unsent -= sent
            if sent == len(queue[0]):
                queue.popleft()
            else:
                queue[0] = queue[0][sent:]

    def __repr__(self) -> str:
        return f"<ConnectionCarrier {self.unsent} bytes unsent>"
