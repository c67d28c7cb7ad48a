"""One serving process: its listeners, its connections, and what all of them share."""

from __future__ import annotations

import _socket
import socket
import ssl
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import gevent
from gevent import wait
from gevent.event import Event

from skitai.constants import NAME
from skitai.errors import ClientDisconnected, RemoteProtocolError
from skitai.hub.access_log import AccessLog
from skitai.hub.backlog import Backlog
from skitai.hub.complaints import Complaints
from skitai.hub.connection import Connection
from skitai.hub.exchange import Exchange
from skitai.hub.http1 import Http1Session
from skitai.hub.listener import Listener
from skitai.hub.pages import HTML, error_page, error_response
from skitai.hub.redirect import RedirectSession
from skitai.hub.rooms import Rooms
from skitai.hub.site import Dispatcher, Handler, Site
from skitai.hub.slots import Slots
from skitai.hub.spool import Disk
from skitai.hub.status import describe, describe_site
from skitai.net import faults, forks, pool
from skitai.net.memory import Memory
from skitai.net.timers import NEVER, TICK, sweep
from skitai.net.transport import PlainTransport, TlsTransport, Transport
from skitai.settings import ServerSettings
from skitai.was import _status
from skitai.wire.response import CommonFields

if TYPE_CHECKING:
    from skitai.net.logs import Logs
    from skitai.wire.fields import Fields


#: Clients past ``Limits.connections`` that are told so at one time; more are closed without a word.
MOST_TURNED_AWAY = 64

#: Seconds that idle connections stay open for a last request when nobody else serves: the server is about to be gone.
LAST_REQUEST = 0.5


