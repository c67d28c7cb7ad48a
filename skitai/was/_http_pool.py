"""The connections to one origin: kept, counted, and handed to attempts in order.

Rules: a kept connection is probed before use; the last one given back is used first, so that the surplus can expire; an
attempt that finds none waits for whatever comes first, a connection of its own or one that another gives back.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from skitai.errors import ConnectFailed, ConnectionFailed, ReadTimeout
from skitai.net import faults
from skitai.net import pool as workers
from skitai.net.channel import TlsChannel
from skitai.net.connect import connect
from skitai.net.tls import client_context
from skitai.was import _settings
from skitai.was._http_connection import HttpConnection
from skitai.wire.client_certificate import ClientCertificate

if TYPE_CHECKING:
    import ssl

    from skitai.was._engine import Engine
    from skitai.was._http2_connection import Http2Connection
    from skitai.was._http_attempt import HttpAttempt

_BOTH = ("h2", "http/1.1")


class Origin(NamedTuple):
    """Where connections go, how they are secured and what may be spoken: only equal ones may be shared.

    ``http2``: offer it by ALPN; without TLS, believe that the server speaks it. ``only_http2``: nothing else will do.
    """

    scheme: str
    host: str
    port: int
    verify: bool | str
    http2: bool
    cert: ClientCertificate | None = None
    only_http2: bool = False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class HttpPool:
    """The connections of one engine to one origin."""

    def __init__(self, engine: Engine, origin: Origin) -> None:
        self.engine = engine
        self.origin = origin
        self._idle: list[HttpConnection] = []
        self._shared: list[Http2Connection] = []  # that take further requests, when one of theirs has ended or at once
        self._open: set[HttpConnection | Http2Connection] = set()
        self._connecting = 0
        self._waiting: deque[HttpAttempt] = deque()
        self._pausing: dict[HttpAttempt, _Pause] = {}

    # For attempts

    def submit(self, attempt: HttpAttempt) -> None:
        """Send ``attempt``, at once when a kept connection is fit, else as soon as there is one.

        Never blocks, and raises nothing: what goes wrong is the end of the attempt.
        """
        try:
            self._submit(attempt)
        except Exception as error:
            faults.report(error)
            attempt.break_off(error)

    def _submit(self, attempt: HttpAttempt) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit() and self._begin(connection, attempt):
                return
            self._discard(connection)
        if self._shared and self._share(attempt):
            return
        attempt.deadline = min(time.monotonic() + attempt.timeout, attempt.ends_by)
        attempt.queue = self
        self._waiting.append(attempt)
        self.engine.sweep.watch(attempt)
        self._connect_more()

    def submit_later(self, attempt: HttpAttempt, seconds: float) -> None:
        """Send ``attempt`` in ``seconds``, to the exactness of the sweep; let it end when its time is over before."""
        attempt.queue = self
        until = min(time.monotonic() + seconds, attempt.ends_by)
        self._pausing[attempt] = pause = _Pause(self, attempt, until)
        self.engine.sweep.watch(pause)

    def pause_is_over(self, attempt: HttpAttempt) -> None:
        """``attempt`` was to be sent later, and now is later."""
        self.engine.sweep.forget(self._pausing.pop(attempt))
        attempt.queue = None
        if time.monotonic() < attempt.ends_by:
            self.submit(attempt)
        else:
            attempt.fail(ReadTimeout(f"{self.origin} took the request at no time"))
            self._forget_if_empty()

    def withdraw(self, attempt: HttpAttempt, error: Exception | None = None) -> None:
        """``attempt`` waits no longer: for too long already, unless ``error`` says why."""
        pause = self._pausing.pop(attempt, None)
        if pause is not None:
            self.engine.sweep.forget(pause)
        elif attempt in self._waiting:
            self._waiting.remove(attempt)
        attempt.queue = None
        self.engine.sweep.forget(attempt)
        self._forget_if_empty()
        most = _settings.current.connections
        attempt.fail(error or ReadTimeout(f"none of the {most} connections to {self.origin} got free in time"))

    # For connections

    def give_back(self, connection: HttpConnection) -> None:
        """``connection`` has carried an attempt and can take another one."""
        # What a server says besides its answer may be in the socket still: the next call would get it for its own.
        if self._waiting and not connection.is_fit():
            self._discard(connection)
            self._connect_more()
        else:
            self.enter(connection)

    def enter(self, connection: HttpConnection) -> None:
        """``connection`` can take an attempt."""
        if not self._waiting:
            connection.rest()
            self._idle.append(connection)
            return
        attempt = self._take_waiting()
        if not self._begin(connection, attempt):
            self._discard(connection)
            self.submit(attempt)

    def forget(self, connection: HttpConnection | Http2Connection) -> None:
        """``connection`` is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        elif connection in self._shared:
            self._shared.remove(connection)
        self._connect_more()
        self._forget_if_empty()

    def share(self, connection: Http2Connection) -> None:
        """``connection`` is open, for many attempts at the same time."""
        self._shared.append(connection)
        self.room_made(connection)

    def room_made(self, connection: Http2Connection) -> None:
        """``connection`` may take further attempts."""
        if not self._waiting:
            return
        while self._waiting and connection.has_room:
            attempt = self._take_waiting()
            if not self._begin(connection, attempt):
                self.submit(attempt)
                return
        self._connect_more()

    def close_to_others(self, connection: Http2Connection) -> None:
        """``connection`` takes no further attempts."""
        if connection in self._shared:
            self._shared.remove(connection)

    def has_no_http2(self) -> None:
        """The server was believed to speak HTTP/2, and does not."""
        if not self.origin.only_http2:
            self.engine.remember_http2(self.origin, False)

    def require_http11(self) -> None:
        """The server said that it wants HTTP/1.1 (RFC 9113 section 7): for a while it gets nothing else."""
        if self.origin.only_http2:
            return
        self.engine.require_http11(self.origin)
        for connection in list(self._shared):
            connection.retire()

    def drop_idle(self) -> None:
        """Close what is kept: one of them turned out stale, and a server that restarted has closed them all."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._discard(connection)
        for shared in [each for each in self._shared if not each.streams]:
            self._shared.remove(shared)
            self._discard(shared)

    def close_idle(self) -> None:
        """Close what is kept."""
        self.drop_idle()
        self._forget_if_empty()

    def drop_all(self) -> None:
        """After a fork."""
        for connection in self._open:
            connection.drop()
        for attempt in self._waiting:
            self.engine.sweep.forget(attempt)
        for pause in self._pausing.values():
            self.engine.sweep.forget(pause)

    # Connecting

    def _connect_more(self) -> None:
        while (
            self._connecting < len(self._waiting) and self._connecting + len(self._open) < _settings.current.connections
        ):
            # One connection may be enough for all that wait; whether it is, only the server can tell.
            if self._may_be_enough():
                return
            self._connecting += 1
            workers.spawn(self._connect)

    def _may_be_enough(self) -> bool:
        if not self.origin.http2 or self.engine.lacks_http2(self.origin):
            return False
        return self._connecting > 0 or any(connection.is_greeting for connection in self._shared)

    def _connect(self) -> None:
        try:
            connection = self._open_connection()
        except BaseException as error:  # such as settings of TLS that cannot work; whoever waits must hear of it
            self._connecting -= 1
            if not isinstance(error, ConnectionFailed):
                faults.report(error)
            self._fail_waiting(faults.as_exception(error))
            faults.reraise_end(error)
            return
        self._connecting -= 1
        self._open.add(connection)
        try:
            connection.enter()
        except Exception as error:
            faults.escaped(connection.enter, error)
        self._connect_more()

    def _fail_waiting(self, error: Exception) -> None:
        # All others wait for this one as well when one connection may be enough for all.
        count = len(self._waiting) if self.origin.http2 and not self._connecting else min(1, len(self._waiting))
        for attempt in [self._take_waiting() for _ in range(count)]:
            attempt.fail(error)
        self._connect_more()  # what came meanwhile may wait for it too
        self._forget_if_empty()

    def _context(self, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        return client_context(
            self.origin.verify, protocols, certificate=self.origin.cert, ciphers=_settings.current.ciphers
        )

    def _open_connection(self) -> HttpConnection | Http2Connection:
        origin = self.origin
        deadline = time.monotonic() + _settings.current.connect_time
        if self._waiting:
            deadline = min(deadline, self._waiting[0].deadline)
        if origin.scheme == "http":
            channel = connect(origin.host, origin.port, deadline)
            is_http2 = origin.http2 and not self.engine.lacks_http2(origin)
        elif origin.only_http2:
            channel = connect(origin.host, origin.port, deadline, self._context(("h2",)))
            is_http2 = isinstance(channel, TlsChannel) and channel.protocol == "h2"
            if not is_http2:
                channel.close()
                raise ConnectFailed(f"{origin} does not speak HTTP/2")
        elif origin.http2 and not self.engine.requires_http11(origin):
            channel = connect(origin.host, origin.port, deadline, self._context(_BOTH))
            is_http2 = isinstance(channel, TlsChannel) and channel.protocol == "h2"
            self.engine.remember_http2(origin, is_http2)
        else:
            channel = connect(origin.host, origin.port, deadline, self._context())
            is_http2 = False
        try:
            if not is_http2:
                return HttpConnection(self, channel)
            from skitai.was._http2_connection import Http2Connection  # h2 is loaded by who needs it

            return Http2Connection(self, channel)
        except BaseException:
            channel.close()
            raise

    # Internals

    def _share(self, attempt: HttpAttempt) -> bool:
        return any(connection.is_fit() and self._begin(connection, attempt) for connection in list(self._shared))

    def _begin(self, connection: HttpConnection | Http2Connection, attempt: HttpAttempt) -> bool:
        """Return whether ``attempt`` need wait no longer, because it is on its way or can never be."""
        try:
            connection.begin(attempt)
        except ConnectionFailed:  # nothing was sent: any request may go to another connection
            return False
        except Exception as error:
            faults.report(error)
            if isinstance(connection, HttpConnection):  # of which nobody else has a part
                connection.break_off(error)
            attempt.break_off(error)
        return True

    def _take_waiting(self) -> HttpAttempt:
        attempt = self._waiting.popleft()
        attempt.queue = None
        self.engine.sweep.forget(attempt)
        return attempt

    def _discard(self, connection: HttpConnection | Http2Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def _forget_if_empty(self) -> None:
        if self._open or self._waiting or self._connecting or self._pausing:
            return
        if self.engine.pools.get(self.origin) is self:
            del self.engine.pools[self.origin]

    def __repr__(self) -> str:
        return (
            f"<HttpPool {self.origin} {len(self._open)} open, {len(self._idle)} idle, "
            f"{self._connecting} connecting, {len(self._waiting) + len(self._pausing)} waiting>"
        )


class _Pause:
    """An attempt that is to be sent later; for the sweep."""

    __slots__ = ("_attempt", "_pool", "deadline")

    def __init__(self, pool: HttpPool, attempt: HttpAttempt, deadline: float) -> None:
        self._pool = pool
        self._attempt = attempt
        self.deadline = deadline

    def expire(self) -> None:
        """See :class:`skitai.net.timers.HasDeadline`."""
        self._pool.pause_is_over(self._attempt)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._attempt.break_off(error)
