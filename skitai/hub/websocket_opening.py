"""Opening a WebSocket: the request is checked, the app is asked what it shall be, and the connection changes hands."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.constants import WEBSOCKET_MULTICAST, WS_GROUPCHAT
from skitai.errors import ClientDisconnected, ConfigurationError
from skitai.hub import websocket_configuration as configuration
from skitai.hub.pages import HTML, error_page
from skitai.hub.websocket_configuration import Configuration
from skitai.hub.websocket_designs import Called, Pulled
from skitai.hub.websocket_multicast import Member
from skitai.hub.websocket_session import WebSocketSession
from skitai.hub.websocket_sockets import AppSocket, GroupSocket, PulledSocket
from skitai.wire import origins, ws_handshake
from skitai.wire.fields import Fields
from skitai.wire.websocket import WebSocket
from skitai.wire.ws_handshake import Offer, Opening, Refusal

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.rooms import Room
    from skitai.hub.server import Server
    from skitai.hub.websocket_carrier import Carrier
    from skitai.hub.websocket_designs import Conversation
    from skitai.hub.wsgi import WsgiHandler

ALLOW_ORIGIN = "access_control_allow_origin"


def open_websocket(handler: WsgiHandler, exchange: Exchange) -> None:
    """Answer a request that asks for a WebSocket; on a worker, in a slot that is given back."""
    server = handler.server
    try:
        try:
            refusal, agreed = _ask(handler, exchange)
        finally:
            server.slots.release()
        if refusal is not None:
            exchange.respond(*refusal)
        elif agreed is not None:
            _Birth(handler, exchange, agreed).take_place()
    except ClientDisconnected:
        exchange.abort()


Response = tuple[int, Fields, bytes, str | None]
_Asked = tuple[Response | None, "_Agreed | None"]


def _ask(handler: WsgiHandler, exchange: Exchange) -> _Asked:
    """Call the app; return the response that refuses, or its conversation with what it chose."""
    offer = ws_handshake.read_request(exchange.method, exchange.header, exchange.head.version)
    if isinstance(offer, Refusal):
        return _page(offer.status, offer.detail, offer.fields), None
    if not handler.checks_origin and not _is_allowed_origin(handler.app, exchange):
        return _page(403, "Pages of that origin may not ask here."), None
    environ = handler.environ_of(exchange)
    configuration.ask(environ, handler.server.rooms.new_client())
    try:
        conversation = handler.converse(exchange, environ)
        status, reason, fields, body = conversation.begin()
        chosen = configuration.take(conversation.environ)
        if chosen is None:
            if status < 300:
                raise ConfigurationError(
                    f"{exchange.path} was asked for a WebSocket and configured none: see docs/websocket.md"
                )
            return (status, fields, body, reason), None
        wrong = conversation.check(chosen.spec, chosen.detail, chosen.has_events)
        if not wrong and chosen.has_room and conversation.room() is None:
            wrong = "The query has no value for the room, or several."
    except ClientDisconnected:
        raise
    except Exception:
        handler.server.logs.app.traceback(tag=str(exchange.transaction))
        return _page(500, f"The error was logged under {exchange.transaction}."), None
    if wrong:
        return _page(400, wrong), None
    cookies = [(name, value) for name, value in fields if name.lower() == "set-cookie"]
    return None, _Agreed(offer, conversation, chosen, cookies)


class _Agreed(NamedTuple):
    """What came of asking the app; ``cookies`` go with the 101."""

    offer: Offer
    conversation: Conversation
    chosen: Configuration
    cookies: Fields


def _page(status: int, detail: str, fields: Fields | None = None) -> Response:
    return status, [*HTML, *(fields or ())], error_page(status, detail), None


def _is_allowed_origin(app: Any, exchange: Exchange) -> bool:
    """Whether the page that asks, if it is one, is of this host or of one that the app names (WSGI apps)."""
    origin = exchange.header("origin")
    if origin is None:
        return True
    allowed = getattr(app, ALLOW_ORIGIN, None)
    names = [allowed] if isinstance(allowed, str) else list(allowed or ())
    if "*" in names or origin.lower() in [name.lower() for name in names]:
        return True
    return origins.is_same_host(origin, exchange.head.host, exchange.header("sec-fetch-site"))


class _Birth:
    """What is made of a request when everyone agrees."""

    def __init__(self, handler: WsgiHandler, exchange: Exchange, agreed: _Agreed) -> None:
        self._handler = handler
        self._server: Server = handler.server
        self._exchange = exchange
        self._offer, self._conversation, self._chosen, self._cookies = agreed

    def take_place(self) -> None:
        """Send the 101, or the 200 of HTTP/2, and begin.

        Raises:
            ClientDisconnected: the client is gone.
        """
        exchange, options = self._exchange, self._chosen.options
        opening = ws_handshake.accept(self._offer, options.subprotocols, options.compression)
        if isinstance(opening, Refusal):
            exchange.respond(*_page(opening.status, opening.detail, opening.fields))
            return
        carrier = exchange.websocket_carrier()
        session = self._session(carrier, opening)
        carrier.session = session
        session.serve_by(self._servant(session, opening.subprotocol))
        try:
            exchange.switch_protocols([*opening.fields, *self._cookies], session)
        except ClientDisconnected:
            session.closed()  # the app was called already, and may count its clients
            raise

    def _session(self, carrier: Carrier, opening: Opening) -> WebSocketSession:
        limits = self._server.limits
        most = self._chosen.options.most_bytes or limits.websocket_message
        engine = WebSocket(True, most, opening.agreement)
        return WebSocketSession(
            carrier,
            engine,
            limits,
            self._chosen.keep_alive,
            self._chosen.options.ping,
            _Obituary(self._server, self._exchange),
        )

    def _servant(self, session: WebSocketSession, subprotocol: str | None) -> Any:
        chosen, server, conversation = self._chosen, self._server, self._conversation
        client: int = conversation.environ[configuration.CLIENT]
        if chosen.spec == WEBSOCKET_MULTICAST:
            return self._member(session, client, subprotocol)
        socket: AppSocket
        if chosen.is_loop:
            socket = PulledSocket(session, client, subprotocol)
            conversation.attach(socket)
            return Pulled(server, session, conversation, socket)
        find_room = None
        if chosen.spec == WS_GROUPCHAT:
            socket, find_room = GroupSocket(session, client, subprotocol), self._find_room()
        else:
            socket = AppSocket(session, client, subprotocol)
        conversation.attach(socket)
        return Called(server, session, conversation, socket, chosen.has_events, find_room)

    def _find_room(self) -> Callable[[], Room]:
        exchange, handler = self._exchange, self._handler
        value = self._conversation.room()
        key, name = (handler.number, exchange.path, value), f"{handler.number}:{exchange.path}?{value}"
        return partial(self._server.rooms.room, key, name)

    def _member(self, session: WebSocketSession, client: int, subprotocol: str | None) -> Member:
        socket = GroupSocket(session, client, subprotocol)
        return Member(self._server, self._find_room(), socket, self._conversation)


class _Obituary:
    """Logs the end of a WebSocket."""

    __slots__ = ("_began", "_exchange", "_server")

    def __init__(self, server: Server, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange
        self._began = time.monotonic()

    def __call__(self, session: WebSocketSession, code: int, reason: str) -> None:
        exchange = self._exchange
        peer = exchange.peer
        seconds = time.monotonic() - self._began
        self._server.logs.server.log(
            f"websocket {peer[0]}:{peer[1]} {exchange.target} closed with {code}"
            f"{f' ({_printable(reason)})' if reason else ''}: {session.bytes_in} bytes in, {session.bytes_out} out,"
            f" {seconds:.1f} s"
        )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
