"""Apps that are called with the exchange itself, ``app.handle(exchange, point)``, without a WSGI environ between.

``handle`` returns (status, reason, header fields, body) and activates the context of its request itself. A body that is
not bytes sends the whole response by ``body.send(exchange, status, fields, reason)`` when the slot of the app is free
again. An app may have ``begin(point)`` and ``end()``, which are called in the worker before the first and after the
last request. One that serves WebSockets has ``converse(exchange, point, environ)``, which returns what
:class:`~skitai.hub.websocket_designs.Conversation` describes. One may have
``feeding(exchange)``, which says how the body of a request comes to it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from skitai.errors import ClientDisconnected
from skitai.hub.app_ref import is_native
from skitai.hub.exchange import Exchange
from skitai.hub.wsgi import AppRef, WsgiHandler
from skitai.net import forks
from skitai.wire.feeding import Feeding

if TYPE_CHECKING:
    from skitai.hub.server import Server
    from skitai.hub.websocket_designs import NativeConversation


class NativeHandler(WsgiHandler):
    """Serves the exchanges of one mounted native app; what it is reloaded to may be any WSGI app.

    Args:
        server: whose slots run the app. point: mount point, ``""`` for the root. app_ref: the app.
    """

    def __init__(self, server: Server, point: str, app_ref: AppRef) -> None:
        super().__init__(server, point, app_ref)
        try:
            if is_native(app_ref.app):
                app_ref.app.begin(point)
        except Exception as error:  # the app answers 500 then, and the others of this server run
            server.logs.app.traceback(app_ref.name, error=error)

    def feeding(self, exchange: Exchange) -> Feeding:
        """Say how the body of a request comes to the app; asked over HTTP/2, before any of it is there."""
        ask = getattr(self._ref.app, "feeding", None)
        return Feeding.WHOLE if ask is None else ask(exchange)

    def _is_acceptable(self, exchange: Exchange) -> bool:
        """See :class:`WsgiHandler`. A stream of no messages is a body as well."""
        if exchange.body is None and exchange.head.version == 20:
            kind = exchange.header("content-type")
            if kind is not None and kind[:16].lower() == "application/grpc":
                exchange.body = io.BytesIO()
        return super()._is_acceptable(exchange)

    @property
    def wants_length(self) -> bool:
        """See :class:`WsgiHandler`. A native app reads the body of its exchange to the end."""
        return not hasattr(self._ref.app, "handle") and super().wants_length

    def end(self) -> None:
        """Tell the app that no further request will come."""
        end = getattr(self._ref.app, "end", None)
        if end is not None:
            try:
                end()
            except Exception as error:  # the other apps of this server want to be told as well
                self._server.logs.app.traceback(self._ref.name, error=error)

    @property
    def checks_origin(self) -> bool:  # type: ignore[override]
        """See :class:`~skitai.hub.wsgi.WsgiHandler`."""
        return hasattr(self._ref.app, "converse")

    def converse(self, exchange: Exchange, environ: dict[str, Any]) -> NativeConversation:
        """See :class:`~skitai.hub.wsgi.WsgiHandler`."""
        conversation: NativeConversation = self._ref.app.converse(exchange, self.point, environ)
        return conversation

    def serve(self, exchange: Exchange) -> None:
        """Call the app and send its reply; runs on a worker greenlet, in a slot."""
        app = self._ref.app
        handle = getattr(app, "handle", None)
        if handle is None:
            super().serve(exchange)
            return
        if exchange.is_gone:
            self._give_up(exchange)
            return
        try:
            try:
                status, reason, fields, body = handle(exchange, self.point)
            finally:
                if forks.is_child:
                    forks.end_if_child()
                self._slots.release()
            if body.__class__ is bytes:
                exchange.respond(status, fields, body, reason)
            else:
                body.send(exchange, status, fields, reason)
        except ClientDisconnected:
            self.lost(exchange)
        except BaseException as error:  # sys.exit() in a view must not leave its client waiting
            self.broke_off(exchange, app, error)
