"""What libraries for WebSockets look for in an environ, so that apps made of them run unmodified.

``gunicorn.socket`` is what simple-websocket takes (Flask-Sock, Flask-SocketIO, Socket.IO): a socket on which it speaks
HTTP/1.1 and WebSocket itself. ``wsgi.websocket`` is the WebSocket of gevent-websocket, opened when it is first used.
Neither costs anything, nor changes what becomes of the request, before an app uses it.
"""

from __future__ import annotations

import _socket
import re
import socket
import sys
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import gevent.socket
from gevent.lock import BoundedSemaphore

from skitai.errors import ClientDisconnected, LocalProtocolError
from skitai.hub.pages import HTML, error_page
from skitai.hub.websocket_bridge import Bridge
from skitai.hub.websocket_configuration import KEEP_ALIVE
from skitai.hub.websocket_obituary import Obituary
from skitai.hub.websocket_session import WebSocketSession
from skitai.hub.websocket_sockets import PulledSocket
from skitai.wire import ws_handshake
from skitai.wire.fields import Fields
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_handshake import Offer, Refusal

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.server import Server

SOCKET: Final = "gunicorn.socket"
WEBSOCKET: Final = "wsgi.websocket"

#: Bytes of the response that an app sends on its socket before its WebSocket is open, and of a body that refuses.
_MOST: Final = 64 * 1024
#: Seconds of silence after which the client of a ``wsgi.websocket`` is sent a ping.
_PING: Final = 25.0
_status_line = re.compile(rb"HTTP/1\.1 ([2-5]\d\d|101)(?: [^\r\n]*)?").fullmatch
#: Fields of this hop alone: a stream of HTTP/2 has none of them (RFC 9113 section 8.2.2, RFC 8441 section 5).
_HOP: Final = {"connection", "keep-alive", "sec-websocket-accept", "transfer-encoding", "upgrade"}


class Offers:
    """What one request offers; the app takes one of it, or nothing.

    Args:
        server: that it came to. exchange, offer: of the request. environ: of the call.
        on_taken: called when the app takes something: its call lasts as long as its WebSocket from then on.

    Attributes:
        is_taken: whether it has.
    """

    def __init__(
        self,
        server: Server,
        exchange: Exchange,
        offer: Offer,
        environ: MutableMapping[str, Any],
        on_taken: Callable[[], None],
    ) -> None:
        self.server = server
        self.exchange = exchange
        self.offer = offer
        self._on_taken = on_taken
        self._taken_by: object = None
        self._socket = OfferedSocket(self)
        self._websocket = OfferedWebSocket(self, environ)

    def put_into(self, environ: MutableMapping[str, Any]) -> None:
        """Let the app find them."""
        environ[SOCKET] = self._socket
        environ[WEBSOCKET] = self._websocket

    @staticmethod
    def take_out_of(environ: MutableMapping[str, Any]) -> None:
        """Nothing is offered any more."""
        environ.pop(SOCKET, None)
        environ.pop(WEBSOCKET, None)

    @property
    def is_taken(self) -> bool:
        """See :class:`Offers`."""
        return self._taken_by is not None

    def take(self, who: object) -> None:
        """The app uses one of them.

        Raises:
            LocalProtocolError: it uses the other one already, or has answered the request.
        """
        if self._taken_by is who:
            return
        if self.is_taken or self.exchange.is_started or self.exchange.is_finished:
            raise LocalProtocolError("the request was answered, or its WebSocket is used in another way already")
        self._taken_by = who
        self._on_taken()

    def end(self) -> None:
        """The call of the app has ended."""
        if self._taken_by is self._socket:
            self._socket.end()
        elif self._taken_by is self._websocket:
            self._websocket.end()
        elif not self.is_taken:
            self._taken_by = self  # too late from now on

    def obituary(self) -> Obituary:
        """Return what logs the end."""
        return Obituary(self.server, self.exchange)


