"""One end of a WebSocket (RFC 6455, with RFC 7692), server or client: bytes in, events out, frames to send.

    for event in socket.receive(data):      # str, bytes, Ping, Pong, Close or Failure
        reply = socket.reply(event)         # what the protocol wants sent back, b"" for most
    data = socket.message("hello")

The handshake comes before: :mod:`skitai.wire.ws_handshake`.
"""

from __future__ import annotations

from typing import Final

from skitai.errors import LocalProtocolError
from skitai.wire.ws_deflate import LEAST_BITS, Agreement, Deflater
from skitai.wire.ws_frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    FIN,
    MOST_OF_CONTROL,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame,
)
from skitai.wire.ws_messages import Close, Event, Failure, Ping
from skitai.wire.ws_reader import MessageReader

#: Bytes from which a message is compressed. Below, the other end would do more work than the wire.
COMPRESS_FROM: Final = 1024


class WebSocket:
    """See the module.

    Args:
        is_server: our role. most_bytes: of a message that we take. agreement: on compression, ``None`` goes without.
    """

    __slots__ = ("_deflater", "_is_client", "_reader", "has_sent_close", "receive")

    def __init__(self, is_server: bool, most_bytes: int, agreement: Agreement | None = None) -> None:
        self._is_client = not is_server
        self._reader = MessageReader(is_server, most_bytes, agreement)
        can_deflate = agreement is not None and agreement.our_bits >= LEAST_BITS
        self._deflater = Deflater(agreement) if agreement is not None and can_deflate else None
        #: No message may follow.
        self.has_sent_close = False
        #: See :meth:`MessageReader.receive`.
        self.receive = self._reader.receive

    @property
    def has_more(self) -> bool:
        """See :class:`MessageReader`."""
        return self._reader.has_more

    @property
    def steps_left(self) -> int:
        """See :class:`MessageReader`."""
        return self._reader.steps_left

    @property
    def coding(self) -> int:
        """Equal for servers whose :meth:`message` gives the same frame for the same content."""
        return 0 if self._deflater is None else self._deflater.bits

    def message(self, content: str | bytes) -> bytes:
        """Return the frame of a message: a str goes as text, bytes as binary.

        Raises:
            LocalProtocolError: the close frame was sent. UnicodeEncodeError: the text has half a surrogate pair.
        """
        if content.__class__ is str:
            return self.data_frame(TEXT, content.encode())
        return self.data_frame(BINARY, content)  # type: ignore[arg-type]

    def data_frame(self, opcode: int, payload: bytes) -> bytes:
        """Return the frame of a message; a payload for TEXT must be UTF-8."""
        if self.has_sent_close:
            raise LocalProtocolError("the WebSocket is closed: nothing can be sent any more")
        first = FIN | opcode
        if self._deflater is not None and len(payload) >= COMPRESS_FROM:
            compressed = self._deflater.deflate(payload)
            if len(compressed) < len(payload):
                return frame(first | COMPRESSED, compressed, self._is_client)
        return frame(first, payload, self._is_client)

    def ping(self, payload: bytes = b"") -> bytes:
        """Return a ping with at most 125 bytes.

        Raises:
            LocalProtocolError: the close frame was sent, or the payload is too long.
        """
        return self._control(PING, payload)

    def pong(self, payload: bytes = b"") -> bytes:
        """Return a pong; see :meth:`ping`. Pings are answered by :meth:`reply`."""
        return self._control(PONG, payload)

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """Return our close frame, ``b""`` when it was sent already.

        Raises:
            LocalProtocolError: the code must not be sent.
        """
        if self.has_sent_close:
            return b""
        data = frame(FIN | CLOSE, close_payload(code, reason), self._is_client)
        self.has_sent_close = True
        return data

    def reply(self, event: Event) -> bytes:
        """Return what must be sent for an event: a pong, or a close frame; ``b""`` for others and after our close."""
        if self.has_sent_close:
            return b""
        if event.__class__ is Ping:
            return frame(FIN | PONG, event.payload, self._is_client)
        if isinstance(event, (Close, Failure)):
            # Section 5.5.1: the same code; a close frame without one is answered by one without.
            return self.close(event.code, event.reason if isinstance(event, Failure) else "")
        return b""

    def _control(self, opcode: int, payload: bytes) -> bytes:
        if self.has_sent_close:
            raise LocalProtocolError("the WebSocket is closed: nothing can be sent any more")
        if len(payload) > MOST_OF_CONTROL:
            raise LocalProtocolError(f"a control frame carries at most {MOST_OF_CONTROL} bytes")
        return frame(FIN | opcode, payload, self._is_client)

    def __repr__(self) -> str:
        role = "client" if self._is_client else "server"
        return f"<WebSocket {role} {'closing' if self.has_sent_close else 'open'}>"
