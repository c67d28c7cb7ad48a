"""One connection to an HTTP/2 server, which carries many requests at the same time (RFC 9113)."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skitai.errors import ConnectionFailed, LocalProtocolError, PeerClosed, RemoteProtocolError
from skitai.net import faults
from skitai.net.channel import Channel
from skitai.net.stream import Stream
from skitai.was import _settings
from skitai.was._http2_stream import GivenUp, Http2Stream, Http11Required, NotProcessed, StreamUser
from skitai.wire.http2 import events
from skitai.wire.http2.coders import Raw
from skitai.wire.http2.engine import Http2Engine
from skitai.wire.http2.errors import Code, code_name

if TYPE_CHECKING:
    from skitai.was._http_attempt import HttpAttempt
    from skitai.was._http_pool import HttpPool, Origin

#: Streams opened before the server has said how many it takes. Whatever is sent above its limit is refused, or ends
#: the connection; with one, a single call waits for nothing, and of a burst the rest waits for one round trip.
_BEFORE_SETTINGS = 1


class Http2Connection:
    """See the module.

    Args:
        pool: that keeps it. channel: open; the server has agreed to HTTP/2, or is believed to speak it.

    Attributes:
        deadline: when it has been unused for too long.
    """

    __slots__ = (
        "_goodbye", "_is_busy", "_is_late", "_most", "_needs_http11", "_pool", "_since_refusal", "_stream", "_streams",
        "_used", "deadline", "engine",
    )  # fmt: skip

    def __init__(self, pool: HttpPool, channel: Channel) -> None:
        self._pool = pool
        self._streams: dict[int, Http2Stream] = {}
        self._goodbye = False
        self._is_busy = False
        self._is_late = False  # with its SETTINGS
        self._needs_http11 = False
        # What the server is found to take, which may be less than it says: see _was_refused().
        self._most = sys.maxsize
        self._since_refusal = 0
        self._used = 0
        self.engine = Http2Engine(False, _settings.current.limits)
        self.engine.begin()
        self.deadline = time.monotonic() + _settings.current.connect_time
        self._stream = Stream(channel, self)
        pool.engine.sweep.watch(self)
        self.flush()

    # For the pool

    def enter(self) -> None:
        """It was opened: take what waits."""
        self._pool.share(self)

    @property
    def has_room(self) -> bool:
        """Whether one more request can go out."""
        if self._stream.has_ended or self._goodbye or self.engine.is_broken:
            return False
        if not self.engine.has_settings:
            return len(self._streams) < _BEFORE_SETTINGS
        return len(self._streams) < min(self.engine.peer_most_streams, self._most)

    @property
    def is_greeting(self) -> bool:
        """Whether it is soon known how many requests it takes: another connection may not be needed."""
        return not (self.engine.has_settings or self._is_late or self._stream.is_lost)

    @property
    def streams(self) -> int:
        """Requests in progress."""
        return len(self._streams)

    @property
    def origin(self) -> Origin:
        """Of the server."""
        return self._pool.origin

    @property
    def pool(self) -> HttpPool:
        """That keeps it."""
        return self._pool

    @property
    def uses(self) -> int:
        """Requests so far."""
        return self._used

    def is_fit(self) -> bool:
        """Whether one more request can go out, now that what the server said meanwhile is read."""
        if not self._streams:
            self.poll()
        return self.has_room

    def begin(self, attempt: HttpAttempt) -> None:
        """Send ``attempt``.

        Raises:
            ConnectionFailed: the connection is broken, and nothing was sent.
        """
        attempt.begin_http2(self)

    def open(self, user: StreamUser, raw: Sequence[Raw], end: bool, is_head_request: bool = False) -> Http2Stream:
        """Send the head of a request.

        Args:
            user: gets the response. raw: the fields, ``:method`` first. end: there is no body.

        Raises:
            ConnectionFailed: the connection can take no more, and nothing was sent.
        """
        if not self.has_room:
            raise PeerClosed("the connection takes no further requests")
        try:
            number = self.engine.open(raw, end, is_head_request)
        except LocalProtocolError as error:
            self._goodbye = True  # all numbers are used up
            raise PeerClosed(str(error)) from error
        except Exception:
            # The table of the encoder may be another one now than that of the server, who would read nonsense.
            self.retire()
            raise
        self._streams[number] = stream = Http2Stream(self, number, user)
        self._used += 1
        self._stream.keep_loop_alive(True)
        self.flush()
        return stream

    def close(self) -> None:
        """Close it with a goodbye; the pool knows."""
        self._pool.engine.sweep.forget(self)
        if not self._stream.is_lost:
            self.engine.go_away()
            self.flush()
            self._stream.close()

    def drop(self) -> None:
        """Forget it after a fork."""
        self._pool.engine.sweep.forget(self)
        self._stream.drop()

    def retire(self) -> None:
        """Take no further requests; those in progress go on."""
        self._goodbye = True
        self._pool.close_to_others(self)
        if not self._streams and not self._is_busy:
            self._leave()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._lose(faults.as_exception(error))

    def expire(self) -> None:
        """It was unused for too long, or says nothing; called by the sweep."""
        if self.is_greeting:
            self.poll()
        if self.is_greeting and self._streams:  # which have deadlines of their own
            self._is_late = True
            self.deadline = time.monotonic() + _settings.current.keep_time
            self._pool.room_made(self)
            return
        if self._streams:
            self.deadline = time.monotonic() + _settings.current.keep_time
        else:
            self._leave()

    # For streams

    @property
    def unsent(self) -> int:
        """Bytes that wait for the server to take them."""
        return self._stream.unsent

    def wait_until_drained(self) -> None:
        """Block the calling greenlet while too much is unsent."""
        self._stream.wait_until_drained()

    def flush(self) -> None:
        """Send what there is to send."""
        if self._is_busy or self._stream.is_lost:
            return  # what is said inside data_received() goes out in one piece behind it
        data = self.engine.data_to_send()
        if data:
            self._write(data)

    def poll(self) -> None:
        """Read what is there without waiting for the hub."""
        self._stream.poll()

    def give_up(self, stream: Http2Stream, code: Code) -> None:
        """A stream was cancelled."""
        self.engine.reset(stream.number, code)
        self.flush()
        self.ended(stream)

    def ended(self, stream: Http2Stream) -> None:
        """A stream is over: there is room for another."""
        self._streams.pop(stream.number, None)
        self._since_refusal += 1
        if self._since_refusal >= self._most:
            self._most += 1
            self._since_refusal = 0
        if stream.number in self.engine.streams:
            self.engine.reset(stream.number, Code.NO_ERROR)  # answered before it had all of the request
            self.flush()
        if not self._streams:
            self._stream.keep_loop_alive(False)
            if self.engine.has_settings:
                self.deadline = time.monotonic() + _settings.current.keep_time
            # One that said nothing to its first request would say nothing to the next.
            if self._goodbye or (self._is_late and not self.engine.has_settings):
                self._leave()
                return
        if not self._is_busy:
            self._pool.room_made(self)

    # As the receiver of a Stream

    def data_received(self, data: bytes) -> None:
        """Hand on what the server says."""
        self._is_busy = True
        try:
            for event in self.engine.receive(data, time.monotonic()):
                self._take(event)
        except Exception as error:  # a fault of ours must reach whoever waits
            self._is_busy = False
            faults.escaped(self.data_received, error)
        finally:
            self._is_busy = False
        if self._stream.is_lost:
            return
        self.flush()
        if self._goodbye and not self._streams:
            self._leave()
        else:
            self._pool.room_made(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._lose(error or PeerClosed("the server closed the connection before its answer was complete"))

    def _take(self, event: events.Event) -> None:
        if type(event) is events.GoAwayReceived:
            self._say_goodbye(event)
        elif type(event) is events.ConnectionBroken:
            self._break(event)
        elif type(event) is events.WindowOpened:
            for each in [self._streams.get(event.stream)] if event.stream else list(self._streams.values()):
                if each is not None:
                    each.window_opened()
        elif type(event) is events.StreamReset:
            stream = self._streams.pop(event.stream, None)
            if stream is not None:
                stream.fail(self._reset_error(event))
        elif (number := getattr(event, "stream", None)) is not None:
            stream = self._streams.get(number)
            if stream is not None:
                stream.take(event)
            elif type(event) is events.BodyReceived:
                self.engine.acknowledge(event.stream, event.size)

    def _say_goodbye(self, event: events.GoAwayReceived) -> None:
        self._goodbye = True
        self._pool.close_to_others(self)
        first = event.last + 1
        error = NotProcessed(
            f"the server takes no more requests on this connection: {code_name(event.code)}",
            is_busy=event.code == Code.ENHANCE_YOUR_CALM,
        )
        if event.code == Code.HTTP_1_1_REQUIRED:
            self._needs_http11 = True
            self._pool.require_http11()
            # It is the last one that it looked at which it wants otherwise.
            first = event.last
            error = Http11Required()
        for number in [each for each in self._streams if each >= first]:
            self.engine.reset(number, Code.CANCEL)
            self._streams.pop(number).fail(error)

    def _was_refused(self) -> None:
        """A stream was refused: the server takes no more than those that are open, whatever its settings say.

        One more is tried when as many have been answered.
        """
        self._most = max(1, min(self._most, len(self._streams)))
        self._since_refusal = 0

    def _reset_error(self, event: events.StreamReset) -> Exception:
        if event.is_ours:
            return RemoteProtocolError(f"the answer is not valid HTTP/2: {event.reason or code_name(event.code)}")
        if event.code == Code.REFUSED_STREAM:
            self._was_refused()
            is_full = bool(self._streams)
            reason = "the server refused the request before it looked at it"
            return NotProcessed(reason, is_full=is_full, is_busy=not is_full)
        if event.code == Code.HTTP_1_1_REQUIRED:
            self._pool.require_http11()
            return Http11Required()
        return GivenUp(event.code)

    def _break(self, event: events.ConnectionBroken) -> None:
        error: Exception
        if self.engine.has_settings:
            error = RemoteProtocolError(f"the answer is not valid HTTP/2: {event.reason}")
        else:
            error = NotProcessed("the server does not speak HTTP/2")
            self._pool.has_no_http2()
        self._is_busy = False
        self.flush()
        self._lose(error)

    def _lose(self, error: Exception) -> None:
        if not self.engine.has_settings and isinstance(error, PeerClosed):
            self._pool.has_no_http2()
            error = NotProcessed("the server does not speak HTTP/2")
        elif self._needs_http11 and isinstance(error, PeerClosed):
            error = Http11Required(may_be_processed=True)
        self._goodbye = True
        self._pool.close_to_others(self)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(error)  # first, so that a pool to which they go back is not forgotten as empty
        self._leave()

    def _leave(self) -> None:
        self.close()
        self._pool.forget(self)

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except ConnectionFailed:
            self._stream.poll()  # the reading side tells, and what the server said before it closed

    def __repr__(self) -> str:
        return f"<Http2Connection {self._pool.origin} {len(self._streams)} streams, {self._used} uses>"
