"""One request with its response on a stream of HTTP/2."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, BinaryIO

import gevent
from gevent.event import Event

from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.hub.connection import MOST_AT_ONCE
from skitai.hub.exchange import Exchange
from skitai.net import faults
from skitai.net.timers import TICK, sweep
from skitai.wire.events import RequestHead
from skitai.wire.fields import Fields
from skitai.wire.http2.coders import Raw
from skitai.wire.http2.errors import Code
from skitai.wire.http2.heads import raw_fields
from skitai.wire.http2.responses import ResponseSection
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.hub.connection import Connection
    from skitai.hub.http2 import Http2Session
    from skitai.hub.http2_body import Http2Body
    from skitai.hub.http2_tunnel import Http2Tunnel
    from skitai.hub.websocket_carrier import Carried

#: Bytes read from a file at a time.
PIECE = 64 * 1024

#: Bytes per second that a client must let us send of a response that it has let stand for ``Limits.write_time`` in
#: all: with a window of one byte, opened again and again, a response could be held for days.
SLOWEST = 512


class _WindowWait:
    """The deadline of a greenlet that waits until its client opens the window of a stream."""

    __slots__ = ("_exchange", "began", "deadline")

    def __init__(self, exchange: Http2Exchange, seconds: float) -> None:
        self._exchange = exchange
        self.began = sweep.now
        self.deadline = sweep.now + TICK + seconds

    def expire(self) -> None:
        """The sweep calls this."""
        exchange = self._exchange
        if exchange.is_moved_on(sweep.now - self.began):
            self.began = sweep.now
            self.deadline = sweep.now + TICK + exchange.connection.server.limits.write_time
        else:
            exchange.session.stalled(exchange)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._exchange.break_off(error)


class Http2Exchange(Exchange):
    """See the module.

    Args:
        session: of the connection. connection: that it came by. head: of the request. stream: its number.

    Attributes:
        incoming: the request body on its way, ``None`` when there is none. tunnel: what an extended CONNECT asks for.
        held: bytes of the response that wait for the client, ``None`` while none do.
    """

    session: Http2Session
    incoming: Http2Body | Http2Tunnel | None = None
    tunnel: Http2Tunnel | None = None
    _is_lost = False
    _section: ResponseSection | None = None
    _is_head_sent = False
    _left: int | None = None
    _window: Event | None = None
    held: int | None = None
    _stalled = 0.0
    _turned = 0.0  # seconds in which others of the connection went before it
    _sent_before: int | None = None  # bytes of the connection when that began

    def __init__(self, session: Http2Session, connection: Connection, head: RequestHead, stream: int) -> None:
        super().__init__(session, connection, head)
        self.stream = stream

    # The response

    def respond(self, status: int, fields: Fields, body: bytes, reason: str | None = None) -> None:
        """See :class:`Exchange`; HTTP/2 has no reason phrases."""
        size = len(body)
        section = self._begin(status, fields, size if size or self.method != "HEAD" else None)
        if section.has_body:
            is_short = section.length is not None and size < section.length
            self._send(body[: section.length], not is_short)
            if is_short:
                self.abort()
                return
        else:
            self._send_head(True)
        self._ended()

    def start(self, status: int, fields: Fields, reason: str | None = None, length: int | None = None) -> None:
        """See :class:`Exchange`."""
        self._begin(status, fields, length)

    def start_with(
        self, status: int, fields: Fields, data: bytes, reason: str | None = None, length: int | None = None
    ) -> bool:
        """See :class:`Exchange`."""
        section = self._begin(status, fields, length)
        if section.has_body and section.length == len(data):
            self._send(data, True)
            self._ended()
            return True
        self.write(data)
        return False

    def write(self, data: bytes) -> None:
        """See :class:`Exchange`."""
        section = self._begun()
        if not section.has_body:
            if not self._is_head_sent:
                self._send_head(True)
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if data or not self._is_head_sent:
            self._send(data, False)
        self.give_way()

    @property
    def is_gone(self) -> bool:
        """See :class:`Exchange`: the stream was reset, or the connection is closed."""
        return self._is_lost

    @property
    def is_full(self) -> bool:
        """See :class:`Exchange`."""
        return self._section is not None and (not self._section.has_body or self._left == 0)

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """See :class:`Exchange`."""
        if not self._begun().has_body:
            return
        file.seek(offset)
        while count and (part := file.read(min(count, PIECE))):
            self.write(part)
            count -= len(part)

    def finish(self, trailers: Fields | None = None) -> None:
        """See :class:`Exchange`. A body shorter than its Content-Length resets the stream."""
        if self.is_finished:
            return
        section = self._begun()
        if not section.has_body:
            if not self._is_head_sent:
                self._send_head(True)
        elif self._left:
            self.abort()
            return
        elif trailers:
            if not self._is_head_sent:
                self._send_head(False)
            self._check()
            self.session.engine.send_trailers(self.stream, trailers)
            self.session.flush()
        else:
            self._send(b"", True)
        self._ended()

    def abort(self) -> None:
        """See :class:`Exchange`; resets the stream, the others go on."""
        if self.is_finished:
            return
        self.is_finished = True
        if self.began:
            self._log()
        self.session.finished(self, Code.INTERNAL_ERROR)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`: the stream is reset; an app that works on it finds it gone."""
        tunnel = self.tunnel
        if tunnel is not None and self.is_finished:
            tunnel.abort()
            return
        self.lose()
        self.abort()

    def interrupt(self, error: Exception) -> None:
        """See :class:`Exchange`."""
        if self.incoming is not None:
            self.incoming.fail(error)

    def interim(self, status: int, fields: Fields) -> None:
        """See :class:`Exchange`.

        Raises:
            LocalProtocolError: a field is not valid, the status is not 1xx, or the response has begun.
            ClientDisconnected: the client is gone.
        """
        if self.is_started or not 100 <= status < 200 or status == 101:
            raise LocalProtocolError("an interim response has a status of 1xx and comes before the final one")
        self._check()
        self.session.engine.send_head(self.stream, [(b":status", b"%d" % status), *raw_fields(fields)], False)
        self.session.flush()

    def hint_promise(self, uri: str) -> None:
        """See :class:`Exchange`: pushes the response to a GET of ``uri``, or sends 103 with ``Link: rel=preload``."""
        if not self.is_gone and not self.is_started:
            self.session.promise(self, uri)

    # Extended CONNECT

    def become_upgrade(self, protocol: str) -> None:
        """Let apps see the GET that asks for another protocol over HTTP/1.1 (RFC 8441 section 5)."""
        head = self.head
        self.method = "GET"
        # A new one: the head that came is remembered for others.
        self.head = RequestHead("GET", head.target, head.version, head.host, True, tuple(head.fields), head.environ)
        self.head.upgrade = protocol

    def websocket_carrier(self) -> Http2Tunnel:
        """See :class:`Exchange`."""
        assert self.tunnel is not None
        return self.tunnel

    def switch_protocols(self, fields: Fields, session: Carried) -> None:
        """See :class:`Exchange`: answers 200, and what follows on the stream is for ``session``."""
        tunnel = self.websocket_carrier()
        self._begin(200, fields, None)
        self._send_head(False)
        self.session.flush()
        tunnel.hand_over(session)
        self.is_finished = True
        if self.began:
            self._log()

    # What the session tells

    def window_opened(self) -> None:
        """More of the body may be sent."""
        if self._window is not None:
            self._window.set()
        elif self.tunnel is not None:
            self.tunnel.go_on()

    def lose(self) -> None:
        """The stream is over."""
        self._is_lost = True
        if self.incoming is not None:
            self.incoming.fail(ClientDisconnected("the client gave the request up"))
        self.window_opened()

    # Sending

    def _begin(self, status: int, fields: Fields, length: int | None) -> ResponseSection:
        if self.is_started:
            raise LocalProtocolError("the response has begun already")
        if self.refusal is not None:
            # The body broke the rules while the app read it, so what the app makes of it does not count.
            status = self.refusal.status
            self.connection.server.note_refusal(self.peer, self.refusal)
        server = self.connection.server
        self._section = section = ResponseSection(status, fields, length, self.method, server.common_fields)
        self._left = section.length if section.has_body else None
        self.status = status
        self.is_started = True
        if self.began:
            self.started_at = time.perf_counter()
        return section

    def _begun(self) -> ResponseSection:
        if self._section is None:
            raise LocalProtocolError("the response has not begun: call start() first")
        if self.is_finished:
            raise LocalProtocolError("the response has ended")
        return self._section

    def _check(self) -> None:
        engine = self.session.engine
        if self.is_gone or self.stream not in engine.streams or engine.is_broken:
            self._is_lost = True  # perhaps the session has not come to the event that says so
            raise ClientDisconnected("the client gave the request up, or closed the connection")

    def _send_head(self, end: bool) -> None:
        self._check()
        section = self._section
        assert section is not None
        raw: list[Raw] = section.raw
        self._is_head_sent = True
        self.session.engine.send_head(self.stream, raw, end)
        if end:
            self.session.flush()

    def _send(self, data: bytes, end: bool) -> None:
        """Send a part of the body, and the head before it; waits for the window and for the socket."""
        if not self._is_head_sent:
            if end and not data:
                self._send_head(True)
                return
            self._send_head(False)
        session, stream = self.session, self.stream
        engine = session.engine
        before = self.bytes_out
        view: bytes | memoryview = data if len(data) <= PIECE else memoryview(data)
        while True:
            session.wait(self, len(data))
            self._check()
            # A client that takes frames of megabytes would have a large message waiting as a whole.
            room = min(engine.window(stream), PIECE)
            if room <= 0 and view:
                self._wait_for_window(len(data))
                continue
            part, view = view[:room], view[room:]
            engine.send_data(stream, part, end and not view)
            self.bytes_out += len(part)
            session.flush_some(len(part))
            if not view:
                break
        session.flush()
        if before // MOST_AT_ONCE != self.bytes_out // MOST_AT_ONCE:
            gevent.sleep(0)  # a single large part may have taken long as well

    def _wait_for_window(self, size: int) -> None:
        session = self.session
        session.flush()
        if self.connection.input_ended:
            raise ClientDisconnected("the client has ended its side, and can open no window any more")
        if self._window is None:
            self._window = Event()
        self._window.clear()
        write_time = self.connection.server.limits.write_time
        is_own = not session.engine.has_own_window(self.stream)
        if is_own:
            wait = _WindowWait(self, write_time + min(0.0, self.bytes_out / SLOWEST - self._stalled))
        else:
            if self._sent_before is None:
                self._sent_before = session.sent
            wait = _WindowWait(self, write_time - self._turned)
        sweep.watch(wait)
        session.unsent.hold(self, size)
        try:
            self._window.wait()
        finally:
            session.unsent.let_go(self)
            sweep.forget(wait)
        if is_own:
            self._stalled += sweep.now - wait.began
        else:
            self._turned += sweep.now - wait.began

    def is_moved_on(self, seconds: float) -> bool:
        """Whether it is only the window of the connection that is shut, and the responses on it move on.

        Args:
            seconds: of this wait; those before it are known.

        Each that waits must be able to go on with :data:`SLOWEST` bytes per second. The last of a hundred has its turn
        when its client has taken all before it, which may take minutes on a slow line.
        """
        session = self.session
        if self._sent_before is None or not session.engine.has_own_window(self.stream):
            return False
        if session.sent - self._sent_before < SLOWEST * (self._turned + seconds) * session.unsent.waiting:
            return False
        self._turned, self._sent_before = 0.0, session.sent
        return True

    def _ended(self) -> None:
        self.is_finished = True
        self.window_opened()  # for a greenlet that was sending when another one ended the response
        try:
            if self.began:
                self._log()
            self.session.finished(self)
        except Exception as error:  # else it would count as one of the connection for ever
            faults.escaped(self.connection.break_off, error)

    def __repr__(self) -> str:
        return f"<Http2Exchange {self.number} on stream {self.stream} {self.method} {mask(self.target)} {self.status}>"
