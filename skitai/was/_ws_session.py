"""A WebSocket that a caller holds: ``with was.ws.connect(url) as ws``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from gevent import get_hub
from gevent.hub import Waiter

from skitai.errors import (
    ConnectFailed,
    ConnectionFailed,
    NameNotFound,
    OperationTimeout,
    PeerClosed,
    RequestFailed,
    TlsFailed,
    WriteTimeout,
)
from skitai.was import _clusters, _engine
from skitai.was._http_call import HttpCall
from skitai.was._ws import place_of, read_message
from skitai.was._ws_connection import Refused, WsConnection
from skitai.was._ws_pool import connect_with
from skitai.wire import outcomes
from skitai.wire.balance import MemberState
from skitai.wire.ws_messages import Pong

#: Messages, and bytes or characters of them, that wait to be taken, above which the server is not read.
MOST_MESSAGES = 64
MOST_SIZE = 1024 * 1024

#: Seconds that :meth:`WsSession.close` waits for the server's close frame.
CLOSE_TIME = 5.0

#: Codes with which a WebSocket ends as it should: an iteration over it just ends then.
_PEACEFUL = frozenset({1000, 1001, 1005})


class WsSession:
    """See the module. Made by ``was.ws.connect()``.

    Attributes:
        subprotocol: that was agreed on, ``None`` for none.
        close_code, close_reason: with which it was closed; 0 while it is open, 1006 without a close frame.
    """

    def __init__(self) -> None:
        self._connection: WsConnection | None = None
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._waiters: list[Waiter[None]] = []
        self._pongs: dict[bytes, float] = {}
        self._error: Exception | None = None
        self._is_paused = False
        self._is_closing = False
        self.subprotocol: str | None = None
        self.close_code = 0
        self.close_reason = ""

    @classmethod
    def open(cls, call: HttpCall, subprotocols: tuple[str, ...], deadline: float) -> WsSession:
        """Connect; blocks the calling greenlet.

        Raises:
            RequestFailed: see :meth:`skitai.was._ws.WsService.connect`.
        """
        session = cls()
        try:
            connection = session._connect(call, subprotocols, deadline)
        except Refused as refusal:
            raise RequestFailed(refusal.head.status, refusal.head.reason) from refusal
        except Exception as error:
            code = outcomes.code_of(error)
            raise RequestFailed(code, outcomes.REASONS[code]) from error
        session._connection = connection
        session.subprotocol = connection.subprotocol
        connection.use(session)
        return session

    def _connect(self, call: HttpCall, subprotocols: tuple[str, ...], deadline: float) -> WsConnection:
        """Connect to the server of a URL, or to a member of a cluster that can be reached."""
        engine = _engine.current()
        if call.uri[:1] != "@":
            place = place_of(call, None, "", None)._replace(subprotocols=subprotocols)
            return connect_with(engine, self, place, call.auth, deadline)
        name, path = _clusters.split(call.uri)
        cluster = _clusters.find(name)
        tried: list[MemberState] = []
        while True:
            member = cluster.balancer.choose(time.monotonic(), tried)
            assert member is not None  # a cluster has members, and the last one's error is raised
            tried.append(member)
            place = place_of(call, cluster, path, member)._replace(subprotocols=subprotocols)
            try:
                return connect_with(engine, self, place, call.auth, deadline)
            except (ConnectFailed, NameNotFound, TlsFailed):
                member.begin()
                member.fail(time.monotonic())
                if len(tried) == len(cluster.balancer.states):
                    raise

    # Sending

    def send(self, message: Any) -> None:
        """Send a message; waits while the server takes nothing and much is unsent, at most ``idle_time``.

        Args:
            message: str goes as text, bytes as binary, ``(opcode, data)`` as it says.

        Raises:
            PeerClosed, ConnectionFailed: it is closed. WriteTimeout: the server took nothing, and it is closed now.
            TypeError, ValueError: this is no message.
        """
        kind, payload = read_message(message)
        connection = self._open_connection()
        connection.send(payload.decode() if kind == "TEXT" else payload)
        connection.wait_until_drained()
        if isinstance(self._error, WriteTimeout):
            raise self._error

    def ping(self, timeout: float = 5.0) -> float:
        """Send a ping, wait for its pong and return the seconds between them.

        Raises:
            OperationTimeout: it did not come in time. PeerClosed, ConnectionFailed: the WebSocket is closed.
        """
        began = time.monotonic()
        payload = b"%d" % time.monotonic_ns()
        self._pongs[payload] = 0.0
        try:
            self._open_connection().send_ping(payload)
            while not self._pongs[payload]:
                self._wait(began + timeout, "no pong came in time")
                if self._error is not None:
                    raise self._error
            return self._pongs[payload] - began
        finally:
            del self._pongs[payload]

    # Receiving

    def getwait(self, timeout: float | None = None) -> str | bytes | None:
        """Wait for a message and return it; ``None`` when the WebSocket was closed in peace.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.

        Raises:
            OperationTimeout: none came in time. PeerClosed, ConnectionFailed, ProtocolError: it broke.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._messages:
            if self._error is not None:
                if self.close_code in _PEACEFUL:
                    return None
                raise self._error
            self._wait(deadline, "no message came in time")
        message = self._messages.popleft()
        self._size -= len(message)
        if self._is_paused and not self._is_full and self._connection is not None:
            self._is_paused = False
            self._connection.resume()
        return message

    recv = getwait

    def __iter__(self) -> Iterator[str | bytes]:
        """Give the messages until the WebSocket is closed in peace. Raises as :meth:`getwait`."""
        while (message := self.getwait()) is not None:
            yield message

    # Ending

    def close(self, code: int = 1000, reason: str = "", timeout: float = CLOSE_TIME) -> None:
        """Close it, and wait for the close frame of the server; messages that still come are dropped.

        Args:
            code: 1000, or 3000 to 4999. reason: up to 123 bytes. timeout: seconds to wait.
        """
        connection = self._connection
        if connection is None:
            return
        self._is_closing = True
        self._messages.clear()
        deadline = time.monotonic() + timeout
        try:
            connection.send_close(code, reason)
            connection.resume()
            while self._error is None:
                self._wait(deadline, "no close frame came in time")
        except (ConnectionFailed, OperationTimeout):
            connection.drop()
            self.lost(PeerClosed("the server did not answer the close frame"), 1006, "")

    @property
    def is_closed(self) -> bool:
        """Whether it is closed."""
        return self._connection is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(1000 if kind is None else 1001)

    # As the owner of its connection

    def took(self, event: str | bytes | Pong) -> None:
        """See :class:`skitai.was._ws_connection.Owner`."""
        if isinstance(event, Pong):
            if event.payload in self._pongs:
                self._pongs[event.payload] = time.monotonic()
        elif not self._is_closing:
            self._messages.append(event)
            self._size += len(event)
            if self._is_full and not self._is_paused and self._connection is not None:
                self._is_paused = True
                self._connection.pause()
        self._wake()

    def lost(self, error: Exception, code: int, reason: str) -> None:
        """See :class:`skitai.was._ws_connection.Owner`."""
        self._connection = None
        self._error = error
        self.close_code, self.close_reason = code, reason
        self._wake()

    def forget(self, connection: WsConnection) -> None:
        """See :class:`skitai.was._ws_pool.Home`."""

    # Internals

    @property
    def _is_full(self) -> bool:
        return len(self._messages) >= MOST_MESSAGES or self._size >= MOST_SIZE

    def _open_connection(self) -> WsConnection:
        if self._connection is None or self._is_closing:
            raise self._error or PeerClosed("the WebSocket is closed")
        return self._connection

    def _wait(self, deadline: float | None, text: str) -> None:
        hub = get_hub()
        waiter: Waiter[None] = Waiter(hub)
        timer = None
        if deadline is not None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise OperationTimeout(text)
            timer = hub.loop.timer(remaining)
            timer.start(waiter.switch, None)
        self._waiters.append(waiter)
        try:
            waiter.get()
        finally:
            if timer is not None:
                timer.close()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            get_hub().loop.run_callback(waiter.switch, None)

    def __repr__(self) -> str:
        return f"<WsSession {'closed' if self.is_closed else 'open'}, {len(self._messages)} messages waiting>"
