"""The HTTP/1.1 session of a connection: one request at a time, pipelined ones in order (RFC 9112 section 9.3)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from gevent import get_hub

from skitai.errors import ClientDisconnected, RemoteProtocolError, RequestBodyFailed
from skitai.hub.body import StreamedBody, add_part
from skitai.hub.exchange import Http1Exchange
from skitai.hub.http2 import Http2Session
from skitai.hub.pages import error_response
from skitai.hub.spool import Spool
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep
from skitai.wire.fields import tokens
from skitai.wire.http1 import END, Data, NoRequest, RequestHead, RequestReader
from skitai.wire.http2.frames import PREFACE
from skitai.wire.http2.heads import upgraded_head

if TYPE_CHECKING:
    from skitai.hub.connection import Connection, TakingOver

#: Bytes of pipelined requests kept while one is answered; above it the connection is not read.
MOST_PIPELINED = 64 * 1024
#: Bytes of a body that an app left unread which are read and dropped to keep the connection; with more it is closed.
MOST_DROPPED = 64 * 1024

_PRI = PREFACE[:16]
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the session waits for.
_HEAD, _BODY, _APP, _DROPPING, _FIRST = range(5)


class Http1Session:
    """See the module. One object lives as long as its connection."""

    __slots__ = (
        "_connection", "_dropped", "_exchange", "_goes_on", "_keep_alive", "_limits", "_parts", "_reader", "_received",
        "_since", "_spool", "_state", "_stopped_at", "_stream",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._limits = connection.server.limits
        self._reader = RequestReader(self._limits)
        self._state = _FIRST
        self._exchange: Http1Exchange | None = None
        self._parts: list[bytes] | None = None  # a body that is read before its app is called
        self._stream: StreamedBody | None = None  # a body that the app reads as it comes
        self._spool: Spool | None = None  # a body that goes to a file before its app is called
        self._received = 0
        self._since = 0.0
        self._stopped_at: float | None = None  # while a body is received: when its clock was stopped, if it was
        self._dropped = 0
        self._goes_on = False  # the next request, or the rest of a body, is taken from the buffer in a moment
        self._keep_alive = TICK + self._limits.keep_alive
        connection.deadline = sweep.now + TICK + self._limits.header_time

    # From the connection

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        reader = self._reader
        if self._state == _HEAD:
            try:
                head = reader.read_whole(data)
            except RemoteProtocolError as error:
                self._refuse(error)
                return
            if head is not None:
                self._begin(head)
                return
            is_first = not reader.buffered
            reader.feed(data)
            if self._goes_on:  # with what came before
                self._pause_when_full()
            else:
                self._next_request(is_first)
            return
        if self._state == _FIRST:
            self._receive_first(data)
            return
        reader.feed(data)
        if self._goes_on or (self._state == _APP and self._stream is None):
            self._pause_when_full()
        else:
            self._next_of_body()

    def _pause_when_full(self) -> None:
        """Read no more while a client sends ahead of its answers; who takes from the buffer reads on."""
        if self._reader.buffered > MOST_PIPELINED:
            self._connection.pause()

    def end_of_input(self) -> None:
        """The client sends no more. It may still wait for an answer."""
        self._reader.feed_eof()
        if self._goes_on:
            return
        if self._state in (_HEAD, _FIRST):
            if self._reader.is_between:
                self._connection.abort()
            else:
                self._next_request()
        elif self._state != _APP or self._stream is not None:
            self._next_of_body()

    def closed(self) -> None:
        """The connection is gone: whoever waits for the body must not wait on."""
        if self._stream is not None and not self._stream.has_ended:
            self._stream.fail(ClientDisconnected("the client closed the connection inside a request body"))
            if self._exchange is not None:
                self._connection.server.note_broken_off(self._exchange)
        self._stream = None
        self._drop_spool()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._state in (_HEAD, _FIRST):
            if self._reader.is_between:
                self._connection.close()
            else:
                self._refuse(RemoteProtocolError("the header section took too long", 408))
        else:
            self._body_failed(RemoteProtocolError("the request body took too long", 408))

    def drain(self) -> None:
        """See :class:`Session`: the response to the request in progress, or to the next, says that it is the last."""

    def end_drain(self) -> None:
        """See :class:`Session`: HTTP/1.1 cannot tell a client anything between two responses."""

    # Going over to HTTP/2

    def _receive_first(self, data: bytes) -> None:
        """The first bytes of a connection tell its protocol (RFC 9113 sections 3.2 and 3.3)."""
        begin = self._reader.leftover + data
        agreed = self._connection.transport.protocol
        if agreed is None and not self._connection.server.settings.h2c:
            agreed = "http/1.1"
        if agreed is None and len(begin) < len(PREFACE) and PREFACE.startswith(begin):
            self._reader.feed(data)  # an HTTP/1.1 request may begin with P as well
            return
        # Who begins as HTTP/2 does and goes on otherwise is told so in HTTP/2.
        if agreed == "h2" or (agreed is None and begin.startswith(_PRI)):
            self._connection.session = session = Http2Session(self._connection)
            session.receive(begin)
            return
        self._state = _HEAD
        self.receive(data)

    def _go_over(self, exchange: Http1Exchange) -> bool:
        """Do what an ``Upgrade: h2c`` asks for (RFC 7540 section 3.2); False where the answer is to be HTTP/1.1."""
        connection, head = self._connection, exchange.head
        settings = head.environ.get("HTTP_HTTP2_SETTINGS")
        if settings is None or "h2c" not in tokens(head.upgrade or "") or connection.listener.tls is not None:
            return False
        if not connection.server.settings.h2c:
            return False
        upgraded = upgraded_head(head)
        try:
            session = Http2Session(connection, (upgraded, settings))
        except ValueError:
            return False
        connection.session = session
        session.begin_upgraded(upgraded, exchange)
        if self._reader.buffered and not connection.is_closed:
            session.receive(self._reader.leftover)
        return True

    # Requests

    def _next_request(self, is_first: bool = False) -> None:
        """Answer the next request that is complete. ``is_first``: its first bytes came just now."""
        try:
            head = self._reader.next()
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        if head is None:
            self._connection.resume()
            if self._connection.input_ended:
                self._connection.abort()
            elif is_first and self._reader.buffered:  # an empty line is no request that has begun
                self._connection.deadline = sweep.now + TICK + self._limits.header_time
            return
        assert isinstance(head, RequestHead)
        self._begin(head)

    def _begin(self, head: RequestHead) -> None:
        connection = self._connection
        self._exchange = exchange = Http1Exchange(self, connection, head)
        if head.is_plain:
            self._state = _APP
            connection.deadline = NEVER
            connection.server.dispatch(exchange)
        elif head.has_body:
            self._begin_body(exchange, head)
        else:
            self._dispatch(exchange)

    def _dispatch(self, exchange: Http1Exchange) -> None:
        if exchange.head.upgrade is not None and self._stream is None and self._go_over(exchange):
            return
        self._state = _APP
        self._connection.deadline = NEVER
        server = self._connection.server
        if exchange.head.upgrade is None or exchange.head.has_body:  # asking for another protocol is ignored then
            server.dispatch(exchange)
        else:
            server.dispatch_upgrade(exchange)

    def _begin_body(self, exchange: Http1Exchange, head: RequestHead) -> None:
        try:
            most = self._connection.server.most_body_bytes(exchange)
        except Exception:  # the app's own config may do anything when it is asked
            self._connection.server.logs.app.traceback(tag=str(exchange.transaction))
            self._refuse(RemoteProtocolError("the settings of the app could not be read", 500))
            return
        if head.length is not None and head.length > most:
            self._refuse(_too_large(most))
            return
        exchange.most_body_bytes = most
        self._received = 0
        self._since = sweep.now
        self._stopped_at = None
        if self._reader.buffered:
            head.expects_continue = False  # the client did not wait
        if head.length is not None and head.length > self._limits.buffered_body:
            self._stream_body(exchange)
            return
        if head.expects_continue:
            head.expects_continue = False
            if not self._connection.try_send(_CONTINUE):
                self._connection.abort()
                return
        self._parts = []
        self._state = _BODY
        self._next_of_body()

    def _stream_body(self, exchange: Http1Exchange) -> None:
        """Call the app now; it reads the body as it comes."""
        self._stream = stream = StreamedBody(self._read_more)
        for part in self._parts or ():
            stream.put(part)
        self._parts = None
        exchange.body = io.BufferedReader(stream)
        self._dispatch(exchange)
        if self._stream is stream:  # still wanted: the app may have answered within dispatch()
            self._next_of_body()

    def _read_more(self) -> None:
        """The app waits for the body; runs in its greenlet."""
        exchange = self._exchange
        if exchange is not None and exchange.head.expects_continue:
            exchange.head.expects_continue = False
            if not exchange.is_started:  # else the final response told the client to go on or to give up
                self._connection.send(_CONTINUE)
        if self._stream is not None:  # else the body ended while that was sent
            self._connection.resume()
            self._next_of_body()

    def _begin_spool(self) -> None:
        """Keep a body in a file until its length is known, and call the app then."""
        self._spool = spool = Spool(self._connection.server.disk, self._spool_moved)
        for part in self._parts or ():
            spool.put(part)
        self._parts = None

    def _spool_moved(self) -> None:
        """Some of the body is in its file, or cannot be kept; called in the hub."""
        spool = self._spool
        if spool is None or self._connection.is_closed:
            return
        if spool.error is not None:
            self._refuse(spool.error)
        elif self._state == _BODY:
            if not self._goes_on:
                self._next_of_body()
        elif spool.is_written:
            self._spool = None
            exchange = self._exchange
            assert exchange is not None
            try:
                exchange.body = exchange.spooled = spool.take()
            except OSError as error:
                self._refuse(self._connection.server.disk.refuse(error))
                return
            self._dispatch(exchange)

    def _drop_spool(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.drop()

    def _next_of_body(self) -> None:
        """Take what has come of a body to where it belongs."""
        while True:
            holder = self._stream or self._spool
            if holder is not None and holder.is_full:
                self._stop_clock()  # it is the app, or the disk, that takes its time
                self._connection.pause()
                return
            try:
                event = self._reader.next()
            except RemoteProtocolError as error:
                self._body_failed(error)
                return
            if event is None:
                exchange = self._exchange
                if exchange is not None and exchange.bytes_in + self._reader.announced > exchange.most_body_bytes:
                    # A chunk has begun that breaks the limit: its client need not send it all to hear of it.
                    self._body_failed(_too_large(exchange.most_body_bytes))
                else:
                    self._connection.resume()
                    self._run_clock()
                return
            if event is END:
                self._body_ended()
                return
            assert isinstance(event, Data)
            if not self._take(event.content):
                return

    def _take(self, content: bytes) -> bool:
        self._received += len(content)
        exchange = self._exchange
        if exchange is not None:
            exchange.head.expects_continue = False
        if self._state == _DROPPING or exchange is None:
            self._dropped += len(content)
            if self._dropped > MOST_DROPPED:
                self._connection.close()
                return False
            return True
        exchange.bytes_in += len(content)
        if exchange.bytes_in > exchange.most_body_bytes:
            self._body_failed(_too_large(exchange.most_body_bytes))
            return False
        if self._stream is not None:
            self._stream.put(content)
            return True
        if self._spool is not None:
            self._spool.put(content)
            if self._spool.error is not None:
                self._refuse(self._spool.error)
                return False
            return True
        assert self._parts is not None
        add_part(self._parts, content)
        if exchange.bytes_in > self._limits.buffered_body:
            if self._connection.server.spools_body(exchange):
                self._begin_spool()
                return True
            self._stream_body(exchange)
            return False  # _stream_body goes on with the rest
        return True

    def _body_ended(self) -> None:
        if self._state == _DROPPING:
            self._ready_for_next()
            return
        exchange = self._exchange
        assert exchange is not None
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._connection.deadline = NEVER
            stream.end()
            return
        exchange.is_whole = True
        if self._spool is not None:
            self._state = _APP
            self._connection.deadline = NEVER
            self._connection.resume()
            self._spool_moved()
            return
        assert self._parts is not None
        exchange.body = io.BytesIO(b"".join(self._parts))
        self._parts = None
        self._dispatch(exchange)

    def _body_failed(self, error: RemoteProtocolError) -> None:
        if self._state == _DROPPING:
            self._connection.close()
        elif self._stream is not None:
            stream, self._stream = self._stream, None
            assert self._exchange is not None
            self._exchange.refusal = failure = RequestBodyFailed(str(error), error.status)
            self._connection.deadline = NEVER
            self._connection.pause()
            stream.fail(failure)
        else:
            self._refuse(error)

    # The clock of a body counts the time in which it is the client's turn.

    def _run_clock(self) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.head.expects_continue:
            self._stop_clock()  # the client waits for us
            return
        if self._stopped_at is not None:
            self._since += sweep.now - self._stopped_at
            self._stopped_at = None
        limits = self._limits
        self._connection.deadline = self._since + TICK + limits.body_time + self._received / limits.body_rate

    def _stop_clock(self) -> None:
        self._connection.deadline = NEVER
        if self._stopped_at is None:
            self._stopped_at = sweep.now

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer a request that never reaches an app, and close."""
        exchange = self._exchange
        self._exchange = None
        self._parts = None
        self._drop_spool()
        data = b""
        # Where HTTP/2 is spoken as well, who says neither may have meant the preface of HTTP/2, and take an answer for
        # frames: the connection is closed without one (RFC 9113 section 3.4).
        if not isinstance(error, NoRequest) or self._connection.transport.protocol is not None:
            data = error_response(error.status, str(error), self._connection.server.common_fields, keep_alive=False)
            self._connection.try_send(data)
        self._connection.server.log_refused(self._connection, exchange, error, len(data))
        self._connection.close()

    # From the exchange, in any greenlet

    def finished(self, exchange: Http1Exchange, keep_alive: bool) -> None:
        """The response was sent; go on to the next request, or close."""
        connection = self._connection
        self._exchange = None
        if connection.is_closed:
            return
        if self._stream is not None:
            self._stream.fail(ClientDisconnected("the response was sent before the request body was read"))
        if exchange.refusal is not None:
            keep_alive = False  # where the next request would begin is not known
        is_last = connection.input_ended and not self._reader.buffered
        if not keep_alive or is_last or connection.server.is_stopping:
            self._stream = None
            connection.close()
        elif self._stream is not None:
            self._drop_rest_of_body(exchange)
        elif self._reader.buffered:
            self._state = _HEAD
            self._next_of_pipeline()
        else:
            self._state = _HEAD
            connection.deadline = sweep.now + self._keep_alive

    def hand_over(self, session: TakingOver) -> None:
        """The client got 101: what it sends from now on is for ``session`` (RFC 9110 section 7.8)."""
        self._exchange = None
        self._connection.hand_over(session, self._reader.take_rest())

    def has_large_rest(self, exchange: Http1Exchange) -> bool:
        """Whether more of the body is still to come than would be dropped: the connection closes if nobody reads it."""
        if self._stream is None:
            return False
        length = exchange.head.length
        if length is None:  # in chunks: how much is to come only the client knows
            return not self._stream.has_ended
        # A client that still waits for 100 may send the body or not, so where the next request begins is not known.
        is_uninvited = "HTTP_EXPECT" in exchange.head.environ and not exchange.bytes_in
        return is_uninvited or length - exchange.bytes_in > MOST_DROPPED

    def _drop_rest_of_body(self, exchange: Http1Exchange) -> None:
        """An app answered without reading the whole body: a small rest is dropped, a large one ends the connection."""
        is_too_much = self.has_large_rest(exchange)
        self._stream = None
        if is_too_much:
            self._connection.close()
            return
        self._state = _DROPPING
        self._dropped = 0
        self._since, self._received = sweep.now, 0
        self._stopped_at = None
        self._run_clock()
        self._connection.resume()
        self._go_on_soon()

    def _ready_for_next(self) -> None:
        self._state = _HEAD
        if self._reader.buffered:
            self._next_of_pipeline()
        elif self._connection.input_ended or self._connection.server.is_stopping:
            self._connection.close()
        else:
            self._connection.deadline = sweep.now + self._keep_alive

    def _next_of_pipeline(self) -> None:
        # From the hub: a greenlet must not dispatch, and a long pipeline must not be a deep stack.
        self._connection.deadline = sweep.now + TICK + self._limits.header_time
        self._go_on_soon()
        if self._reader.buffered <= MOST_PIPELINED:  # else what waits is taken first
            self._connection.resume()

    def _go_on_soon(self) -> None:
        self._goes_on = True
        get_hub().loop.run_callback(faults.guarded, self._go_on)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)

    def _go_on(self) -> None:
        self._goes_on = False
        if self._connection.is_closed or self._connection.is_lingering:
            return
        if self._state == _HEAD:
            self._next_request()
        elif self._state == _DROPPING:
            self._next_of_body()

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self._exchange is None and self._reader.is_between

    def __repr__(self) -> str:
        return f"<Http1Session {('head', 'body', 'app', 'dropping', 'first')[self._state]}>"


def _too_large(most: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"the request body is larger than {most} bytes", 413)
