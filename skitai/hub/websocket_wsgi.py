"""WebSockets of WSGI apps: every event and every message is a call of the app with an environ of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, unquote_plus

from skitai.constants import WS_SIMPLE
from skitai.errors import LocalProtocolError
from skitai.hub.websocket_configuration import EVENT, SOCKET
from skitai.was._context import Context, activate
from skitai.wire.fields import Fields

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange

_MESSAGE = "websocket.message"


class WsgiConversation:
    """See :class:`skitai.hub.websocket_designs.Conversation`.

    Args:
        app: to be called. exchange: of the handshake. environ: of the handshake; each call gets a copy.
    """

    __slots__ = ("_app", "_exchange", "_names", "environ")

    def __init__(self, app: Callable[..., Any], exchange: Exchange, environ: dict[str, Any]) -> None:
        self._app = app
        self._exchange = exchange
        self._names: tuple[str, ...] = ()
        self.environ = environ

    def check(self, spec: int, detail: Any, has_events: bool) -> str:
        """See :class:`skitai.hub.websocket_designs.Conversation`; an app looks after its query itself."""
        self._names = (detail,) if isinstance(detail, str) else tuple(detail or ())
        if self._names and (spec == WS_SIMPLE or len(self._names) > 1):
            # What comes with the URL under the name of the message would be taken for it: Flask asks for the first.
            query = self.environ["QUERY_STRING"]
            kept = [each for each in query.split("&") if unquote_plus(each.partition("=")[0]) != self._names[0]]
            self.environ["QUERY_STRING"] = "&".join(kept)
        return ""

    def room(self) -> str | None:
        """See :class:`skitai.hub.websocket_designs.Conversation`: the last of the names that were configured.

        There is none when the query has several values: an app may have looked at another one than we would take.
        """
        if not self._names:
            return None
        query = parse_qsl(self.environ["QUERY_STRING"], keep_blank_values=True)
        values = [value for name, value in query if name == self._names[-1]]
        return values[0] if len(values) == 1 else None

    def attach(self, socket: Any) -> None:
        """See :class:`skitai.hub.websocket_designs.Conversation`."""
        self.environ[SOCKET] = socket

    def call(self, event: str | None, message: str | bytes) -> str:
        """See :class:`skitai.hub.websocket_designs.Conversation`. The message comes as a variable of the query.

        Raises:
            LocalProtocolError: the app answered with a status that is no success.
        """
        environ = self._new_environ()
        environ[EVENT] = event
        environ[_MESSAGE] = message
        if self._names:
            query = environ["QUERY_STRING"]
            variable = f"{quote_plus(self._names[0])}={quote_plus(message)}"
            environ["QUERY_STRING"] = f"{query}&{variable}" if query else variable
        return self._checked(environ).decode()

    def run(self) -> None:
        """See :class:`skitai.hub.websocket_designs.Conversation`. Errors as :meth:`call`."""
        self._checked(self._new_environ())

    def tag(self) -> str:
        """See :class:`skitai.hub.websocket_designs.Conversation`."""
        return str(self._exchange.transaction)

    def _new_environ(self) -> dict[str, Any]:
        was = Context(self._exchange)
        activate(was)
        return {**self.environ, "skitai.was": was, "wsgi.input": io.BytesIO()}

    def _checked(self, environ: dict[str, Any]) -> bytes:
        status, _, _, body = self._call(environ)
        if status >= 300:
            raise LocalProtocolError(f"the app answered a call for its WebSocket with status {status}")
        return body

    def _call(self, environ: dict[str, Any]) -> tuple[int, str | None, Fields, bytes]:
        """Call the app and return its whole response."""
        started: list[tuple[str, Fields]] = []
        parts: list[bytes] = []

        def start_response(status: str, headers: Fields, exc_info: Any = None) -> Callable[[bytes], object]:
            started[:] = [(status, headers)]
            return parts.append

        result = self._app(environ, start_response)
        try:
            for part in [result] if isinstance(result, (str, bytes)) else result:
                parts.append(part.encode() if isinstance(part, str) else part)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        if not started:
            raise LocalProtocolError("the app returned before it called start_response()")
        status, headers = started[0]
        number, _, reason = status.partition(" ")
        return int(number), reason, headers, b"".join(parts)
