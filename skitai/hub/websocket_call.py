"""The call of an app for a request that asks for a WebSocket, and what becomes of it.

An app may configure one (``environ["websocket.config"]``), or take what the servers that its libraries were written
for offer: a socket, or an open WebSocket (:mod:`skitai.hub.websocket_offers`). One that does neither knows nothing of
WebSockets, and is answered as any other GET: an Upgrade may be ignored (RFC 9110 section 7.8).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from greenlet import GreenletExit

from skitai.errors import ClientDisconnected
from skitai.hub import websocket_configuration as configuration
from skitai.hub.file_wrapper import FileWrapper
from skitai.hub.websocket_offers import Offers
from skitai.hub.websocket_opening import open_as, refusal_page, what_is_wrong
from skitai.hub.websocket_wsgi import WsgiConversation
from skitai.hub.wsgi_response import WsgiResponse
from skitai.net import forks
from skitai.wire import ws_handshake
from skitai.wire.ws_handshake import Offer, Refusal

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.wsgi import WsgiHandler

#: Of the 405 for an extended CONNECT to what knows no WebSockets: a 2xx would open one (RFC 8441 section 5).
KNOWS_NONE: Final = [("Allow", "GET, HEAD")]
#: Fields by which a library knows that it is asked for a WebSocket; over HTTP/2 they are made.
_UPGRADE: Final = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}


def open_websocket(handler: WsgiHandler, exchange: Exchange) -> None:
    """Answer a request that asks for a WebSocket; on a worker, in a slot that is given back.

    What asks for no WebSocket is answered as any other GET: an Upgrade may be ignored (RFC 9110 section 7.8).
    """
    offer = ws_handshake.read_request(exchange.method, exchange.header, exchange.head.version)
    try:
        if isinstance(offer, Refusal):
            handler.server.slots.release()
            exchange.respond(*refusal_page(offer.status, offer.detail, offer.fields))
        elif handler.checks_origin:
            _NativeCall(handler, exchange, offer).answer()
        else:
            _WsgiCall(handler, exchange, offer).answer()
    except ClientDisconnected:
        exchange.abort()


class _NativeCall:
    """The call of a native app at the handshake, and what follows from it."""

    def __init__(self, handler: WsgiHandler, exchange: Exchange, offer: Offer) -> None:
        self._handler = handler
        self._exchange = exchange
        self._offer = offer

    def answer(self) -> None:
        """Call the app, and answer.

        Raises:
            ClientDisconnected: the client is gone.
        """
        handler, exchange = self._handler, self._exchange
        slots = handler.server.slots
        has_slot = True
        try:
            environ = handler.environ_of(exchange)
            configuration.ask(environ, handler.server.rooms.new_client())
            conversation = handler.converse(exchange, environ)
            status, reason, fields, body = conversation.begin()
            chosen = configuration.take(conversation.environ)
            if chosen is None and exchange.head.version != 20 and not conversation.is_answered:
                if not isinstance(body, bytes):
                    body.close()
                has_slot = False
                handler.serve(exchange)  # which gives the slot back
                return
            wrong = "" if chosen is None else what_is_wrong(conversation, chosen)
        except ClientDisconnected:
            raise
        except Exception:
            handler.server.logs.app.traceback(tag=str(exchange.transaction))
            exchange.respond(*refusal_page(500, f"The error was logged under {exchange.transaction}."))
            return
        finally:
            if has_slot:
                slots.release()
        if chosen is not None:
            if not isinstance(body, bytes):
                body.close()
            open_as(handler, exchange, self._offer, conversation, chosen, fields, wrong)
        elif exchange.head.version == 20 and status < 300:
            if not isinstance(body, bytes):
                body.close()
            handler.server.answer(exchange, 405, extra=KNOWS_NONE)
        elif isinstance(body, bytes):
            exchange.respond(status, fields, body, reason)
        else:
            body.send(exchange, status, fields, reason)


class _WsgiCall:
    """The call of a WSGI app at the handshake, and what follows from it."""

    def __init__(self, handler: WsgiHandler, exchange: Exchange, offer: Offer) -> None:
        self._handler = handler
        self._exchange = exchange
        self._offer = offer
        self._app = handler.app
        self._has_slot = True

    def answer(self) -> None:
        """Call the app, and answer.

        Raises:
            ClientDisconnected: the client is gone.
        """
        try:
            shows_upgrade = not _is_plain_view(self._app, lambda: self._environ(True))
            if not self._call(shows_upgrade):
                self._call(False)
        finally:
            self._give_slot_back()

    def _call(self, shows_upgrade: bool) -> bool:
        """Call the app and answer; False when it is to be called again, without the fields of an upgrade."""
        handler, exchange = self._handler, self._exchange
        environ = self._environ(shows_upgrade)
        configuration.ask(environ, handler.server.rooms.new_client())
        offers = Offers(handler.server, exchange, self._offer, environ, self._give_slot_back)
        if shows_upgrade:
            offers.put_into(environ)
        asked = _Asked(exchange, environ)
        result: Any = None
        try:
            try:
                result = self._app(environ, asked.start)
            finally:
                if forks.is_child:
                    forks.end_if_child()
            parts = None if offers.is_taken else _begun(result)
            if offers.is_taken:
                return True
            chosen = configuration.take(environ)
            may_know_more = shows_upgrade and chosen is None and asked.status == 400 and not exchange.is_started
            if may_know_more and _may_hide_werkzeug(self._app):
                return False
            self._give_slot_back()
            if chosen is not None:
                self._open(environ, chosen, asked, parts)
            elif exchange.head.version == 20 and asked.status < 300:
                handler.server.answer(exchange, 405, extra=KNOWS_NONE)
            else:
                asked.response.send(parts)
        except BaseException as error:
            self._failed(error, offers)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                handler.close_result(exchange, close)
            offers.end()
        return True

    def _failed(self, error: BaseException, offers: Offers) -> None:
        """The call ended with an exception: of an app that has taken its socket that may be how it ends."""
        if offers.is_taken:
            if not _is_silent_end(error):
                self._handler.server.logs.app.traceback(tag=str(self._exchange.transaction))
            if isinstance(error, GreenletExit):
                raise error
        elif isinstance(error, ClientDisconnected):
            self._handler.lost(self._exchange)
        else:
            self._give_slot_back()
            self._handler.broke_off(self._exchange, self._app, error)

    def _open(self, environ: dict[str, Any], chosen: configuration.Configuration, asked: _Asked, parts: Any) -> None:
        """Open what the app configured; what it answered besides is for nobody."""
        for _ in parts:
            pass
        Offers.take_out_of(environ)
        for name in _UPGRADE:
            environ.pop(name, None)
        conversation = WsgiConversation(self._app, self._exchange, environ)
        wrong = what_is_wrong(conversation, chosen)
        open_as(self._handler, self._exchange, self._offer, conversation, chosen, asked.fields, wrong)

    def _environ(self, shows_upgrade: bool) -> dict[str, Any]:
        environ = self._handler.environ_of(self._exchange)
        if shows_upgrade:
            environ.update(_UPGRADE)
            environ.setdefault("HTTP_SEC_WEBSOCKET_KEY", ws_handshake.new_key())
        return environ

    def _give_slot_back(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._handler.server.slots.release()


class _Asked:
    """``start_response()`` of a call at the handshake: what is written by an app that configures goes to nobody."""

    def __init__(self, exchange: Exchange, environ: dict[str, Any]) -> None:
        self.response = WsgiResponse(exchange)
        self._exchange = exchange
        self._environ = environ
        self.status = 0
        self.fields: Any = []

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        """See PEP 3333."""
        write = self.response.start(status, headers, exc_info)
        self.status, self.fields = int(status[:3]), headers

        def write_unless_configured(data: bytes) -> None:
            is_configured = self._environ.get(configuration.CONFIG) or self._environ.get(configuration.OLD_CONFIG)
            if not is_configured and self._exchange.head.version != 20:
                write(data)

        return write_unless_configured


def _begun(result: Any) -> Any:
    """Return the parts of a response, of which the first was asked for: an app may be a generator."""
    if result is None or isinstance(result, (list, tuple, bytes, str, FileWrapper)):
        return result
    parts: Iterator[Any] = iter(result)
    first: Iterable[Any] = [next(parts, None)]
    return chain([each for each in first if each is not None], parts)


def _is_silent_end(error: BaseException) -> bool:
    """Whether an app that has taken its socket only says that there is no response.

    The libraries raise what the server raises or bears that they take Skitai for: StopIteration, or ConnectionError
    when the client is gone. What passes a generator is a RuntimeError of it.
    """
    return isinstance(error, (StopIteration, ConnectionError)) or isinstance(error.__cause__, StopIteration)


def _is_plain_view(app: Any, make_environ: Callable[[], dict[str, Any]]) -> bool:
    """Whether Werkzeug routes the request to a view only when it asks for no WebSocket.

    A rule of it is for WebSockets or for all else, and 400 is the answer to the others. Only those who take a socket
    themselves have rules for WebSockets; those who configure one have a view as any other.
    """
    make_adapter, request_class = getattr(app, "create_url_adapter", None), getattr(app, "request_class", None)
    if make_adapter is None or request_class is None:
        return False
    try:
        make_adapter(request_class(make_environ())).match()
    except Exception as error:
        return type(error).__name__ == "WebsocketMismatch"
    return False


def _may_hide_werkzeug(app: Any) -> bool:
    """Whether a 400 may be that of Werkzeug to a request for a WebSocket whose view is for all else."""
    return "werkzeug" in sys.modules and not hasattr(app, "create_url_adapter")