class Server:
    """Serves a site in this process.

    Args:
        site: what is mounted; it is read once, here.
        settings: limits and numbers. logs: server, request and app log.
        worker_index: of this process among the workers, from 0; it keeps transaction ids apart.
        has_access_log: whether requests are logged.

    Next: :meth:`add_listener`, :meth:`start`, then either :meth:`serve_forever` or go on with other greenlets.
    """

    def __init__(
        self, site: Site, settings: ServerSettings, logs: Logs, worker_index: int = 0, *, has_access_log: bool = True
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.logs = logs
        self.complain = Complaints(logs.server)
        self.disk = Disk(settings.limits.spooled_bytes, self.complain)
        self._memory = Memory()
        self.backlog = Backlog(settings.limits.http2_unsent)
        self.worker_index = worker_index
        self.pool = pool.current()
        self.slots = Slots(self.pool, settings.slots, settings.limits.queue)
        self.access_log = AccessLog(logs.request) if has_access_log else None
        self.common_fields = CommonFields(NAME, _hsts(settings))
        self.is_stopping = False
        self.deadline = NEVER  # the sweep calls expire() about once a second, which renews the Date
        self._listeners: list[Listener] = []
        self._connections: set[Connection] = set()
        self._connection_number = worker_index * 1_000_000
        self.requests = 0
        self._is_over = Event()
        self._stopped_last = Event()
        self._is_hastened = Event()
        self.began = 0.0
        self._site = site
        self.rooms = Rooms(worker_index)
        self.handlers = 0
        self._dispatcher = Dispatcher(self, site)
        self._only = self._dispatcher.only

    # Life

    def add_listener(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> Listener:
        """Serve the clients of a bound, listening socket; with ``tls`` they speak TLS."""
        listener = Listener(self, sock, tls)
        self._listeners.append(listener)
        return listener

    def add_redirect(self, sock: socket.socket, port: int) -> Listener:
        """Send all clients of a bound, listening socket to the same URL by https, at ``port``."""
        listener = self.add_listener(sock)
        listener.https_port = port
        return listener

    def start(self) -> None:
        """Begin to accept clients; returns at once."""
        self.expire()
        sweep.watch(self)
        self.began = time.monotonic()
        if self.rooms.backplane is not None:
            self.rooms.backplane.start()
        _status.add("server", self._describe)
        _status.add("apps", self._describe_site)
        forks.guard(self.abandon)
        for listener in self._listeners:
            listener.start()

    def abandon(self) -> None:
        """In a child that an app has forked: let go of all sockets, whose other sides are the parent's business."""
        for listener in self._listeners:
            listener.abandon()
        for connection in self._connections:
            connection.abandon()

    def serve_forever(self) -> None:
        """Serve until :meth:`stop` has ended."""
        self._is_over.wait()

    def stop(self, grace: float | None = None, drain: float | None = None) -> None:
        """Accept no more, let requests in flight end, close all connections.

        An idle connection may carry one more request, whose answer says that it is the last (RFC 9112 section 9.6):
        closed at once, it would lose the request that its client is sending at this moment.

        Args:
            grace: seconds to wait for requests in flight; ``None`` takes the setting. Then they are cut off.
            drain: seconds to wait for last requests on idle connections, within the grace; ``None`` takes
                :data:`LAST_REQUEST`.
        """
        if self.is_stopping:
            self._is_over.wait()
            return
        began = time.monotonic()
        grace = self.settings.grace if grace is None else grace
        drain = min(LAST_REQUEST if drain is None else drain, grace)
        for listener in self._listeners:
            listener.accept_waiting()
        self.is_stopping = True
        for listener in self._listeners:
            listener.stop()
        # What one of them raises must not keep the server from stopping.
        for connection in list(self._connections):
            faults.guarded(connection.session.drain)
        if self._connections:
            self._stopped_last.wait(min(LAST_REQUEST, drain))
            for connection in list(self._connections):
                faults.guarded(connection.session.end_drain)
            left = began + drain - time.monotonic()
            if left > 0:
                wait([self._stopped_last, self._is_hastened], timeout=left, count=1)
            for connection in list(self._connections):
                gevent.get_hub().loop.run_callback(faults.guarded, self._close_if_idle, connection)
            self._stopped_last.wait(max(0.0, began + grace - time.monotonic()))
        for connection in list(self._connections):
            say_goodbye = getattr(connection.session, "say_goodbye", None)
            if say_goodbye is not None:
                faults.guarded(say_goodbye)
            faults.guarded(connection.abort)
        gevent.sleep(0.001)  # apps may be told of WebSockets that were cut off
        if self.rooms.backplane is not None:
            self.rooms.backplane.stop()
        sweep.forget(self)
        forks.unguard(self.abandon)
        self._dispatcher.end()
        _status.remove("server", self._describe)
        _status.remove("apps", self._describe_site)
        self.complain.close()
        self.logs.flush()
        self._is_over.set()

    def _describe(self) -> dict[str, object]:
        return describe(self)

    def _describe_site(self) -> dict[str, object]:
        return describe_site(self._site)

    def hasten(self) -> None:
        """Wait no longer for last requests on idle connections; may be called before :meth:`stop`."""
        self._is_hastened.set()

    def _close_if_idle(self, connection: Connection) -> None:
        """Called in the hub, because a request may begin here."""
        if connection.session.is_idle:
            connection.look()  # it may have come since the loop last looked
        if connection.session.is_idle:
            connection.close()

    def expire(self) -> None:
        """Renew the Date of responses; the sweep calls this once a second."""
        now = time.time()
        self.deadline = sweep.now + 1.0 - now % 1.0
        self.common_fields.refresh(formatdate(now, usegmt=True))
        self.complain.tick()
        self._memory.look()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`: the server goes on, whatever became of one second."""
        if not self._is_over.is_set():
            sweep.watch(self)

    # Connections

    def connected(self, listener: Listener, sock: _socket.socket, peer: tuple[str, int]) -> None:
        """A client was accepted."""
        excess = len(self._connections) - self.limits.connections
        if excess >= MOST_TURNED_AWAY or (excess >= 0 and listener.tls is not None):
            sock.close()
            return
        if not listener.is_unix:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        transport: Transport = PlainTransport(sock) if listener.tls is None else TlsTransport(sock, listener.tls)
        self._connection_number += 1
        connection = Connection(self, transport, peer, listener, self._connection_number)
        self._connections.add(connection)
        connection.start(
            Http1Session(connection) if not listener.https_port else RedirectSession(connection, listener.https_port)
        )
        if excess >= 0:
            self._turn_away(connection)
        elif listener.tls is not None:
            connection.deadline = sweep.now + TICK + self.limits.handshake_time

    def forget(self, connection: Connection) -> None:
        """A connection was closed."""
        self._connections.discard(connection)
        if self.is_stopping and not self._connections:
            self._stopped_last.set()

    def _turn_away(self, connection: Connection) -> None:
        """Answer before anything was read, and give the client the usual moment to take the answer."""
        detail = "The server has as many connections as it takes."
        data = error_response(503, detail, self.common_fields, False, [("Retry-After", "1")])
        connection.try_send(data)
        self.log_nameless(connection, 503, len(data))
        connection.close()

    @property
    def listeners(self) -> list[Listener]:
        """All of them."""
        return self._listeners

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    # Requests

    def dispatch(self, exchange: Exchange) -> None:
        """Hand an exchange to the handler of its mount; called in the hub. Raises nothing."""
        try:
            self._dispatch(exchange)
        except Exception as error:
            self._failed_to_begin(exchange, error)

    def hand_to(self, handler: Handler, exchange: Exchange) -> None:
        """Hand an exchange to one handler; called in the hub. Raises nothing."""
        try:
            handler.accept(exchange)
        except Exception as error:
            self._failed_to_begin(exchange, error)

    def _failed_to_begin(self, exchange: Exchange, error: Exception) -> None:
        """Others of the same connection have nothing to do with it."""
        faults.report(error, str(exchange.transaction))
        if exchange.is_started:
            exchange.abort()
        else:
            self.answer_soon(exchange, 500)

    def _dispatch(self, exchange: Exchange) -> None:
        handler = exchange.route or self._only or self._dispatcher.handler(exchange)
        if handler is not None and exchange.path[0] == "/":
            handler.accept(exchange)
        elif exchange.target == "*":
            self.answer_soon(exchange, 204, extra=[("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])
        elif exchange.method in ("CONNECT", "TRACE"):
            self.answer_soon(exchange, 405, extra=[("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")])
        else:
            self.answer_soon(exchange, 404)

    def dispatch_upgrade(self, exchange: Exchange) -> None:
        """Hand on an exchange that asks for another protocol: to a handler that speaks it, else as any other."""
        try:
            is_taken_over = _is_taken_over(self._dispatcher.handler(exchange), exchange)
        except Exception as error:
            self._failed_to_begin(exchange, error)
            return
        if not is_taken_over:
            self.dispatch(exchange)

    def dispatch_connect(self, exchange: Exchange) -> None:
        """Hand on an exchange that is for another protocol alone: a 2xx of anybody else would open it."""
        try:
            handler = self._dispatcher.handler(exchange)
            if handler is None:
                self.answer_soon(exchange, 404)
            elif not _is_taken_over(handler, exchange):
                self.answer_soon(exchange, 405, extra=[("Allow", "GET, HEAD")])
        except Exception as error:
            self._failed_to_begin(exchange, error)

    def route(self, exchange: Exchange) -> Handler | None:
        """Find the handler of an exchange, before it is dispatched."""
        exchange.route = handler = self._dispatcher.handler(exchange)
        return handler

    def most_body_bytes(self, exchange: Exchange) -> int:
        """Return how large the body of a request may be, as its app and its content type say."""
        handler = exchange.route or self.route(exchange)
        limits = self.limits
        plain, multipart = getattr(handler, "most_body_bytes", None) or (limits.body_bytes, limits.multipart_bytes)
        content_type = exchange.head.environ.get("CONTENT_TYPE", "")
        return multipart if content_type.lower().startswith("multipart/") else plain

    def spools_body(self, exchange: Exchange) -> bool:
        """Whether a body that is not held in memory, and whose length is not known, waits in a file until it is."""
        if exchange.head.length is not None or not self.settings.spool_bodies:
            return False
        return bool(getattr(exchange.route or self.route(exchange), "wants_length", False))

    def answer_soon(self, exchange: Exchange, status: int, detail: str = "", extra: Fields | None = None) -> None:
        """Answer an exchange with a page of the server; may be called in the hub, because a worker sends it."""
        self.pool.spawn(self.answer, exchange, status, detail, extra)

    def answer(self, exchange: Exchange, status: int, detail: str = "", extra: Fields | None = None) -> None:
        """Answer an exchange with a page of the server, from a worker greenlet."""
        body = b"" if status in (204, 304) else error_page(status, detail)
        try:
            exchange.respond(status, ([] if status in (204, 304) else HTML) + (extra or []), body)
        except ClientDisconnected:
            exchange.abort()
        except Exception as error:
            faults.report(error, str(exchange.transaction))
            exchange.abort()

    def log_refused(
        self, connection: Connection, exchange: Exchange | None, error: RemoteProtocolError, size: int
    ) -> None:
        """Log a request that was refused before any app saw it."""
        peer = connection.peer
        if exchange is None:
            self.log_nameless(connection, error.status, size)
        else:
            exchange.status = error.status
            exchange.bytes_out = size
            self.log_answered(exchange)
        self.note_refusal(peer, error)

    def log_answered(self, exchange: Exchange) -> None:
        """Log an exchange that was answered at once, by nobody but the server."""
        if self.access_log is not None:
            exchange.started_at = exchange.finished_at = time.perf_counter()
            self.access_log.record(exchange)

    def note_refusal(self, peer: tuple[str, int], error: BaseException) -> None:
        """Say in the server log what a client did wrong."""
        status = getattr(error, "status", 400)
        self.complain("requests that were refused", f"refused {peer[0]}:{peer[1]} with {status}: {error}")

    def note_broken_off(self, exchange: Exchange) -> None:
        """Say in the server log that a client left in the middle of a body that an app reads."""
        peer, size = exchange.peer, exchange.bytes_in
        text = f"{peer[0]}:{peer[1]} broke a request off after {size} bytes of its body"
        self.complain("requests that were broken off", text)

    def log_nameless(self, connection: Connection, status: int, size: int) -> None:
        """Log a response of ``size`` bytes to something that was no request yet."""
        if self.access_log is not None:
            self.access_log.record_nameless(connection.peer, status, size)

    def __repr__(self) -> str:
        return f"<Server {self._listeners} {len(self._connections)} connections, {self.slots!r}>"


def _is_taken_over(handler: Handler | None, exchange: Exchange) -> bool:
    accept = getattr(handler, "accept_upgrade", None)
    return accept is not None and exchange.path[0] == "/" and bool(accept(exchange))


def _hsts(settings: ServerSettings) -> Fields:
    return [("Strict-Transport-Security", f"max-age={settings.hsts}")] if settings.hsts else []
