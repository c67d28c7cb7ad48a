"""The body of a request over HTTP/2 on its way to the app: small ones first as a whole, others as they come."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from skitai.errors import ClientDisconnected, RemoteProtocolError, RequestBodyFailed
from skitai.hub.body import StreamedBody, add_part
from skitai.hub.spool import Spool
from skitai.net.timers import NEVER, TICK, sweep
from skitai.wire.fields import Fields
from skitai.wire.http2.engine import STREAM_WINDOW

if TYPE_CHECKING:
    from skitai.hub.http2_exchange import Http2Exchange

#: Bytes that an app takes before the window gets them back, while there are more.
_WORTH_SAYING = 64 * 1024

_CONTINUE = [(b":status", b"100")]


class Http2Body:
    """See the module.

    Args:
        exchange: of the request; it is dispatched when its app can be called. most: bytes that the body may have.
        is_streamed: call the app at once, whatever the size, and give the client all the time that it wants: the two
            talk with each other, and the session sees to it that the client is still there.

    Attributes:
        deadline: for the sweep: until when the client must have sent more.
    """

    def __init__(self, exchange: Http2Exchange, most: int, is_streamed: bool) -> None:
        self._exchange = exchange
        self._session = exchange.session
        self._limits = exchange.connection.server.limits
        self._most = most
        self._parts: list[bytes] | None = []
        self._stream: StreamedBody | None = None
        self._spool: Spool | None = None
        self._unwritten = 0  # bytes that wait for the disk, and that the window has not got back
        self._since = sweep.now
        self._stopped_at: float | None = None
        self._ahead = 0  # bytes that the window has got back before the app took them
        self._taken = 0  # bytes that the app took and the window has not got back
        self._is_over = False
        self._has_ended = False  # it is complete, and not all of it is in its file
        self._is_streamed = is_streamed
        self.deadline = NEVER

    def begin(self) -> None:
        """Ask the client for it, or call the app."""
        sweep.watch(self)
        length = self._exchange.head.length
        if self._is_streamed or (length is not None and length > self._limits.buffered_body):
            self._call_app()
        elif self._exchange.head.expects_continue:
            self._say_continue()
        self._run_clock()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._exchange.break_off(error)

    # From the session

    def receive(self, content: bytes, size: int, has_ended: bool) -> None:
        """A part came; ``size`` is what the window must get back for it."""
        exchange = self._exchange
        if self._is_over:
            self._session.consumed(exchange, size)
            return
        exchange.bytes_in += len(content)
        exchange.head.expects_continue = False
        if exchange.bytes_in > self._most:
            self._session.consumed(exchange, size)
            self._refuse(RemoteProtocolError(f"the request body is larger than {self._most} bytes", 413))
            return
        if self._stream is not None:
            self._session.consumed(exchange, size - len(content))
            self._stream.put(content)
        elif self._spool is not None:
            self._unwritten += size
            self._spool.put(content)
            self._spool_moved()
        elif self._parts is not None:
            self._session.consumed(exchange, size)
            add_part(self._parts, content)
            if exchange.bytes_in > self._limits.buffered_body and not has_ended:
                if exchange.connection.server.spools_body(exchange):
                    self._begin_spool()
                else:
                    self._call_app()
        if has_ended:
            self.end()
        else:
            self._run_clock()

    def end(self, trailers: Fields | None = None) -> None:
        """There is no more."""
        exchange = self._exchange
        exchange.trailers = trailers
        self._leave()
        if self._stream is not None:
            self._stream.end()
        elif self._spool is not None:
            self._has_ended = True
            self._spool_moved()
        elif self._parts is not None:
            exchange.is_whole = True
            exchange.body = io.BytesIO(b"".join(self._parts))
            self._parts = None
            exchange.connection.server.dispatch(exchange)

    def fail(self, error: Exception) -> None:
        """The rest will never come."""
        self._leave()
        if self._stream is not None and not self._stream.has_ended:
            self._stream.fail(error)
            if isinstance(error, ClientDisconnected):
                self._exchange.connection.server.note_broken_off(self._exchange)
        elif self._parts is not None or self._spool is not None:
            # No app will see it.
            self._parts = None
            self._drop_spool()
            self._exchange.abort()

    def drop(self) -> None:
        """The response is complete: nobody will read what is still there."""
        self._leave()
        self._drop_spool()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._session.consumed(self._exchange, max(0, stream.held - self._ahead) + self._taken)
            self._taken = 0
            if not stream.has_ended:
                stream.fail(ClientDisconnected("the response was sent before the request body was read"))

    def expire(self) -> None:
        """The client was too slow; the sweep calls this."""
        self._refuse(RemoteProtocolError("the request body took too long", 408))

    # Internals

    def _begin_spool(self) -> None:
        """Keep the body in a file until its length is known, and call the app then."""
        self._spool = spool = Spool(self._exchange.connection.server.disk, self._spool_moved)
        for part in self._parts or ():
            spool.put(part)
        self._parts = None
        self._spool_moved()

    def _spool_moved(self) -> None:
        """Some of the body came, is in its file, or cannot be kept; called in the hub."""
        spool, exchange = self._spool, self._exchange
        if spool is None:
            return
        if spool.error is not None:
            self._refuse(spool.error)
            return
        if not spool.is_full:
            unwritten, self._unwritten = self._unwritten, 0
            self._session.consumed(exchange, unwritten)
        if self._has_ended:
            if spool.is_written:
                self._spool = None
                self._begin_app(spool)
        elif not self._is_over:
            self._run_clock()

    def _begin_app(self, spool: Spool) -> None:
        """All of the body is in its file."""
        exchange = self._exchange
        try:
            exchange.body = exchange.spooled = spool.take()
        except OSError as error:
            spool.drop()
            failure = exchange.connection.server.disk.refuse(error)
            self._session.refuse(exchange, failure.status, str(failure))
            return
        exchange.is_whole = True
        self._session.dispatch(exchange)

    def _drop_spool(self) -> None:
        spool, self._spool = self._spool, None
        unwritten, self._unwritten = self._unwritten, 0
        if spool is not None:
            spool.drop()
            self._session.consumed(self._exchange, unwritten)

    def _call_app(self) -> None:
        """Call the app now; it reads the body as it comes."""
        exchange = self._exchange
        self._stream = stream = StreamedBody(self._app_waits, self._app_took)
        for part in self._parts or ():
            stream.put(part)
        self._ahead = exchange.bytes_in
        self._parts = None
        exchange.body = io.BufferedReader(stream)
        self._session.dispatch(exchange)

    def _app_waits(self) -> None:
        if self._exchange.head.expects_continue:
            self._exchange.head.expects_continue = False
            if not self._exchange.is_started:
                self._say_continue()
        self._run_clock()

    def _app_took(self, count: int) -> None:
        ahead = min(count, self._ahead)
        self._ahead -= ahead
        self._taken += count - ahead
        stream = self._stream
        # Apps read 8 KB at a time: to say each of them to the window takes longer than to read it.
        if stream is not None and (self._taken >= _WORTH_SAYING or not stream.held):
            taken, self._taken = self._taken, 0
            self._session.consumed(self._exchange, taken)
        if self._stopped_at is not None and not self._is_over:
            self._run_clock()

    def _say_continue(self) -> None:
        self._exchange.head.expects_continue = False
        if self._exchange.stream in self._session.engine.streams:
            self._session.engine.send_head(self._exchange.stream, _CONTINUE, False)
            self._session.flush()

    def _run_clock(self) -> None:
        """The clock of a body counts the time in which it is the client's turn."""
        if self._is_over:
            return
        is_our_turn = self._stream is not None and self._stream.held >= STREAM_WINDOW // 2
        if self._spool is not None:
            is_our_turn = self._spool.is_full
        if self._is_streamed or is_our_turn or self._exchange.head.expects_continue:
            self.deadline = NEVER
            if self._stopped_at is None:
                self._stopped_at = sweep.now
            return
        if self._stopped_at is not None:
            self._since += sweep.now - self._stopped_at
            self._stopped_at = None
        limits = self._limits
        self.deadline = self._since + TICK + limits.body_time + self._exchange.bytes_in / limits.body_rate

    def _refuse(self, error: RemoteProtocolError) -> None:
        exchange = self._exchange
        if self._stream is not None:
            exchange.refusal = failure = RequestBodyFailed(str(error), error.status)
            self._leave()
            self._stream.fail(failure)
        else:
            self._parts = None
            self._drop_spool()
            self._leave()
            self._session.refuse(exchange, error.status, str(error))

    def _leave(self) -> None:
        self._is_over = True
        sweep.forget(self)
        self.deadline = NEVER
