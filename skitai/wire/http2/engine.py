"""One HTTP/2 connection, as server or as client.

    engine = Http2Engine(is_server=True, limits=limits)
    engine.begin()
    for event in engine.receive(data, now): ...
    engine.send_head(stream, raw, end=False); engine.send_data(stream, data, end=True)
    socket.send(engine.data_to_send())

The library h2 keeps states and windows. What it leaves to do is done here: a malformed message ends its stream and not
the connection (RFC 9113 section 8.1.1), a stream too many is refused (5.1.2), a WINDOW_UPDATE of 0 ends its stream
(6.9), and streams go on after a GOAWAY of either side (6.8).
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from h2 import events as h2_events
from h2.exceptions import ProtocolError as H2Error
from h2.settings import SettingCodes, Settings

from skitai.errors import LocalProtocolError
from skitai.settings import Limits
from skitai.wire.events import RequestHead
from skitai.wire.fields import Fields
from skitai.wire.http2 import frames
from skitai.wire.http2.caps import Caps
from skitai.wire.http2.coders import Raw
from skitai.wire.http2.errors import BrokenConnection, Code, StreamError
from skitai.wire.http2.events import (
    BodyReceived,
    ConnectionBroken,
    Event,
    GoAwayReceived,
    InterimReceived,
    PingAcknowledged,
    RequestRefused,
    RequestStarted,
    ResponseStarted,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
    WindowOpened,
)
from skitai.wire.http2.frames import Frame, FrameReader
from skitai.wire.http2.heads import Refused, Requests, content_length, response_head, trailer_fields, trailer_section
from skitai.wire.http2.states import States

#: Bytes of one body, and of all bodies of a connection, that the peer may send before they are consumed.
STREAM_WINDOW: Final = 256 * 1024
CONNECTION_WINDOW: Final = 2 * 1024 * 1024
#: How much larger than its limit a header section may be to get an answer (431) instead of the end of the connection.
HEADER_SLACK: Final = 4
#: Bytes of a body below which a DATA frame that fills the window earns no WINDOW_UPDATE.
SMALL_PART: Final = 256

_OF_MESSAGES: Final = frozenset({frames.HEADERS, frames.DATA})


class _Stream:
    """What the engine knows of a stream besides."""

    __slots__ = ("has_head", "is_head_request", "left")

    def __init__(self, is_head_request: bool = False) -> None:
        self.has_head = False
        self.is_head_request = is_head_request
        self.left: int | None = None  # bytes of the body that are to come, by its Content-Length


class Http2Engine:
    """See the module.

    Args:
        is_server: our role. limits: of header sections.
        has_connect_protocol: offer extended CONNECT (RFC 8441), as a server.
        most_streams: that a client may have open at one time, as a server; ``None`` takes the limit.

    Attributes:
        streams: that are open, by number.
        last: number of the highest stream that the peer opened and we took.
        is_broken: a rule was broken; there is nothing more to do than to send :meth:`data_to_send` and close.
        held: requests that are still worked on, also those whose stream is over, to be set by whoever works on them:
            as long as they are as many as streams may be open, further ones are refused.
        has_more: there may be frames that :meth:`receive` has not looked at.
    """

    def __init__(
        self,
        is_server: bool,
        limits: Limits,
        has_connect_protocol: bool = False,
        most_streams: int | None = None,
    ) -> None:
        self._is_server = is_server
        self._limits = limits
        self._most_streams = most_streams or limits.http2_streams
        self._reader = FrameReader(is_server, limits.header_bytes * HEADER_SLACK)
        self._caps = Caps()
        self._requests = Requests(limits, has_connect_protocol)
        self._h2 = h2 = States(is_server, limits.header_bytes * HEADER_SLACK)
        h2.local_settings = _local_settings(
            is_server, limits.header_bytes, self._most_streams, has_connect_protocol
        )
        self._out = b""
        self._limit: int | None = None  # the last stream of a GOAWAY that we sent
        self.streams: dict[int, _Stream] = {}
        self.last = 0
        self.held = 0
        self.has_more = False
        self.is_broken = False

    # Beginning

    def begin(self) -> None:
        """Say what comes first."""
        self._h2.initiate_connection()
        self._has_begun()

    def begin_upgraded(self, settings: str, head: RequestHead) -> None:
        """As a server: go on from a whole HTTP/1.1 request, which becomes stream 1 (RFC 7540 section 3.2).

        Args:
            settings: value of its HTTP2-Settings. head: of the request.

        Raises:
            ValueError: the settings are not valid; nothing has begun.
        """
        payload = _decode_settings(settings)
        probe = States(True, 0)
        try:
            probe.initiate_upgrade_connection(base64.urlsafe_b64encode(payload))
        except H2Error as error:
            raise ValueError(str(error)) from error
        self._h2.initiate_upgrade_connection(base64.urlsafe_b64encode(payload))
        self._has_begun()
        self.streams[1] = _Stream(head.method == "HEAD")
        self.last = 1

    def _has_begun(self) -> None:
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65_535)
        if self._is_server:
            self._h2.receive_data(frames.PREFACE)  # that of the client is for the reader of frames

    # Receiving

    @property
    def is_between(self) -> bool:
        """Whether the peer has sent what comes first, and nothing that has begun and not ended."""
        return self._reader.is_between and self._reader.has_settings

    @property
    def is_in_section(self) -> bool:
        """Whether a header section has begun and not ended."""
        return self._reader.is_in_section

    @property
    def progress(self) -> int:
        """A number that grows with every frame and every whole header section of the peer."""
        return self._reader.progress

    @property
    def has_settings(self) -> bool:
        """Whether the peer has sent what comes first."""
        return self._reader.has_settings

    def receive(self, data: bytes, now: float, most: int = sys.maxsize) -> list[Event]:
        """Take bytes that came at monotonic second ``now``, and return what they mean.

        Args:
            most: frames that are looked at; when :attr:`has_more` is set behind it, call this again without bytes.
        """
        events: list[Event] = []
        self.has_more = False
        if self.is_broken:
            return events
        try:
            self._reader.feed(data)
            while most:
                frame = self._reader.next()
                if frame is None:
                    break
                most -= 1
                if frame.kind != frames.RST_STREAM or frame.stream not in self.streams:
                    self._caps.count(frame, now)  # as a reset of an open stream it is counted by what it ends
                self._take(frame, events, now)
            self.has_more = not most
        except BrokenConnection as error:
            self.is_broken = True
            self._out += self._h2.data_to_send()
            goodbye = frames.goaway(self.last, error.code)
            if self._out[-len(goodbye) :][:9] == goodbye[:9]:  # h2 has said it already, with its own last stream
                self._out = self._out[: -len(goodbye)]
            self._out += goodbye
            events.append(ConnectionBroken(error.code, str(error)))
        return events

    def _take(self, frame: Frame, events: list[Event], now: float) -> None:
        kind = frame.kind
        if kind > frames.CONTINUATION:
            return  # of an extension: ignored (section 4.1)
        if kind == frames.GOAWAY:
            # h2 would take it for the end, and the streams below its number are still to be answered.
            payload = frame.payload
            last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            events.append(GoAwayReceived(last, int.from_bytes(payload[4:8], "big")))
            return
        if kind == frames.WINDOW_UPDATE and frame.stream in self.streams and not any(frame.payload[-4:]):
            error = StreamError(Code.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0")
            self._end_stream(frame.stream, error, events, now)
            return
        if kind == frames.RST_STREAM and frame.stream not in self.streams:
            if self._was_open(frame.stream):
                return  # it ended before the peer knew (section 5.1, "closed"); h2 would end the connection
            raise BrokenConnection(Code.PROTOCOL_ERROR, "RST_STREAM for a stream that was never opened")
        if kind == frames.HEADERS and not self._is_server and frame.stream % 2 == 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a server opened a stream that it had not promised")
        try:
            if kind == frames.SETTINGS:
                frame = self._h2.settle(frame)
            if kind == frames.HEADERS and self._is_server:
                raw = self._h2.take_request(frame)
                if raw is not None:
                    self._begin_request(frame.stream, raw, bool(frame.flags & frames.END_STREAM), events, now)
                    return
            if kind == frames.DATA and frame.stream in self.streams and self.streams[frame.stream].has_head:
                content = self._h2.take_part(frame)
                if content is not None:
                    has_ended = bool(frame.flags & frames.END_STREAM)
                    self._receive_part(frame.stream, content, len(content), has_ended, events, now)
                    if has_ended:
                        self._retire(frame.stream)
                    return
            if kind in _OF_MESSAGES and frame.stream not in self.streams and self._was_open(frame.stream):
                if self._h2.take_late(frame):
                    return
                self._caps.count_reset(now)  # h2 answers each of them by RST_STREAM
            for event in self._h2.receive_data(frame.data):
                handler = _HANDLERS.get(type(event))
                if handler is not None:
                    handler(self, event, events, now)
        except StreamError as error:
            self._end_malformed(frame.stream, error, events, now)
            return
        except H2Error as error:
            raise BrokenConnection(_code_of(error), str(error)) from error
        # Of a section in many frames the first one says whether it ends the stream.
        if frame.stream and (kind in (frames.RST_STREAM, frames.CONTINUATION) or frame.flags & frames.END_STREAM):
            self._retire(frame.stream)

    def _was_open(self, number: int) -> bool:
        is_peers = (number % 2 == 1) == self._is_server
        return number <= (self._h2.highest_inbound_stream_id if is_peers else self._h2.highest_outbound_stream_id)

    def _end_stream(self, number: int, error: StreamError, events: list[Event], now: float) -> None:
        """The peer broke a rule on one stream."""
        self.reset(number, error.code)
        events.append(StreamReset(number, error.code, True, str(error)))
        self._caps.count_reset(now)

    def _end_malformed(self, number: int, error: StreamError, events: list[Event], now: float) -> None:
        """h2 could make nothing of a header section; a request that begins with it has no stream here yet."""
        if number not in self.streams:
            self.streams[number] = _Stream()
        self._end_stream(number, error, events, now)

    def _on_request(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.RequestReceived)
        self._begin_request(event.stream_id, event.headers, event.stream_ended is not None, events, now)

    def _begin_request(self, number: int, raw: Sequence[Raw], has_ended: bool, events: list[Event], now: float) -> None:
        if max(len(self.streams), self.held) >= self._most_streams or self._limit is not None:
            self._h2.reset_stream(number, Code.REFUSED_STREAM)
            self._h2.retire(number)
            self._caps.count_reset(now)
            return
        self.last = number
        self.streams[number] = stream = _Stream()
        stream.has_head = True
        try:
            head = self._requests.head(raw)
            self._expect(number, stream, head.length, has_ended)
        except Refused as refused:
            events.append(RequestRefused(number, refused.head, refused.status, str(refused), has_ended))
            return
        except StreamError as error:
            self._end_stream(number, error, events, now)
            return
        stream.is_head_request = head.method == "HEAD"
        events.append(RequestStarted(number, head, has_ended))

    def _expect(self, number: int, stream: _Stream, length: int | None, has_ended: bool) -> None:
        if has_ended:
            if length:
                raise _wrong_length()
            return
        self._h2.leave_length(number)
        stream.left = length

    def _on_interim(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.InformationalResponseReceived)
        try:
            head = response_head(event.headers, self._limits.header_count)
        except StreamError as error:
            self._end_stream(event.stream_id, error, events, now)
            return
        events.append(InterimReceived(event.stream_id, head))

    def _on_response(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.ResponseReceived)
        number, has_ended = event.stream_id, event.stream_ended is not None
        stream = self.streams.get(number)
        if stream is None:
            return
        raw: Sequence[Raw] = event.headers
        try:
            head = response_head(raw, self._limits.header_count)
            has_no_body = stream.is_head_request or head.status in (204, 304)
            self._expect(number, stream, 0 if has_no_body else content_length(raw), has_ended)
        except StreamError as error:
            self._end_stream(number, error, events, now)
            return
        stream.has_head = True
        events.append(ResponseStarted(number, head, has_ended))

    def _on_trailers(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.TrailersReceived)
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        try:
            fields = trailer_fields(event.headers, self._limits.header_count)
            if stream.left:
                raise _wrong_length()
        except StreamError as error:
            self._end_stream(event.stream_id, error, events, now)
            return
        events.append(TrailersReceived(event.stream_id, fields))

    def _on_data(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.DataReceived)
        size, has_ended = event.flow_controlled_length, event.stream_ended is not None
        self._receive_part(event.stream_id, event.data, size, has_ended, events, now)

    def _receive_part(
        self, number: int, content: bytes, size: int, has_ended: bool, events: list[Event], now: float
    ) -> None:
        stream = self.streams.get(number)
        if stream is None:
            self.acknowledge(number, size)
            return
        if stream.left is not None:
            stream.left -= len(content)
            if stream.left < 0 or (has_ended and stream.left):
                self.acknowledge(number, size)
                self._end_stream(number, _wrong_length(), events, now)
                return
        if not content and not has_ended:
            self.acknowledge(number, size)
            return
        events.append(BodyReceived(number, content, size, has_ended))

    def _on_reset(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.StreamReset)
        self._h2.retire(event.stream_id)
        if self.streams.pop(event.stream_id, None) is None:
            return
        events.append(StreamReset(event.stream_id, int(event.error_code), not event.remote_reset))
        if self._is_server:
            self._caps.count_reset(now)

    def _on_window(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.WindowUpdated)
        events.append(WindowOpened(event.stream_id or 0))

    def _on_settings(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        events.append(SettingsReceived())
        events.append(WindowOpened(0))  # section 6.9.2: the windows of all streams may have changed

    def _on_ping_ack(self, event: h2_events.Event, events: list[Event], now: float) -> None:
        assert isinstance(event, h2_events.PingAckReceived)
        events.append(PingAcknowledged(event.ping_data))

    # Sending

    def data_to_send(self) -> bytes:
        """Return the bytes for the peer; they are forgotten here."""
        data, self._out = self._out + self._h2.data_to_send(), b""
        return data

    def open(self, raw: Sequence[Raw], end: bool, is_head_request: bool = False) -> int:
        """As a client: send the head of a request on a new stream, and return its number.

        Raises:
            LocalProtocolError: there are no numbers left on this connection.
        """
        try:
            number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(number, raw, end_stream=end)
        except H2Error as error:
            raise LocalProtocolError(str(error)) from error
        self.streams[number] = _Stream(is_head_request)
        return number

    def send_head(self, number: int, raw: Sequence[Raw], end: bool) -> None:
        """As a server: send the head of a response, or an interim one (1xx). ``raw`` begins with ``:status``.

        Raises:
            LocalProtocolError: the stream cannot send one.
        """
        self._check(number)
        try:
            self._h2.send_section(number, raw, end)
        except H2Error as error:
            raise LocalProtocolError(str(error)) from error
        if end:
            self._retire(number)

    def send_data(self, number: int, data: bytes | memoryview, end: bool) -> None:
        """Send a part of a body, of at most :meth:`window` bytes.

        Raises:
            LocalProtocolError: it is larger, or the stream cannot send.
        """
        self._check(number)
        try:
            self._h2.send_part(number, data, end)
        except H2Error as error:
            raise LocalProtocolError(str(error)) from error
        # What is so small because the window is earns nothing, or a window could be opened by a byte without an end.
        if end or len(data) >= SMALL_PART or self._h2.room(number) > 0:
            self._caps.sent_data()
        if end:
            self._retire(number)

    def send_trailers(self, number: int, fields: Fields) -> None:
        """End a body with a trailer section.

        Raises:
            LocalProtocolError: a field is not valid, or the stream cannot send.
        """
        self._check(number)
        try:
            self._h2.send_trailers(number, trailer_section(tuple(fields)))
        except H2Error as error:
            raise LocalProtocolError(str(error)) from error
        self._retire(number)

    def _check(self, number: int) -> None:
        if number not in self.streams or self.is_broken:
            raise LocalProtocolError(f"stream {number} is closed")

    def window(self, number: int) -> int:
        """Return how many bytes of a body may go out now in one frame; 0 or less: wait for WindowOpened."""
        return self._h2.room(number)

    def window_of_peer(self, number: int) -> int:
        """Return how many bytes of a body may come before more of it is acknowledged; the stream is open."""
        return int(self._h2.remote_flow_control_window(number))

    def has_own_window(self, number: int) -> bool:
        """Whether the window of a stream itself is open, whatever that of the connection is."""
        return self._h2.has_own_room(number)

    def acknowledge(self, number: int, size: int) -> None:
        """A part of a body was consumed: the peer may send as much again."""
        if size and not self.is_broken:
            self._h2.acknowledge_received_data(size, number)

    def acknowledge_connection(self, size: int) -> None:
        """A part of a body was taken from the connection, though perhaps nobody has consumed it.

        For a receiver whose streams are bounded each by its own window: one that nobody reads must not hold the others
        up (section 5.2.2). The rest is for :meth:`acknowledge_stream`.
        """
        if size and not self.is_broken:
            self._h2.acknowledge_connection(size)

    def acknowledge_stream(self, number: int, size: int) -> None:
        """A part of a body was consumed that :meth:`acknowledge_connection` was told of."""
        if size and not self.is_broken:
            self._h2.acknowledge_stream(number, size)

    def reset(self, number: int, code: Code) -> None:
        """End a stream before its time; nothing when it has ended."""
        if self.streams.pop(number, None) is None or self.is_broken:
            return
        self._h2.end(number, code)
        self._h2.retire(number)

    def ping(self, data: bytes) -> None:
        """Send a PING of eight bytes."""
        self._h2.ping(data)

    def go_away(self, code: Code = Code.NO_ERROR) -> None:
        """Take no new streams from the peer; those that are open go on (section 6.8)."""
        if self._limit is None and not self.is_broken:
            self._out += self._h2.data_to_send()
            self._limit = self.last
            self._out += frames.goaway(self.last, code)

    def announce_going_away(self) -> None:
        """Ask the peer to open no new streams soon, and take those that are on their way (section 6.8).

        :meth:`go_away` follows when the peer has heard of it, one round trip later.
        """
        if self._limit is None and not self.is_broken:
            self._out += self._h2.data_to_send()
            self._out += frames.goaway(frames.MAX_STREAM, Code.NO_ERROR)

    @property
    def has_gone_away(self) -> bool:
        """Whether :meth:`go_away` was called."""
        return self._limit is not None

    # Pushing (section 8.4)

    @property
    def can_push(self) -> bool:
        """Whether the peer takes pushed responses, and one more of them."""
        h2 = self._h2
        pushed = sum([number % 2 == 0 for number in self.streams])
        return bool(
            self._is_server
            and h2.remote_settings.enable_push
            and pushed < h2.remote_settings.max_concurrent_streams
            and self._limit is None
            and not self.is_broken
        )

    def push(self, number: int, raw: Sequence[Raw]) -> tuple[int, RequestHead]:
        """Promise a response to a request that the client did not send, and return its stream and head.

        Args:
            number: of the stream that it belongs to. raw: the request.

        Raises:
            LocalProtocolError: the peer takes none, or that stream has ended.
        """
        try:
            head = self._requests.head(raw)
            promised = self._h2.get_next_available_stream_id()
            self._h2.push_stream(number, promised, raw)
        except (H2Error, StreamError, Refused) as error:
            raise LocalProtocolError(str(error)) from error
        self.streams[promised] = _Stream(head.method == "HEAD")
        return promised, head

    # Settings of the peer

    @property
    def peer_most_streams(self) -> int:
        """Streams that the peer takes at one time."""
        return int(self._h2.remote_settings.max_concurrent_streams)

    @property
    def peer_has_connect_protocol(self) -> bool:
        """Whether the peer offers extended CONNECT (RFC 8441)."""
        return bool(self._h2.remote_settings.enable_connect_protocol)

    def _retire(self, number: int) -> None:
        if self._h2.retire(number):
            self.streams.pop(number, None)

    def __repr__(self) -> str:
        role = "server" if self._is_server else "client"
        return f"<Http2Engine {role} {len(self.streams)} streams{' broken' if self.is_broken else ''}>"


#: By the events of h2.
_HANDLERS: Final[dict[type, Callable[[Http2Engine, h2_events.Event, list[Event], float], None]]] = {
    h2_events.RequestReceived: Http2Engine._on_request,
    h2_events.InformationalResponseReceived: Http2Engine._on_interim,
    h2_events.ResponseReceived: Http2Engine._on_response,
    h2_events.TrailersReceived: Http2Engine._on_trailers,
    h2_events.DataReceived: Http2Engine._on_data,
    h2_events.StreamReset: Http2Engine._on_reset,
    h2_events.WindowUpdated: Http2Engine._on_window,
    h2_events.RemoteSettingsChanged: Http2Engine._on_settings,
    h2_events.PingAckReceived: Http2Engine._on_ping_ack,
}


@lru_cache(maxsize=64)
def _local_settings(is_server: bool, header_bytes: int, most_streams: int, has_connect_protocol: bool) -> Settings:
    """Return our settings, one object for all connections that have the same: they never change, and take 5 KB."""
    values = {SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW, SettingCodes.MAX_HEADER_LIST_SIZE: header_bytes}
    if is_server:
        values[SettingCodes.MAX_CONCURRENT_STREAMS] = most_streams
        if has_connect_protocol:
            values[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
    else:
        values[SettingCodes.ENABLE_PUSH] = 0
    return Settings(client=not is_server, initial_values=values)


def _wrong_length() -> StreamError:
    return StreamError(Code.PROTOCOL_ERROR, "the body is not as long as its Content-Length says")


def _code_of(error: H2Error) -> Code:
    return Code(int(getattr(error, "error_code", Code.PROTOCOL_ERROR)))


def _decode_settings(value: str) -> bytes:
    """Return the payload of a SETTINGS frame that came as HTTP2-Settings: base64url without its padding."""
    try:
        payload = base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("HTTP2-Settings is no base64url") from error
    if len(payload) % 6:
        raise ValueError("HTTP2-Settings is not the payload of a SETTINGS frame")
    return frames.settings_payload(dict(frames.known_settings(payload)))
