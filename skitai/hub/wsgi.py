"""WSGI (PEP 3333): calls an app for an exchange."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import GreenletExit

from skitai.errors import ClientDisconnected
from skitai.hub.exchange import Exchange
from skitai.hub.pages import HTML, error_page
from skitai.hub.slots import Slots
from skitai.hub.wsgi_environ import Environs
from skitai.hub.wsgi_response import NothingReturned, WsgiResponse
from skitai.net import faults, forks
from skitai.wire.fields import tokens

if TYPE_CHECKING:
    from skitai.hub.server import Server
    from skitai.hub.websocket_designs import NativeConversation

#: What no app gets: a tunnel is the business of a proxy, and an echo of the request shows what it must not.
REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
#: How the request log shows that the client had gone before its request was begun; nginx calls it so too.
CLIENT_CLOSED_REQUEST = 499
_ALLOW = [("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]


class AppRef(Protocol):
    """An app that is mounted. :attr:`app` may change when the app is reloaded."""

    name: str

    @property
    def app(self) -> Any:
        """The current WSGI callable."""


class WsgiHandler:
    """Serves the exchanges of one mounted app.

    Args:
        server: whose slots run the app. point: mount point, ``""`` for the root. app_ref: the app.

    Attributes:
        number: of this handler in the server, the same in every worker.
    """

    def __init__(self, server: Server, point: str, app_ref: AppRef) -> None:
        self._server = self.server = server
        self._slots: Slots = server.slots
        self._ref = app_ref
        server.handlers = self.number = server.handlers + 1
        self.point = point
        self._make_environ = Environs(server, point).make

    @property
    def most_body_bytes(self) -> tuple[int, int]:
        """(bytes of a body, bytes of a multipart body) that the app takes, from its ``config`` when it says so."""
        config = getattr(self._ref.app, "config", None)
        limits = self._server.limits
        if config is None:
            return limits.body_bytes, limits.multipart_bytes
        own = _setting(config, "MAX_CONTENT_LENGTH")  # Flask's name for one bound of both
        return (
            _bound(_setting(config, "max_post_body_size"), own, limits.body_bytes),
            _bound(_setting(config, "max_multipart_body_size"), own, limits.multipart_bytes),
        )

    @property
    def wants_length(self) -> bool:
        """Whether the app may be one that reads as many bytes of a body as CONTENT_LENGTH says.

        ``app.config.spool_bodies = False`` says that it reads ``wsgi.input`` to its end. So do apps made of Werkzeug,
        as those of Flask, which look at ``wsgi.input_terminated``.
        """
        app = self._ref.app
        chosen = _setting(getattr(app, "config", None), "spool_bodies")
        return bool(chosen) if chosen is not None else not _is_werkzeug(app)

    def end(self) -> None:
        """No further request will come; a plain WSGI app has no way to be told."""

    def accept(self, exchange: Exchange) -> None:
        """Take an exchange; called in the hub."""
        if exchange.method != "GET" and not self._is_acceptable(exchange):
            return
        slots = self._slots
        if slots.free:  # what submit() does, without its call: these steps are for every request
            slots.free -= 1
            slots.run(self.serve, exchange)
        elif not slots.submit(self.serve, exchange):
            self._server.answer_soon(exchange, 503, "All workers are busy.", [("Retry-After", "1")])

    def _is_acceptable(self, exchange: Exchange) -> bool:
        """Tell whether an app may get a request; else it has its answer."""
        if exchange.method in REFUSED_METHODS:
            self._server.answer_soon(exchange, 405, extra=_ALLOW)
            return False
        return True

    # WebSockets

    #: Whether the app itself looks at Origin.
    checks_origin = False

    @property
    def app(self) -> Any:
        """The current app."""
        return self._ref.app

    def accept_upgrade(self, exchange: Exchange) -> bool:
        """Take an exchange that asks for a WebSocket; False when it asks for something else. Called in the hub."""
        if "websocket" not in tokens(exchange.head.upgrade or ""):
            return False
        if not self._slots.submit(self.open_websocket, exchange):
            self._server.answer_soon(exchange, 503, "All workers are busy.", [("Retry-After", "1")])
        return True

    def open_websocket(self, exchange: Exchange) -> None:
        """Ask the app, and answer; runs on a worker greenlet, in a slot."""
        from skitai.hub.websocket_call import open_websocket

        open_websocket(self, exchange)

    def converse(self, exchange: Exchange, environ: dict[str, Any]) -> NativeConversation:
        """Return the side of a native app of a WebSocket; only those that check Origin themselves have one."""
        raise NotImplementedError

    def environ_of(self, exchange: Exchange) -> dict[str, Any]:
        """Return the environ of an exchange, without what concerns this hop alone.

        Werkzeug routes a request that asks for a WebSocket to none of the rules that all others have.
        """
        environ = self._make_environ(exchange)
        environ.pop("HTTP_UPGRADE", None)
        environ.pop("HTTP_CONNECTION", None)
        return environ

    # Calls

    def serve(self, exchange: Exchange) -> None:
        """Call the app and send what it returns; runs on a worker greenlet, in a slot."""
        if exchange.is_gone:
            self._give_up(exchange)
            return
        response = WsgiResponse(exchange)
        app = None
        result: Any = None
        try:
            try:
                app = self._ref.app
                result = app(self._make_environ(exchange), response.start)
            finally:
                if forks.is_child:
                    forks.end_if_child()
                self._slots.release()
            response.send(result)
        except ClientDisconnected:
            self.lost(exchange)
        except BaseException as error:  # sys.exit() in a view must not leave its client waiting
            self.broke_off(exchange, app, error)
        finally:
            if result.__class__ is not list:
                self._close(exchange, result)
            if exchange.spooled is not None:
                exchange.spooled.close()

    def _give_up(self, exchange: Exchange) -> None:
        """The client went while its request waited for a slot: nobody wants an answer."""
        self._slots.release()
        exchange.status = CLIENT_CLOSED_REQUEST
        exchange.abort()

    def lost(self, exchange: Exchange) -> None:
        """The client is gone: there is nobody to answer."""
        if not exchange.is_started:
            exchange.status = CLIENT_CLOSED_REQUEST
        exchange.abort()

    def broke_off(self, exchange: Exchange, app: Any, error: BaseException) -> None:
        """A call of the app ended with an exception: answer, and pass on only what ends the greenlet itself."""
        try:
            if exchange.refusal is not None and exchange.refusal in (error, error.__cause__, error.__context__):
                self._refuse(exchange, error)
            else:
                if isinstance(error, NothingReturned):
                    error.add_note(f"it is {self._ref.name}")
                self._failed(exchange, app, f"{error}. " if isinstance(error, NothingReturned) else "")
        except Exception as second:  # the client must not wait for what cannot be sent
            faults.report(second, str(exchange.transaction))
            exchange.abort()
        if isinstance(error, GreenletExit):
            raise error

    def _failed(self, exchange: Exchange, app: Any, reason: str = "") -> None:
        """An app raised: log it, and answer 500 when that is still possible."""
        self._server.logs.app.traceback(tag=str(exchange.transaction))
        if exchange.is_started:
            exchange.abort()
            return
        trace = traceback.format_exc() if getattr(app, "debug", False) else ""
        detail = f"{reason}The error was logged under {exchange.transaction}."
        try:
            exchange.respond(500, HTML, error_page(500, detail, trace))
        except ClientDisconnected:
            exchange.abort()

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        """The client broke the rules while the app read the body: that is no fault of the app."""
        if exchange.is_started:
            self._server.note_refusal(exchange.peer, error)
            exchange.abort()
            return
        try:
            exchange.respond(500, HTML, error_page(exchange.refusal.status if exchange.refusal else 400, str(error)))
        except ClientDisconnected:
            exchange.abort()

    def _close(self, exchange: Exchange, result: Any) -> None:
        close = getattr(result, "close", None)
        if close is not None:
            self.close_result(exchange, close)

    def close_result(self, exchange: Exchange, close: Callable[[], object]) -> None:
        """Call the ``close()`` of what an app returned; what it raises is logged."""
        try:
            close()
        except GreenletExit:
            raise
        except BaseException:  # sys.exit() here must not end the server either
            self._server.logs.app.traceback(tag=str(exchange.transaction))


def _is_werkzeug(app: Any) -> bool:
    request_class = getattr(app, "request_class", None)
    return isinstance(request_class, type) and any(
        each.__module__.partition(".")[0] == "werkzeug" for each in request_class.__mro__
    )


def _setting(config: Any, name: str) -> Any:
    """Return a setting of an app, given as ``config.name`` or ``config["name"]``: Flask's config takes both."""
    value = getattr(config, name, None)
    if value is None and isinstance(config, Mapping):
        value = config.get(name)
    return value


def _bound(first: Any, second: Any, default: int) -> int:
    for each in (first, second):
        if isinstance(each, int) and each > 0:
            return each
    return default
