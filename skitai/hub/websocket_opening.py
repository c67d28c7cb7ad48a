"""Opening a WebSocket that an app has configured: the request is checked, and the connection changes hands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.constants import WEBSOCKET_MULTICAST, WS_GROUPCHAT
from skitai.errors import ClientDisconnected
from skitai.hub import websocket_configuration as configuration
from skitai.hub.pages import HTML, error_page
from skitai.hub.websocket_configuration import Configuration
from skitai.hub.websocket_designs import Called, Pulled
from skitai.hub.websocket_multicast import Member
from skitai.hub.websocket_obituary import Obituary
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


Response = tuple[int, Fields, bytes, str | None]


def what_is_wrong(conversation: Conversation, chosen: Configuration) -> str:
    """Return what is wrong with the query of a request for the WebSocket that the app chose, ``""`` for nothing."""
    wrong = conversation.check(chosen.spec, chosen.detail, chosen.has_events)
    if not wrong and chosen.has_room and conversation.room() is None:
        wrong = "The query has no value for the room, or several."
    return wrong


def open_as(
    handler: WsgiHandler,
    exchange: Exchange,
    offer: Offer,
    conversation: Conversation,
    chosen: Configuration,
    fields: Fields,
    wrong: str,
) -> None:
    """Open the WebSocket that an app configured, unless something is ``wrong`` with the request.

    Raises:
        ClientDisconnected: the client is gone.
    """
    if not handler.checks_origin and not _is_allowed_origin(handler.app, exchange):
        exchange.respond(*refusal_page(403, "Pages of that origin may not ask here."))
    elif wrong:
        exchange.respond(*refusal_page(400, wrong))
    else:
        cookies = [(name, value) for name, value in fields if name.lower() == "set-cookie"]
        _Birth(handler, exchange, _Agreed(offer, conversation, chosen, cookies)).take_place()


class _Agreed(NamedTuple):
    """What came of asking the app; ``cookies`` go with the 101."""

    offer: Offer
    conversation: Conversation
    chosen: Configuration
    cookies: Fields


def refusal_page(status: int, detail: str, fields: Fields | None = None) -> Response:
    """Return the response that refuses a WebSocket."""
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
            exchange.respond(*refusal_page(opening.status, opening.detail, opening.fields))
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
            Obituary(self._server, self._exchange),
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
