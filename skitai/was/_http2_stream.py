"""One request on a connection of HTTP/2, as a stream in both directions: the seam for the protocols on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gevent.event import Event

from skitai.errors import ConnectionFailed, PeerClosed
from skitai.net import faults
from skitai.net.stream import HIGH_WATER
from skitai.wire.events import ResponseHead
from skitai.wire.fields import Fields
from skitai.wire.http2 import events
from skitai.wire.http2.errors import Code, code_name

if TYPE_CHECKING:
    from skitai.was._http2_connection import Http2Connection


#: Bytes of a body in one frame.
PIECE = 64 * 1024


class NotProcessed(ConnectionFailed):
    """The server says that it has not looked at a request: any method may be sent again (section 8.7).

    Args:
        is_full: it had others of ours in progress, and may take it when one of those has ended.
        is_busy: it has no room although there were none, or wants to be left in peace: not at once.
    """

    def __init__(self, message: str, is_full: bool = False, is_busy: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full
        self.is_busy = is_busy


class Http11Required(NotProcessed):
    """The server wants HTTP/1.1 for a request, or for all (section 7).

    Args:
        may_be_processed: it ended the connection, perhaps because of another request than this one.
    """

    def __init__(self, may_be_processed: bool = False) -> None:
        super().__init__("the server requires HTTP/1.1 for this request")
        self.may_be_processed = may_be_processed


class GivenUp(PeerClosed):
    """The server reset the stream of a request.

    Attributes:
        http2_code: with which it did (section 7).
    """

    def __init__(self, http2_code: int) -> None:
        super().__init__(f"the server gave the request up: {code_name(http2_code)}")
        self.http2_code = http2_code


class StreamUser(Protocol):
    """Who asked for a stream. All of these are called in the hub and must not block.

    After :meth:`ended` or :meth:`failed`, of which one is called once, nothing comes any more. What one of the others
    raises, or :meth:`ended`, ends this stream only: it comes back by :meth:`failed`.
    """

    def head_received(self, head: ResponseHead) -> None:
        """The head of the response, perhaps after interim ones (1xx), which come here as well."""

    def data_received(self, content: bytes, size: int) -> None:
        """A part of the body; call :meth:`Http2Stream.consumed` with ``size`` when there is room for more."""

    def ended(self, trailers: Fields | None) -> None:
        """The response is complete."""

    def failed(self, error: Exception) -> None:
        """There will be no more of it."""


class Http2Stream:
    """Our side of one request. Made by :meth:`Http2Connection.open`.

    Attributes:
        is_open: the response has neither ended nor failed.
    """

    __slots__ = ("_connection", "_held", "_user", "_window", "is_open", "number")

    def __init__(self, connection: Http2Connection, number: int, user: StreamUser) -> None:
        self._connection = connection
        self._user = user
        self._window: Event | None = None
        self._held = 0  # bytes that the user has not consumed
        self.number = number
        self.is_open = True

    def send(self, data: bytes, end: bool = False) -> None:
        """Send a part of the body; the calling greenlet waits for the window and for the socket.

        What is said after the response has ended is dropped: look at :attr:`is_open`.
        """
        view = memoryview(data)
        while True:
            if not self.can_send:
                return
            view = self.send_some(view, end)
            if not view:
                break
            self._wait()
        self._connection.wait_until_drained()

    def send_some(self, view: memoryview, end: bool) -> memoryview:
        """Send as much as goes out at once, and return the rest; never waits."""
        connection = self._connection
        engine = connection.engine
        while self.can_send:
            # Large frames would keep the other requests of the connection waiting.
            room = min(engine.window(self.number), PIECE)
            if view and (room <= 0 or connection.unsent > HIGH_WATER):
                break
            part, view = view[:room], view[room:]
            engine.send_data(self.number, bytes(part), end and not view)
            if not view:
                break
        connection.flush()
        return view

    def finish(self, trailers: Fields | None = None) -> None:
        """End the body; a second call, or one after the response has ended, does nothing."""
        if not self.can_send:
            return
        if trailers:
            self._connection.engine.send_trailers(self.number, trailers)
            self._connection.flush()
        else:
            self.send_some(memoryview(b""), True)

    def consumed(self, size: int) -> None:
        """There is room for ``size`` more bytes of the response; for what is over, saying it again does nothing."""
        size = min(size, self._held)
        if size > 0:
            self._held -= size
            self._connection.engine.acknowledge_stream(self.number, size)
            self._connection.flush()

    def cancel(self, code: Code = Code.CANCEL) -> None:
        """Give the request up; the user is told nothing, and need consume nothing."""
        self.consumed(self._held)
        if self.is_open:
            self.is_open = False
            self.window_opened()
            self._connection.give_up(self, code)

    def poll(self) -> None:
        """Read what is there without waiting for the hub."""
        self._connection.poll()

    @property
    def can_send(self) -> bool:
        """Whether the server may still want the body."""
        return self.is_open and self.number in self._connection.engine.streams

    @property
    def unsent(self) -> int:
        """Bytes of the connection that wait for the server to take them."""
        return self._connection.unsent

    # From the connection

    def window_opened(self) -> None:
        """More may be sent, or the stream is over."""
        if self._window is not None:
            self._window.set()

    def take(self, event: events.Event) -> None:
        """Tell the user what came. Raises nothing."""
        user = self._user
        try:
            if type(event) is events.BodyReceived:
                # Each stream is bounded by its own window: one that nobody reads must not hold the others up.
                self._connection.engine.acknowledge_connection(event.size)
                self._held += event.size
                if event.content:
                    user.data_received(event.content, event.size)
                else:
                    self.consumed(event.size)
                if event.has_ended:
                    self._end(None)
            elif type(event) is events.ResponseStarted:
                user.head_received(event.head)
                if event.has_ended:
                    self._end(None)
            elif type(event) is events.InterimReceived:
                user.head_received(event.head)
            elif type(event) is events.TrailersReceived:
                self._end(event.fields)
        except Exception as error:  # other streams of the connection have nothing to do with it
            faults.escaped(self.take, error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        try:
            self.cancel(Code.INTERNAL_ERROR)
        finally:
            self._user.failed(faults.as_exception(error))

    def fail(self, error: Exception) -> None:
        """Nothing more will come."""
        if self.is_open:
            self.is_open = False
            self.consumed(self._held)
            self.window_opened()
            faults.guarded(self._user.failed, error)

    def _end(self, trailers: Fields | None) -> None:
        if self.is_open:
            self.is_open = False
            self.window_opened()
            self._connection.ended(self)
            self._user.ended(trailers)

    def _wait(self) -> None:
        if self._window is None:
            self._window = Event()
        self._window.clear()
        self._connection.wait_until_drained()
        if self.can_send and self._connection.engine.window(self.number) <= 0:
            self._window.wait()
