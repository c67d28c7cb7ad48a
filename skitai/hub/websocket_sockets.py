"""What an app has of its WebSockets: ``was.websocket``, or ``environ["websocket"]``; one class for each design."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.hub import Waiter

from skitai.hub.inbox import Inbox
from skitai.hub.websocket_session import INBOX
from skitai.wire.ws_frames import BINARY, CLOSE, PING, PONG, TEXT

if TYPE_CHECKING:
    from skitai.hub.rooms import Room
    from skitai.hub.websocket_session import WebSocketSession

Encode = Callable[[Any], str | bytes]


def pack(message: Any, encode: Encode | None, opcode: int | None = None) -> tuple[int, bytes]:
    """Return opcode and payload of a message.

    Args:
        encode: turns an object into text or bytes first; ``None`` takes these as they are.

    Raises:
        TypeError: it is neither text nor bytes.
    """
    if encode is not None:
        message = encode(message)
    if message.__class__ is str:
        return opcode or TEXT, message.encode()
    if isinstance(message, str):
        return opcode or TEXT, str(message).encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        payload = bytes(message)
        if opcode == TEXT:
            payload.decode()  # a text that is no UTF-8 would make the client close
        return opcode or BINARY, payload
    raise TypeError(f"a WebSocket message is str or bytes, not {type(message).__name__}: say how to encode it")


class AppSocket:
    """One WebSocket, of design WS_SIMPLE; the others add to it.

    Attributes:
        client_id: its number. subprotocol: that was agreed on, ``None`` for none.
        encode: turns messages that are sent into text or bytes; ``None`` sends these only.
    """

    __slots__ = ("client_id", "encode", "session", "subprotocol")

    def __init__(self, session: WebSocketSession, client_id: int, subprotocol: str | None) -> None:
        self.session = session
        self.client_id = client_id
        self.subprotocol = subprotocol
        self.encode: Encode | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return not self.session.is_open

    def send(self, message: Any, op_code: int | None = None) -> None:
        """Send a message. Any greenlet or thread may; a greenlet waits while the client takes nothing.

        Args:
            message: str goes as text, bytes as binary; any object when a message encoding was configured.
            op_code: one of ``skitai.WS_OPCODE_*`` in place of that.

        Raises:
            ClientDisconnected: the WebSocket is closed. TypeError: it cannot be sent.
        """
        if op_code in (PING, PONG, CLOSE):
            self._send_control(op_code, pack(message, None)[1])
        else:
            self.session.send(*pack(message, self.encode, op_code))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; nothing happens when it is closed.

        Args:
            code: 1000, or 4000 to 4999 of your own. reason: up to 123 bytes.

        Raises:
            LocalProtocolError: the code must not be sent.
        """
        self.session.close(code, reason)

    def deliver(self, result: Any) -> None:
        """Send what a function returned: a message, or a message and its opcode. Called by the server."""
        opcode = None
        if result.__class__ is tuple and len(result) == 2 and result[1] in (TEXT, BINARY):
            result, opcode = result
        self.session.reply(*pack(result, self.encode, opcode))

    def _send_control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.close(int.from_bytes(payload[:2], "big") if payload else 1000, payload[2:].decode("utf-8", "replace"))
        else:
            self.session.send_ping(payload, is_pong=opcode == PONG)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client_id} {'closed' if self.is_closed else 'open'}>"


class GroupSocket(AppSocket):
    """A client of a room, of design WS_GROUPCHAT."""

    __slots__ = ("room",)

    room: Room  # from the time when it is open

    @property
    def clients(self) -> dict[int, AppSocket]:
        """The clients of the room in this process, by number."""
        return dict(self.room.clients)

    def send(self, message: Any, client_id: int | None = None) -> None:
        """Send a message to all clients of the room, or to one; an unknown one is ignored. Never waits."""
        self._say(message, client_id)

    def deliver(self, result: Any) -> None:
        """Send what a function returned: a message for all, or a message and the number of a client."""
        client_id = None
        if result.__class__ is tuple and len(result) == 2 and isinstance(result[1], int):
            result, client_id = result
            if result is None or result == "":
                return
        self._say(result, client_id)

    def _say(self, message: Any, client_id: int | None) -> None:
        opcode, payload = pack(message, self.encode)
        self.session.run_in_hub_thread(self.room.say, opcode, payload, client_id)


class PulledSocket(AppSocket):
    """A WebSocket whose function pulls its messages, of designs WS_DEDICATE and WEBSOCKET_DEDICATE.

    Attributes:
        decode: turns a message that came into an object. inbox: what was not pulled yet.
    """

    __slots__ = ("_has_ended", "_waiter", "decode", "inbox")

    def __init__(self, session: WebSocketSession, client_id: int, subprotocol: str | None) -> None:
        super().__init__(session, client_id, subprotocol)
        self.inbox = Inbox()
        self.decode: Callable[[str | bytes], Any] | None = None
        self._has_ended = False
        self._waiter: Waiter[None] | None = None

    def getwait(self, timeout: float | None = None) -> Any:
        """Wait for a message and return it, ``None`` when the client has disconnected or the server stops.

        Args:
            timeout: taken and without effect, as it always was: ``None`` means the end and nothing else.
        """
        self._wait()
        if not self.inbox:
            return None
        _, content = self.inbox.take()
        self._go_on()
        return self._decoded(content)

    def getswait(self, timeout: float | None = None) -> list[Any] | None:
        """Wait for messages and return all that came, ``None`` when there will be no more. See :meth:`getwait`."""
        self._wait()
        if not self.inbox:
            return None
        contents = self.inbox.take_all()
        self._go_on()
        return [self._decoded(content) for content in contents]

    # For the server

    def put(self, content: str | bytes) -> None:
        """A message came."""
        self.inbox.put(None, content)
        if self.inbox.is_full:
            self.session.hold(INBOX)
        self._wake()

    def end(self) -> None:
        """No more will come."""
        self._has_ended = True
        self._wake()

    def _wait(self) -> None:
        while not self.inbox and not self._has_ended:
            if not self.session.is_here:
                raise RuntimeError("only greenlets of the server can wait for messages, not other native threads")
            if self._waiter is not None:
                raise RuntimeError("another greenlet waits for the messages of this WebSocket")
            self._waiter = Waiter(get_hub())
            try:
                self._waiter.get()
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            get_hub().loop.run_callback(_switch, self._waiter)

    def _go_on(self) -> None:
        if not self.inbox.is_full:
            self.session.let_go(INBOX)

    def _decoded(self, content: str | bytes) -> Any:
        return content if self.decode is None else self.decode(content)


def _switch(waiter: Waiter[None]) -> None:
    # Woken twice within one turn, the greenlet may have gone on already.
    if waiter.greenlet is not None:
        waiter.switch(None)
