"""The states and windows of a connection, as h2 keeps them, with short ways for what every request does.

h2 makes an object of every frame, of its flags and of the events it causes. For the head of a request, the head of a
response and its body that is most of what they cost, so these three go straight to the states: hello world on 100
streams takes a third of the time. Whatever is not plain goes the way of h2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionInputs, H2Connection
from h2.events import Event
from h2.exceptions import FlowControlError, ProtocolError, StreamClosedError
from h2.settings import SettingCodes
from h2.stream import StreamClosedBy, StreamInputs, StreamState
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame
from hyperframe.frame import Frame as H2Frame

from skitai.wire.http2.coders import Raw, SectionDecoder, SectionEncoder
from skitai.wire.http2.errors import Code, StreamError
from skitai.wire.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    frame_header,
    known_settings,
    serialize,
    settings_payload,
)

_CONFIGS: Final = {
    is_client: H2Configuration(
        client_side=is_client,
        header_encoding=None,
        # heads.py does these, with an error for the stream instead of one for the connection, and at half the cost.
        validate_inbound_headers=False,
        normalize_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    for is_client in (False, True)
}

#: States of a stream in which the peer may send a body.
_TAKING: Final = frozenset({StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL})


class States(H2Connection):
    """See the module.

    Args:
        is_server: our role. most_section_bytes: of a header section of the peer, decoded.
    """

    # Of each stream that has ended h2 remembers how. A connection that lives for days would keep some 6 MB of that.
    MAX_CLOSED_STREAMS = 1_000

    encoder: SectionEncoder
    decoder: SectionDecoder

    def __init__(self, is_server: bool, most_section_bytes: int) -> None:
        super().__init__(_CONFIGS[not is_server])
        self.encoder = SectionEncoder()
        self.decoder = SectionDecoder(most_section_bytes)

    @property
    def open_inbound_streams(self) -> int:
        """h2 would end the connection for one stream too many; the engine counts, and refuses the stream."""
        return 0

    open_outbound_streams = open_inbound_streams

    def retire(self, number: int) -> bool:
        """Forget a stream when it is closed. h2 looks for such ones among all streams whenever one is opened."""
        stream = self.streams.get(number)
        if stream is None or not stream.closed:
            return False
        del self.streams[number]
        self._closed_streams[number] = stream.closed_by
        return True

    def end(self, number: int, code: int) -> None:
        """Reset a stream that is there.

        h2 lets nobody reset one that both sides have ended; but when what ended it is malformed, its sender is told
        (section 8.1.1).
        """
        stream = self.streams.get(number)
        if stream is not None and not stream.closed:
            self.reset_stream(number, code)
        elif stream is not None:
            self._data_to_send += serialize(RST_STREAM, 0, number, code.to_bytes(4, "big"))

    def leave_length(self, number: int) -> None:
        """The engine counts the bytes of a body: h2 would end the connection for one too many."""
        self.streams[number]._expected_content_length = None

    def acknowledge_connection(self, size: int) -> None:
        """Give the window of the connection back what a body took of it; that of the stream stays as it is."""
        increment = self._inbound_flow_control_window_manager.process_bytes(size)
        if increment:
            self._data_to_send += serialize(WINDOW_UPDATE, 0, 0, increment.to_bytes(4, "big"))

    def acknowledge_stream(self, number: int, size: int) -> None:
        """Give the window of a stream back what a body took of it; nothing when it is over."""
        stream = self.streams.get(number)
        if stream is not None and stream.open:
            self._prepare_for_sending(stream.acknowledge_received_data(size))

    def settle(self, frame: Frame) -> Frame:
        """Look at the settings of the peer one after the other, as they count (section 6.5.3): h2 sees the last alone.

        Returns:
            The frame with the last value of each setting that is known.

        Raises:
            h2.exceptions.ProtocolError: a value is not valid.
        """
        if not frame.payload:
            return frame
        last: dict[int, int] = {}
        for number, value in known_settings(frame.payload):
            self.remote_settings.validate_received_setting(number, value)
            if number == SettingCodes.HEADER_TABLE_SIZE:
                self.encoder.header_table_size = value
            last[number] = value
        return frame._replace(data=serialize(SETTINGS, frame.flags, 0, settings_payload(last)))

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[H2Frame], list[Event]]:
        """What h2 finds wrong with a message, such as two lengths or trailers that do not end it, ends its stream only.

        Raises:
            StreamError: the message is malformed (section 8.1.1).
        """
        try:
            return super()._receive_headers_frame(frame)
        except ProtocolError as error:
            # Subclasses are about the state of the stream, and numbers of a server about what it promised.
            if type(error) is not ProtocolError or not frame.stream_id % 2 or frame.stream_id not in self.streams:
                raise
            raise StreamError(Code.PROTOCOL_ERROR, str(error)) from error

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[H2Frame], list[Event]]:
        """Give the window of the connection back for DATA that was under way when we reset its stream.

        h2 would reset the stream once more for each such frame: a peer that sends many small ones would take that for a
        flood, as we do (section 5.1, "closed": frames after a RST_STREAM of ours are ignored).
        """
        frames, events = super()._handle_data_on_closed_stream(events, exc, frame)
        if self._closed_streams.get(exc.stream_id) is StreamClosedBy.SEND_RST_STREAM:  # and not just now, for this DATA
            frames = [each for each in frames if not isinstance(each, RstStreamFrame)]
        return frames, events

    def take_late(self, frame: Frame) -> bool:
        """Take a plain HEADERS or DATA frame of a stream that we have reset: it was under way, and is ignored (section
        5.1, "closed"). Its section still counts for the table, and its bytes for the window of the connection.

        Returns:
            False when it is not as plain as that, or nothing is known of such a reset; nothing was done.
        """
        if self._closed_streams.get(frame.stream) is not StreamClosedBy.SEND_RST_STREAM:
            return False
        if frame.flags & ~END_STREAM != (END_HEADERS if frame.kind == HEADERS else 0):
            return False
        content = frame.data[9:]
        if frame.kind == HEADERS:
            self.decoder.decode(content)
            return True
        manager = self._inbound_flow_control_window_manager
        manager.window_consumed(len(content))
        increment = manager.process_bytes(len(content))
        if increment:
            self._data_to_send += serialize(WINDOW_UPDATE, 0, 0, increment.to_bytes(4, "big"))
        return True

    # Short ways

    def take_request(self, frame: Frame) -> Sequence[Raw] | None:
        """As a server, take a HEADERS frame that opens a stream and is the whole of its header section.

        Returns:
            The fields; ``None`` when it is not as plain as that and nothing was done.
        """
        number = frame.stream
        if frame.flags & ~END_STREAM != END_HEADERS or number <= self.highest_inbound_stream_id or not number % 2:
            return None
        raw = self.decoder.decode(frame.data[9:])
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        machine = self._begin_new_stream(number, AllowedStreamIDs.ODD).state_machine
        machine.process_input(StreamInputs.RECV_HEADERS)
        if frame.flags & END_STREAM:
            machine.process_input(StreamInputs.RECV_END_STREAM)
        return raw

    def take_part(self, frame: Frame) -> bytes | None:
        """Take a DATA frame without padding.

        Returns:
            Its content; ``None`` when its stream can take none, or it is not as plain as that, and nothing was done.

        Raises:
            h2.exceptions.FlowControlError: it is larger than a window of ours.
        """
        stream = self.streams.get(frame.stream)
        if stream is None or frame.flags & ~END_STREAM or stream.state_machine.state not in _TAKING:
            return None
        content = frame.data[9:]
        self._inbound_flow_control_window_manager.window_consumed(len(content))
        stream._inbound_window_manager.window_consumed(len(content))
        if frame.flags & END_STREAM:
            stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
        return content

    def send_section(self, number: int, raw: Sequence[Raw], end: bool) -> None:
        """As a server, send the head of a response, or an interim one.

        Raises:
            h2.exceptions.ProtocolError: the stream cannot send one.
        """
        is_interim = raw[0][1][:1] == b"1"
        machine = self.streams[number].state_machine
        machine.process_input(StreamInputs.SEND_INFORMATIONAL_HEADERS if is_interim else StreamInputs.SEND_HEADERS)
        if end:
            machine.process_input(StreamInputs.SEND_END_STREAM)
        self._put_section(number, raw, end)

    def send_trailers(self, number: int, raw: Sequence[Raw]) -> None:
        """End a body with a trailer section.

        Raises:
            h2.exceptions.ProtocolError: the stream cannot send one.
        """
        machine = self.streams[number].state_machine
        machine.process_input(StreamInputs.SEND_HEADERS)  # the second section: h2 takes it for trailers
        machine.process_input(StreamInputs.SEND_END_STREAM)
        self._put_section(number, raw, True)

    def _put_section(self, number: int, raw: Sequence[Raw], end: bool) -> None:
        section = self.encoder.encode(raw)
        most = self.max_outbound_frame_size
        flags = END_STREAM if end else 0
        if len(section) <= most:
            self._data_to_send += serialize(HEADERS, flags | END_HEADERS, number, section)
            return
        self._data_to_send += serialize(HEADERS, flags, number, section[:most])
        for start in range(most, len(section), most):
            flags = END_HEADERS if start + most >= len(section) else 0
            self._data_to_send += serialize(CONTINUATION, flags, number, section[start : start + most])

    def send_part(self, number: int, data: bytes | memoryview, end: bool) -> None:
        """Send a part of a body.

        Raises:
            h2.exceptions.ProtocolError: the stream cannot send, or not so much.
        """
        stream = self.streams[number]
        size = len(data)
        if size and size > self.room(number):
            raise FlowControlError("more than the peer takes")
        stream.state_machine.process_input(StreamInputs.SEND_DATA)
        if end:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        self._data_to_send += frame_header(size, DATA, END_STREAM if end else 0, number)
        self._data_to_send += data

    def room(self, number: int) -> int:
        """Return how many bytes of a body may go out now in one frame."""
        stream = self.streams.get(number)
        if stream is None:
            return 0
        return min(self.outbound_flow_control_window, stream.outbound_flow_control_window, self.max_outbound_frame_size)

    def has_own_room(self, number: int) -> bool:
        """Whether the peer takes more of a body on this stream, as soon as it does on the connection."""
        stream = self.streams.get(number)
        return stream is not None and stream.outbound_flow_control_window > 0
