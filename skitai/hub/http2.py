"""The HTTP/2 session of a connection: one exchange per stream, all of them at the same time (RFC 9113)."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from skitai.errors import ClientDisconnected, LocalProtocolError, RemoteProtocolError
from skitai.hub import http2_push as push
from skitai.hub.http2_body import Http2Body
from skitai.hub.http2_exchange import Http2Exchange
from skitai.hub.http2_rest import Rest
from skitai.hub.http2_tunnel import Http2Tunnel
from skitai.hub.http2_unsent import Unsent
from skitai.hub.outbox import Outbox
from skitai.net import faults
from skitai.net.timers import NEVER, TICK, sweep
from skitai.net.turns import SLICE, current
from skitai.wire.events import RequestHead
from skitai.wire.feeding import Feeding
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code, code_name
from skitai.wire.http2.events import (
    BodyReceived,
    ConnectionBroken,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    RequestRefused,
    RequestStarted,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from skitai.wire.http2.frames import MAX_FRAME_SIZE

if TYPE_CHECKING:
    from skitai.hub.connection import Connection
    from skitai.hub.exchange import Exchange

#: Bytes of responses that are put together before they are handed to the socket.
MOST_JOINED = 64 * 1024
#: Frames that are looked at before what they mean is done. With fewer a request could reach its app although its
#: RST_STREAM is there already.
FRAMES_AT_ONCE = 64
#: Seconds from which on a read counts among the work of a turn: to hear of the next one costs a turn of the loop.
LONG = 0.0005
#: The PING that comes behind the first GOAWAY.
_LAST_ORDERS = b"lastcall"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class Http2Session:
    """See the module. One object lives as long as its connection speaks HTTP/2.

    Args:
        connection: that it is spoken on. upgrade: head of the HTTP/1.1 request that asked for it, which becomes
            stream 1, and its HTTP2-Settings.

    Attributes:
        engine: of the protocol. outbox: what is on its way to the client.
        rests: of requests that are answered and still come, by stream.
        unsent: responses that wait for the client. sent: bytes of bodies so far.

    Raises:
        ValueError: the HTTP2-Settings are not valid; nothing was sent.
    """

    def __init__(self, connection: Connection, upgrade: tuple[RequestHead, str] | None = None) -> None:
        self._connection = connection
        self._server = connection.server
        self._limits = connection.server.limits
        self.engine = Http2Engine(True, self._limits, has_connect_protocol=True)
        self.outbox = Outbox(connection)
        # By stream. One that was reset stays until its app has noticed: what counts is the work that a client causes.
        self._exchanges: dict[int, Http2Exchange] = {}
        self.rests: dict[int, Rest] = {}
        self._events: deque[Event] = deque()
        self._turns = current()
        self.unsent = Unsent(self, connection.server.backlog)
        self.sent = 0
        self._is_corked = False
        self._unflushed = 0
        self._is_ending = False
        self._is_asked = False
        self._is_draining = False
        self._began = sweep.now
        self._progress = -1
        if upgrade is None:
            self.engine.begin()
        else:
            head, settings = upgrade
            self.engine.begin_upgraded(settings, head)
        self._set_deadline()

    # From the connection

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_ending:
            return
        self._is_asked = False
        turns = self._turns
        if turns.is_over:
            self.engine.receive(data, sweep.now, 0)
            self._put_off()
            return
        began = perf_counter()
        is_done = self._work(data, began + turns.left)
        took = perf_counter() - began
        if took > LONG:
            turns.spend(took)
        if not is_done:
            self._put_off()

    def _put_off(self) -> None:
        """Look at the rest of what was read later, and read no more before."""
        self._connection.pause()
        self._connection.deadline = NEVER  # it is not the client who takes its time
        self._progress = -1
        self._turns.later(self._work_on)

    def _work_on(self) -> None:
        """Go on with what came in an earlier turn of the loop."""
        if self._is_ending or self._work(b"", perf_counter() + SLICE):
            self._connection.resume()
        else:
            self._turns.later(self._work_on)

    def _work(self, data: bytes, until: float) -> bool:
        """Take ``data``; return whether all that came was looked at."""
        self._is_corked = True
        try:
            is_done = self._take_all(data, until)
        except Exception:  # a fault of ours must not leave the client waiting, nor whoever waits for it
            self._server.logs.server.traceback(tag=repr(self._connection))
            self.engine.go_away(Code.INTERNAL_ERROR)
            self._end()
            return True
        finally:
            self._is_corked = False
        self.flush()
        if is_done:
            self._go_on()
        return is_done

    def _take_all(self, data: bytes, until: float) -> bool:
        events, engine = self._events, self.engine
        while data or engine.has_more or events:
            if not events:
                engine.held = len(self._exchanges)
                events.extend(engine.receive(data, sweep.now, FRAMES_AT_ONCE))
                data = b""
            while events:
                self._take(events.popleft())
                if perf_counter() > until and (events or engine.has_more):
                    return False
        return True

    def end_of_input(self) -> None:
        """The client sends no more: what it asked for before is still answered, as far as its windows are open."""
        for exchange in self.exchanges:
            if exchange.incoming is not None:  # the rest of this one will never come
                exchange.incoming.fail(ClientDisconnected("the client closed the connection"))
            exchange.window_opened()  # never again: who waits for it need wait no more
        if not self._exchanges:
            self._connection.abort()

    def closed(self) -> None:
        """The connection is gone."""
        self._is_ending = True
        self._forget_rest()
        self.outbox.close()
        for exchange in self.exchanges:
            exchange.lose()
        for rest in list(self.rests.values()):
            rest.leave()

    def expire(self) -> None:
        """The client has sent nothing whole for too long, or nothing at all."""
        if self.engine.is_between and self._exchanges:
            self._ask_for_life()
            return
        self.engine.go_away(Code.NO_ERROR if self.engine.is_between else Code.PROTOCOL_ERROR)
        self._end()

    def _ask_for_life(self) -> None:
        """Requests are in progress and the client has been silent: is it still there (section 6.7)?"""
        if self._is_asked:
            self._connection.abort()
            return
        self._is_asked = True
        self.engine.ping(b"are you?")
        self.flush()
        self._connection.deadline = sweep.now + TICK + self._limits.header_time

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""
        return not self._exchanges

    def drain(self) -> None:
        """The server stops: ask for no new requests, and close when those that were taken are answered (section 6.8).

        What the client sent before it could hear of it is answered too: it has heard when it answers the PING.
        """
        if self._is_ending or self.engine.is_broken or self.engine.has_gone_away:
            return
        self._is_draining = True
        self.engine.announce_going_away()
        self.engine.ping(_LAST_ORDERS)
        self.flush()
        for tunnel in self._tunnels():
            tunnel.drain()

    def end_drain(self) -> None:
        """See :class:`~skitai.hub.connection.Session`: nothing that comes from now on is answered."""
        if not self._is_ending:
            self.engine.go_away()
            self.flush()
            self._go_on()

    def _pong(self, event: PingAcknowledged) -> None:
        if self._is_draining and event.data == _LAST_ORDERS:
            self.engine.go_away()

    def say_goodbye(self) -> None:
        """The server has waited long enough, and breaks the connection off next."""
        for tunnel in self._tunnels():
            tunnel.say_goodbye()

    @property
    def exchanges(self) -> list[Http2Exchange]:
        """Those in progress."""
        return list(self._exchanges.values())

    def _tunnels(self) -> list[Http2Tunnel]:
        return [each.tunnel for each in self._exchanges.values() if each.tunnel is not None]

    # Events

    def _take(self, event: Event) -> None:
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return
        try:
            handler(self, event)
        except Exception as error:
            exchange = self._exchanges.get(getattr(event, "stream", 0))
            if exchange is None:  # it is no matter of one stream
                raise
            faults.report(error, str(exchange.transaction))
            exchange.break_off(error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)

    def _lose(self, event: StreamReset) -> None:
        exchange = self._exchanges.get(event.stream)
        if exchange is not None:
            exchange.lose()
        elif event.stream in self.rests:
            self.rests[event.stream].leave()

    def _receive_trailers(self, event: TrailersReceived) -> None:
        exchange = self._exchanges.get(event.stream)
        if exchange is not None and exchange.incoming is not None:
            exchange.incoming.end(event.fields)
        elif event.stream in self.rests:
            self.rests[event.stream].leave()

    def _begin_refused(self, event: RequestRefused) -> None:
        exchange = self._add(event.stream, event.head)
        if exchange is not None:
            self.refuse(exchange, event.status, event.reason)

    def _say_goodbye(self, event: GoAwayReceived) -> None:
        self.engine.go_away()

    def _add(self, stream: int, head: RequestHead) -> Http2Exchange | None:
        """Return the exchange of a new stream; ``None`` when it is over already, or one too many."""
        if stream not in self.engine.streams or self.engine.is_broken:
            return None
        if len(self._exchanges) >= self._limits.http2_streams:
            self.engine.reset(stream, Code.REFUSED_STREAM)
            return None
        self._exchanges[stream] = exchange = Http2Exchange(self, self._connection, head, stream)
        return exchange

    def _begin(self, event: RequestStarted) -> None:
        exchange = self._add(event.stream, event.head)
        if exchange is None:
            return
        if event.has_ended:
            self._server.dispatch(exchange)
        elif event.head.method != "CONNECT":
            self._begin_body(exchange)
        elif event.head.protocol is not None:
            self._begin_tunnel(exchange, event.head.protocol)
        else:
            self._server.dispatch(exchange)  # what would follow is no body: it is refused at once

    def begin_upgraded(self, head: RequestHead, before: Exchange) -> None:
        """Answer the request that asked for the upgrade on stream 1; its body was read by HTTP/1.1 (``before``)."""
        self.outbox.put(_SWITCHING)
        self.flush()
        exchange = self._add(1, head)
        if exchange is not None:
            exchange.body, exchange.bytes_in, exchange.is_whole = before.body, before.bytes_in, before.is_whole
            self._server.dispatch(exchange)

    def _begin_tunnel(self, exchange: Http2Exchange, protocol: str) -> None:
        """Hand on an extended CONNECT: to an app that speaks its protocol, which may only be WebSocket (RFC 8441)."""
        if protocol.lower() == "websocket":
            exchange.become_upgrade("websocket")
            exchange.incoming = exchange.tunnel = Http2Tunnel(exchange)
            self._server.dispatch_connect(exchange)
        else:
            self._server.answer_soon(exchange, 501, "Of the protocols for CONNECT this server speaks WebSocket.")

    def _begin_body(self, exchange: Http2Exchange) -> None:
        try:
            feeding = self._feeding(exchange)
            # Where the app bounds what it takes, the windows bound what is held of it.
            most = self._server.most_body_bytes(exchange) if feeding is Feeding.WHOLE else sys.maxsize
        except Exception:  # the app's own config may do anything when it is asked
            self._server.logs.app.traceback(tag=str(exchange.transaction))
            self.refuse(exchange, 500, "the settings of the app could not be read")
            return
        length = exchange.head.length
        if length is not None and length > most:
            self.refuse(exchange, 413, f"the request body is larger than {most} bytes")
            return
        exchange.most_body_bytes = most
        exchange.incoming = incoming = Http2Body(exchange, most, feeding is Feeding.AT_ONCE)
        incoming.begin()

    def _feeding(self, exchange: Http2Exchange) -> Feeding:
        feeding = getattr(self._server.route(exchange), "feeding", None)
        return Feeding.WHOLE if feeding is None else feeding(exchange)

    def _receive_body(self, event: BodyReceived) -> None:
        exchange = self._exchanges.get(event.stream)
        incoming = exchange.incoming if exchange is not None else None
        if exchange is None or incoming is None:
            self.engine.acknowledge(event.stream, event.size)
            if event.stream in self.rests:
                self.rests[event.stream].receive(event.size, event.has_ended)
            return
        incoming.receive(event.content, event.size, event.has_ended)

    def _open_window(self, event: WindowOpened) -> None:
        if event.stream:
            exchange = self._exchanges.get(event.stream)
            if exchange is not None:
                exchange.window_opened()
            return
        for exchange in self.exchanges:  # a tunnel may end by it
            exchange.window_opened()

    def _break(self, event: ConnectionBroken) -> None:
        peer = self._connection.peer
        reason = f"{code_name(event.code)}: {event.reason}"
        self._server.complain("HTTP/2 that was ended", f"ended HTTP/2 with {peer[0]}:{peer[1]} by {reason}")
        for exchange in self.exchanges:
            exchange.lose()

    # From exchanges, in any greenlet

    def dispatch(self, exchange: Http2Exchange) -> None:
        """Hand an exchange to its handler; in the hub."""
        self._server.dispatch(exchange)

    def refuse(self, exchange: Http2Exchange, status: int, reason: str) -> None:
        """Answer a request that no app will see."""
        self._server.note_refusal(self._connection.peer, RemoteProtocolError(reason, status))
        self._server.answer_soon(exchange, status, reason)

    def finished(self, exchange: Http2Exchange, code: Code | None = None) -> None:
        """An exchange is over; with a ``code`` its stream is reset."""
        stream = exchange.stream
        self._exchanges.pop(stream, None)
        incoming, exchange.incoming = exchange.incoming, None
        if incoming is not None:
            incoming.drop()
        if code is not None:
            self.engine.reset(stream, code)
        elif stream in self.engine.streams:
            self._leave_rest(exchange)
        if not self._is_corked:
            self.flush()
            self._go_on()

    def _leave_rest(self, exchange: Http2Exchange) -> None:
        """It was answered before all of it came. Wait for the rest where the client stops by itself, or has sent it."""
        stream, length = exchange.stream, exchange.head.length
        is_under_way = length is not None and length - exchange.bytes_in <= self.engine.window_of_peer(stream)
        if exchange.status >= 300 or is_under_way:
            self.rests[stream] = Rest(self, stream)
        else:
            self.stop_rest(stream)

    def stop_rest(self, stream: int) -> None:
        """The response is complete, and the rest of the request is of no use: that is no error (section 8.1)."""
        self.engine.reset(stream, Code.NO_ERROR)
        self.flush()

    def consumed(self, exchange: Http2Exchange, size: int) -> None:
        """Bytes of a request body were taken: the client may send as many again."""
        self.engine.acknowledge(exchange.stream, size)
        self.flush()

    def let_others_go_first(self, exchange: Http2Exchange) -> None:
        """An exchange took all of the connection's window that there was: next time it is asked last."""
        if self._exchanges.pop(exchange.stream, None) is not None:
            self._exchanges[exchange.stream] = exchange

    def stalled(self, exchange: Http2Exchange) -> None:
        """A client has not opened the window of a stream for too long."""
        exchange.lose()
        self.engine.reset(exchange.stream, Code.CANCEL)
        self.flush()

    def promise(self, exchange: Http2Exchange, uri: str) -> None:
        """Push what the client will need, or hint at it where it takes no pushes (section 8.4)."""
        path = push.path_of(exchange, uri)
        if path is None:
            return
        if exchange.is_pushed or not (self.engine.can_push and len(self._exchanges) < self._limits.http2_streams):
            if not exchange.is_pushed:
                exchange.interim(103, [("link", f"<{path}>; rel=preload")])
            return
        try:
            stream, promised = self.engine.push(exchange.stream, push.request_for(exchange, path))
        except LocalProtocolError:
            return  # the client has given the request up, or takes none after all
        pushed = self._add(stream, promised)
        if pushed is not None:
            pushed.is_pushed = True
            get_hub().loop.run_callback(self._server.dispatch, pushed)

    # Writing

    def flush(self) -> None:
        """Hand what there is to the socket; events of one read are answered in one go."""
        if self._is_corked:
            return
        self._unflushed = 0
        data = self.engine.data_to_send()
        if data:
            self.outbox.put(data)

    def flush_some(self, size: int) -> None:
        """``size`` more bytes of a body are ready: send them when they are many, also before the end of a read."""
        self.sent += size
        self._unflushed += size
        if self._unflushed > MOST_JOINED:
            self._unflushed = 0
            data = self.engine.data_to_send()
            if data:
                self.outbox.put(data)

    def wait(self, exchange: Http2Exchange, size: int) -> None:
        """Wait while a lot is unsent, before more is made; ``size`` bytes of ``exchange`` wait meanwhile.

        Raises:
            ClientDisconnected: the client is gone.
        """
        if not self.outbox.is_full:
            if self.outbox.size:
                self.outbox.wait()
            return
        self.unsent.hold(exchange, size)
        try:
            self.outbox.wait(lambda: exchange.is_gone)
        finally:
            self.unsent.let_go(exchange)

    # Ending

    def give_up(self, exchanges: list[Http2Exchange], code: Code) -> None:
        """Reset streams whose client does not take their responses."""
        for exchange in exchanges:
            exchange.lose()
            self.engine.reset(exchange.stream, code)
        self.outbox.wake()
        self.flush()
        peer = self._connection.peer
        text = f"reset {len(exchanges)} streams of {peer[0]}:{peer[1]}, which took no responses, to save memory"
        self._server.complain("HTTP/2 streams that were reset", text)

    def _go_on(self) -> None:
        """Close when there is nothing left to do, and wait for what comes next."""
        if self._is_ending or self._connection.is_closed:
            return
        # Who connected while the server stopped has heard nothing of it: the first answer is the last.
        is_stopping = self._server.is_stopping and self.engine.last and not self._is_draining
        is_over = is_stopping or self.engine.has_gone_away or self._connection.input_ended
        if self.engine.is_broken or (is_over and not self._exchanges):
            self.engine.go_away()
            self._end()
        else:
            self._set_deadline()

    def _end(self) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        self._is_corked = False
        self._forget_rest()
        self.flush()
        for exchange in self.exchanges:
            exchange.lose()
        self._connection.deadline = NEVER  # the outbox has one
        self.outbox.when_empty(self._close)

    def _forget_rest(self) -> None:
        """Nothing more of what came will be looked at."""
        self._events.clear()
        self.engine.has_more = False

    def _close(self) -> None:
        self.outbox.close()
        self._connection.close()

    def _set_deadline(self) -> None:
        connection, limits, engine = self._connection, self._limits, self.engine
        if not engine.has_settings:
            connection.deadline = self._began + TICK + limits.header_time
        elif not engine.is_between:
            # Something has begun. As long as it is the same, its deadline is.
            if engine.progress != self._progress:
                self._progress = engine.progress
                slowest = limits.body_time + MAX_FRAME_SIZE / limits.body_rate
                connection.deadline = sweep.now + TICK + (limits.header_time if engine.is_in_section else slowest)
        elif connection.input_ended:
            connection.deadline = NEVER  # it cannot answer; what it asked for is answered before the end
        elif not self._is_asked:
            connection.deadline = sweep.now + TICK + limits.http2_idle

    def __repr__(self) -> str:
        return f"<Http2Session {len(self._exchanges)} exchanges, {self.outbox!r}>"


_HANDLERS: dict[type, Callable[[Http2Session, Any], None]] = {
    RequestStarted: Http2Session._begin,
    RequestRefused: Http2Session._begin_refused,
    BodyReceived: Http2Session._receive_body,
    TrailersReceived: Http2Session._receive_trailers,
    WindowOpened: Http2Session._open_window,
    StreamReset: Http2Session._lose,
    GoAwayReceived: Http2Session._say_goodbye,
    PingAcknowledged: Http2Session._pong,
    ConnectionBroken: Http2Session._break,
}
