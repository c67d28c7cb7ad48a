"""One WebSocket to a server: opening it, and the frames from then on. Whose it is at the time gets its messages."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gevent import get_hub
from gevent.hub import Waiter

from skitai.errors import ConnectionFailed, ConnectTimeout, PeerClosed, RemoteProtocolError, WriteTimeout
from skitai.net import faults
from skitai.net.channel import Channel
from skitai.net.connect import connect
from skitai.net.stream import HIGH_WATER, Stream
from skitai.net.tls import client_context
from skitai.net.turns import current
from skitai.was import _engine, _settings
from skitai.was._http_pool import Origin
from skitai.wire import ws_handshake
from skitai.wire.fields import field_line
from skitai.wire.http1 import ResponseHead, ResponseReader
from skitai.wire.masking import mask
from skitai.wire.outcomes import BodyTooLarge
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_frames import ABNORMAL, TOO_BIG
from skitai.wire.ws_messages import Close, Event, Failure, Ping, Pong

if TYPE_CHECKING:
    from skitai.was._ws_pool import Home

#: Steps of reading (see :meth:`~skitai.wire.ws_reader.MessageReader.receive`) before others have their turn.
MOST_STEPS = 64


class Place(NamedTuple):
    """Where a WebSocket goes: only calls for equal ones may share a connection.

    Attributes:
        target: path and query. authority: value of Host. lines: further header lines. authorization: a header line.
        subprotocols: offered, best first.
    """

    origin: Origin
    target: str
    authority: str
    lines: str
    subprotocols: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Place {self.origin}{mask(self.target)}>"  # not the lines: credentials may be among them


class Refused(ConnectionFailed):
    """The server answered the handshake with another status than 101.

    Args:
        head: of its response.
    """

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(f"the server opens no WebSocket: {head.status} {head.reason}")
        self.head = head


class Owner(Protocol):
    """Who gets what comes. Both are called in the hub mostly and must not block."""

    def took(self, event: str | bytes | Pong) -> None:
        """A message, or a pong."""

    def lost(self, error: Exception, code: int, reason: str) -> None:
        """It is closed, by whoever; called once. ``code`` is 1006 when there was no close frame."""


class WsConnection:
    """See the module. Made by :func:`open_connection`.

    Attributes:
        owner: ``None`` while it is idle. deadline: when it has been idle for too long; moved by who uses it.
        uses: messages that were sent.
    """

    def __init__(self, home: Home, place: Place, channel: Channel) -> None:
        self.home = home
        self.place = place
        self.owner: Owner | None = None
        self.uses = 0
        self.subprotocol: str | None = None
        self.deadline = time.monotonic() + _settings.current.connect_time
        self._key = ws_handshake.new_key()
        self._reader: ResponseReader | None = ResponseReader("GET", _settings.current.limits)
        self._opener: Waiter[Exception | None] | None = None
        self._engine = WebSocket(False, _settings.current.body_bytes)
        self._is_closed = False
        self._is_paused = False  # by its owner
        self._is_behind = False  # not all is looked at that was read
        self._turns = current()
        self._stream = Stream(channel, self)

    # Opening

    def shake_hands(self, authorization: str, deadline: float) -> None:
        """Ask for the WebSocket and wait for the answer; blocks the calling greenlet.

        Raises:
            Refused, ConnectionFailed, RemoteProtocolError: there is none; the connection is closed.
        """
        place = self.place
        ask = ws_handshake.request_lines(self._key, place.subprotocols)
        host = "" if place.lines.startswith("Host:") else field_line("Host", place.authority)
        head = f"GET {place.target} HTTP/1.1\r\n{host}{ask}{place.lines}{authorization}\r\n"
        hub = get_hub()
        self._opener = Waiter(hub)
        timer = hub.loop.timer(max(deadline - time.monotonic(), 0.001))
        timer.start(self._opener.switch, ConnectTimeout(f"{place.origin} opened no WebSocket in time"))
        try:
            self._stream.write(head.encode("latin-1"))
            error = self._opener.get()
        except ConnectionFailed as failure:
            error = failure
        finally:
            timer.close()
            self._opener = None
        if error is not None:
            self.drop()
            raise error

    def _read_head(self, data: bytes) -> None:
        reader = self._reader
        assert reader is not None
        try:
            reader.feed(data)
            head = reader.next()
            if head is None:
                return
            assert isinstance(head, ResponseHead)
            if head.status != 101:
                raise Refused(head)
            opening = ws_handshake.read_response(head, self._key, self.place.subprotocols)
        except Exception as error:  # whoever waits must hear of it
            self._opened(error)
            return
        self.subprotocol = opening.subprotocol
        self._engine = WebSocket(False, _settings.current.body_bytes, opening.agreement)
        self._reader = None
        rest = reader.leftover
        self._opened(None)
        if rest:
            # In the next turn: whoever opened it has made it somebody's own by then.
            get_hub().loop.run_callback(faults.guarded, self.data_received, rest)

    def _opened(self, error: Exception | None) -> None:
        if self._opener is not None:
            opener, self._opener = self._opener, None
            opener.switch(error)

    # Sending

    def is_fit(self) -> bool:
        """Whether it is open and the server has said nothing unasked."""
        return not self._is_closed and self._stream.is_quiet()

    def send(self, content: str | bytes) -> None:
        """Send a message. Raises ConnectionFailed, and nothing was sent then."""
        self._stream.write(self._engine.message(content))
        self.uses += 1

    def send_ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._stream.write(self._engine.ping(payload))

    def send_close(self, code: int, reason: str) -> None:
        """Send our close frame, once."""
        if not self._engine.has_sent_close and not self._stream.is_lost:
            self._stream.write(self._engine.close(code, reason))

    def wait_until_drained(self) -> None:
        """Block the calling greenlet while too much is unsent.

        The connection fails when the server takes nothing for ``idle_time`` meanwhile.
        """
        if self._stream.unsent <= HIGH_WATER:
            return
        wait = _WriteWait(self)
        sweep = _engine.current().sweep
        sweep.watch(wait)
        try:
            self._stream.wait_until_drained()
        finally:
            sweep.forget(wait)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the server to take them."""
        return self._stream.unsent

    def fail(self, error: Exception) -> None:
        """Close at once; the owner is told."""
        self._end(error, ABNORMAL, "")

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        failure = faults.as_exception(error)
        self._opened(failure)
        self._end(failure, ABNORMAL, "")

    def pause(self) -> None:
        """Read no more for now."""
        self._is_paused = True
        self._stream.pause()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._is_behind:
            self._turns.later(self._go_on)
        else:
            self._stream.resume()

    def poll(self) -> None:
        """Read what the hub has not seen."""
        self._stream.poll()

    # Receiving: the two methods of a Receiver

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._reader is not None:
            self._read_head(data)
            return
        if self._is_closed:
            return
        self._take_in(data)
        if self._engine.has_more and not self._is_closed:
            self._is_behind = True
            self._stream.pause()
            self._turns.later(self._go_on)

    def _go_on(self) -> None:
        """Look at more of what was read."""
        if self._is_closed or self._is_paused or not self._is_behind:
            return
        self._take_in(b"")
        if self._engine.has_more:
            self._turns.later(self._go_on)
        else:
            self._is_behind = False
            if not self._is_paused:
                self._stream.resume()

    def _take_in(self, data: bytes, most_steps: int = MOST_STEPS) -> None:
        events = self._engine.receive(data, most_steps)
        for event in events:
            if event.__class__ is str or event.__class__ is bytes or event.__class__ is Pong:
                if self.owner is not None:
                    self.owner.took(event)
                elif event.__class__ is not Pong:
                    self._end(RemoteProtocolError("a message came that nobody had asked for"), ABNORMAL, "")
                    return
            elif event.__class__ is Failure and len(events) > 1:
                # In the next turn: whoever waits for the messages before it can still answer them.
                get_hub().loop.run_callback(faults.guarded, self._control, event)
            else:
                self._control(event)

    def connection_lost(self, error: Exception | None) -> None:
        """There is no more."""
        error = error or PeerClosed("the server closed the connection without a close frame")
        self._opened(error)
        try:
            if self._is_behind and not self._is_closed:
                self._take_in(b"", sys.maxsize)  # what it said before it closed
        finally:
            self._end(error, ABNORMAL, "")

    def _control(self, event: Event) -> None:
        if self._is_closed:
            return
        if event.__class__ is Ping and self._stream.unsent > HIGH_WATER:
            return  # RFC 6455 section 5.5.3: only the last of many needs its pong, and nobody reads them
        reply = self._engine.reply(event)
        if reply and not self._stream.is_lost:
            with suppress(ConnectionFailed):  # the end of the connection is told by itself
                self._stream.write(reply)
        if isinstance(event, Close):
            self._end(PeerClosed(f"the server closed the WebSocket with {event.code} {event.reason}"), *event)
        elif isinstance(event, Failure):
            error: Exception = RemoteProtocolError(event.reason)
            if event.code == TOO_BIG:
                error = BodyTooLarge(event.reason)
            self._end(error, event.code, event.reason)

    # Ending

    def rest(self) -> None:
        """Nobody uses it for now."""
        self.owner = None
        self._stream.keep_loop_alive(False)
        self.deadline = time.monotonic() + _settings.current.keep_time

    def use(self, owner: Owner) -> None:
        """From now on it is somebody's."""
        self.owner = owner
        self._stream.keep_loop_alive(True)

    def expire(self) -> None:
        """It was idle for too long; called by the sweep."""
        if self.owner is None:
            self.close(1000)

    def close(self, code: int, reason: str = "") -> None:
        """Say good bye and close, without waiting for an answer. The owner is not told."""
        self.owner = None
        with suppress(ConnectionFailed):  # it is gone already
            self.send_close(code, reason)
        self._end(PeerClosed("closed"), code, reason)

    def drop(self) -> None:
        """Close at once. The owner is not told."""
        self.owner = None
        self._end(PeerClosed("closed"), ABNORMAL, "")

    def forget_process(self) -> None:
        """After a fork."""
        self._is_closed = True
        self._stream.drop()

    def _end(self, error: Exception, code: int, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        owner, self.owner = self.owner, None
        try:
            self._stream.close()
            self.home.forget(self)
        finally:
            if owner is not None:
                owner.lost(error, code, reason)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "idle" if self.owner is None else "busy"
        return f"<WsConnection {self.place.origin}{mask(self.place.target)} {state}, {self.uses} uses>"


class _WriteWait:
    """The deadline of a greenlet that waits until the server takes what it is sent."""

    __slots__ = ("_connection", "_seconds", "_unsent", "deadline")

    def __init__(self, connection: WsConnection) -> None:
        self._connection = connection
        self._seconds = _settings.current.idle_time
        self._unsent = connection.unsent
        self.deadline = time.monotonic() + self._seconds

    def expire(self) -> None:
        """The sweep calls this."""
        connection = self._connection
        if connection.unsent < self._unsent:
            self._unsent = connection.unsent
            self.deadline = time.monotonic() + self._seconds
        else:
            origin = connection.place.origin
            connection.fail(WriteTimeout(f"{origin} took nothing for {self._seconds:g} seconds"))

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._connection.break_off(error)


def open_connection(home: Home, place: Place, authorization: str, deadline: float) -> WsConnection:
    """Connect and shake hands; blocks the calling greenlet.

    Raises:
        Refused: the server answered otherwise. ConnectionFailed, RemoteProtocolError: there is no connection.
    """
    origin = place.origin
    tls = None
    if origin.scheme == "wss":
        tls = client_context(origin.verify, certificate=origin.cert, ciphers=_settings.current.ciphers)
    channel = connect(origin.host, origin.port, deadline, tls)
    try:
        connection = WsConnection(home, place, channel)
    except BaseException:
        channel.close()
        raise
    try:
        connection.shake_hands(authorization, deadline)
    except BaseException:  # such as a header line that cannot be written
        connection.drop()
        raise
    return connection