class OfferedSocket:
    """A stream socket to the client, for one who speaks HTTP/1.1 and WebSocket on it.

    ``send`` sends all, as on a socket that blocks. Further methods are those of the socket that it stands for.
    """

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._sock: Any = None  # the app's end of a pair
        self._inner: _socket.socket | None = None  # ours, until a bridge has it
        self._head = b""
        self._refusal: tuple[int, Fields] | None = None
        self._is_open = False
        self._sending = BoundedSemaphore(1)  # a library answers pings while an app sends

    def _taken(self) -> Any:
        self._offers.take(self)
        if self._sock is None:
            theirs, self._inner = _socket.socketpair()
            self._sock = gevent.socket.socket(theirs.family, theirs.type, theirs.proto, fileno=theirs.detach())
        return self._sock

    def recv(self, size: int, flags: int = 0) -> bytes:
        """See :meth:`socket.socket.recv`; ``b""`` when the client is gone."""
        data: bytes = self._taken().recv(size, flags)
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """Send all of ``data``, and return its length. Raises OSError when the client is gone."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    def sendall(self, data: Any, flags: int = 0) -> None:
        """See :meth:`socket.socket.sendall`.

        Raises:
            OSError: the client is gone. LocalProtocolError: what is sent first is no response of HTTP/1.1.
        """
        sock = self._taken()
        with self._sending:
            if self._is_open:
                sock.sendall(data, flags)
            else:
                self._head += bytes(data)
                self._answer()

    def fileno(self) -> int:
        """See :meth:`socket.socket.fileno`."""
        number: int = self._taken().fileno()
        return number

    def getpeername(self) -> tuple[str, int]:
        """Return (address, port) of the client."""
        return self._offers.exchange.peer

    def getsockname(self) -> tuple[str, int]:
        """Return the (address, port) that the client connected to."""
        return self._offers.exchange.server_address

    def close(self) -> None:
        """Say that nothing more is sent."""
        if self._sock is not None:
            self._sock.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(socket.socket, name):
            raise AttributeError(name)
        return getattr(self._taken(), name)

    def _answer(self) -> None:
        """Send the response of the app when its head is complete."""
        if self._refusal is None:
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if found:
                self._begin(*_read_head(head), rest)
        if not self._is_open and len(self._head) > _MOST:
            raise LocalProtocolError(f"an app sent {_MOST} bytes on its socket, and its WebSocket is not open")

    def _begin(self, status: int, fields: Fields, rest: bytes) -> None:
        exchange = self._offers.exchange
        if status != 101:  # its body is complete when the call has ended
            self._refusal = status, [each for each in fields if each[0].lower() not in (*_HOP, "content-length")]
            self._head = rest
            return
        if exchange.head.version == 20:
            fields = [each for each in fields if each[0].lower() not in _HOP]
        inner, self._inner = self._inner, None
        assert inner is not None
        carrier = exchange.websocket_carrier()
        write_time = self._offers.server.limits.write_time
        carrier.session = bridge = Bridge(carrier, inner, write_time, self._offers.obituary())
        try:
            exchange.switch_protocols(fields, bridge)
        except BaseException:
            bridge.closed()
            raise
        self._is_open = True
        self._head = b""
        if rest:
            self._sock.sendall(rest)

    def end(self) -> None:
        """The call of the app has ended, and with it all that it may send."""
        if self._sock is not None:
            self._sock.close()
        if self._inner is not None:
            self._inner.close()
        exchange = self._offers.exchange
        if self._is_open or exchange.is_finished:
            return
        try:
            if self._refusal is None:
                text = "an app took the socket of its request, and sent no response"
                self._offers.server.logs.app.log(text, "error", str(exchange.transaction))
                detail = f"The error was logged under {exchange.transaction}."
                exchange.respond(500, HTML, error_page(500, detail))
            else:
                exchange.respond(*self._refusal, self._head)
        except ClientDisconnected:
            exchange.abort()


def _read_head(head: bytes) -> tuple[int, Fields]:
    first, *lines = head.split(b"\r\n")
    match = _status_line(first)
    if match is None:
        raise LocalProtocolError("an app sent something on its socket that is no response of HTTP/1.1")
    fields = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise LocalProtocolError("an app sent a response on its socket with a field that has no colon")
        fields.append((name, value.strip(" \t")))
    return int(match[1]), fields


class OfferedWebSocket:
    """A WebSocket as that of gevent-websocket, opened when it is first used.

    Attributes:
        environ: of the request. closed: whether nothing can be sent any more.
    """

    def __init__(self, offers: Offers, environ: MutableMapping[str, Any]) -> None:
        self._offers = offers
        self._socket: PulledSocket | None = None
        self._opening = BoundedSemaphore(1)  # one greenlet may receive while another one sends
        self.environ = environ
        self.closed = False

    @property
    def path(self) -> Any:
        """The path below the app."""
        return self.environ.get("PATH_INFO")

    @property
    def origin(self) -> Any:
        """Of the page that asks, ``None`` without one."""
        return self.environ.get("HTTP_ORIGIN")

    @property
    def protocol(self) -> Any:
        """The subprotocols that the client offers."""
        return self.environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")

    @property
    def version(self) -> Any:
        """Of the protocol, ``"13"``."""
        return self.environ.get("HTTP_SEC_WEBSOCKET_VERSION")

    def receive(self) -> str | bytes | None:
        """Wait for a message and return it, ``None`` when the client has gone.

        Raises:
            WebSocketError: it was closed before.
        """
        if self.closed:
            self._fail()
        message: str | bytes | None = self._opened().getwait()
        if message is None:
            self.closed = True
        return message

    def send(self, message: Any, binary: bool | None = None) -> None:
        """Send a message: str as text, bytes as binary, unless ``binary`` says otherwise.

        Raises:
            WebSocketError: it is closed.
        """
        if self.closed:
            self._fail()
        if binary is None:
            binary = not isinstance(message, str)
        data: str | bytes = bytes(message) if binary and not isinstance(message, str) else message
        if isinstance(data, str) and binary:
            data = data.encode()
        elif not binary and not isinstance(data, str):
            data = bytes(data).decode()
        try:
            self._opened().send(data)
        except ClientDisconnected as error:
            self.closed = True
            self._fail(error)

    def close(self, code: int = 1000, message: str | bytes = b"") -> None:
        """Send a close frame; nothing happens when it is closed."""
        if not self.closed:
            self.closed = True
            reason = message if isinstance(message, str) else message.decode("utf-8", "replace")
            self._opened().close(code, reason)

    def end(self) -> None:
        """The call of the app has ended."""
        self.closed = True
        if self._socket is not None:
            self._socket.close()
        elif not self._offers.exchange.is_finished:
            self._offers.exchange.abort()

    def _opened(self) -> PulledSocket:
        with self._opening:
            if self._socket is None:
                self._offers.take(self)
                self._socket = self._open()
        return self._socket

    def _open(self) -> PulledSocket:
        offers = self._offers
        server, exchange = offers.server, offers.exchange
        opening = ws_handshake.accept(offers.offer)
        assert not isinstance(opening, Refusal)  # the offer was looked at before
        carrier = exchange.websocket_carrier()
        engine = WebSocket(True, server.limits.websocket_message, opening.agreement)
        session = WebSocketSession(carrier, engine, server.limits, KEEP_ALIVE, _PING, offers.obituary())
        carrier.session = session
        socket = PulledSocket(session, server.rooms.new_client(), None)
        session.serve_by(_Servant(server, socket))
        try:
            exchange.switch_protocols(opening.fields, session)
        except ClientDisconnected:
            session.closed()
            raise
        return socket

    def _fail(self, cause: BaseException | None = None) -> NoReturn:
        # Apps that catch its errors have imported it.
        module = sys.modules.get("geventwebsocket.exceptions")
        kind: type[Exception] = ClientDisconnected if module is None else module.WebSocketError
        raise kind("the WebSocket is closed") from cause


class _Servant:
    """Gives the messages to the app that pulls them in the call of the handshake."""

    is_busy = False

    def __init__(self, server: Server, socket: PulledSocket) -> None:
        self._server = server
        self._socket = socket

    def begin(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        if self._server.is_stopping:
            self._socket.end()

    def message(self, content: str | bytes) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        self._socket.put(content)

    def ended(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`."""
        self._socket.end()

    def drain(self) -> None:
        """See :class:`~skitai.hub.websocket_session.Servant`: the app is told that no more messages come."""
        self._socket.end()
