"""WebSockets of Saddle: routed functions that are called for the handshake, for events and for messages.

The server asks :meth:`Saddle.converse` for one :class:`Conversation` per WebSocket; what a function configures goes
through the environ, as for any WSGI app: ``environ["websocket.config"]``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.constants import (
    WEBSOCKET_MULTICAST,
    WS_EVT_INIT,
    WS_GROUPCHAT,
    WS_MSG_GRPC,
    WS_MSG_JSON,
    WS_MSG_XMLRPC,
    WS_SIMPLE,
)
from skitai.errors import ConfigurationError, RemoteProtocolError
from skitai.lib.attributes import AttributeDict
from skitai.saddle import replies, wsgi
from skitai.saddle.endpoint import Endpoint
from skitai.saddle.errors import MissingSlash, SetupError
from skitai.saddle.lazy import lazy
from skitai.saddle.service import Was
from skitai.saddle.streams import Body
from skitai.saddle.typed_names import query_fields
from skitai.was._context import activate
from skitai.wire import xmlrpc
from skitai.wire.fields import Fields
from skitai.wire.outcomes import UnreadableBody

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle

_EVENT, _SOCKET = "websocket.event", "websocket"


def is_configured(environ: dict[str, Any]) -> bool:
    """Whether a function has said what its WebSocket shall be."""
    return bool(environ.get("websocket.config") or environ.get("websocket_init"))


class Encoding(NamedTuple):
    """How messages become objects and back."""

    load: Callable[[str | bytes], Any]
    dump: Callable[[Any], str]


def _load_json(message: str | bytes) -> Any:
    try:
        return json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("a message is no JSON document") from error


def _dump_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _load_xmlrpc(message: str | bytes) -> Any:
    try:
        return xmlrpc.load(message.encode() if isinstance(message, str) else message, use_datetime=True)
    except (UnreadableBody, xmlrpc.Fault) as error:
        raise RemoteProtocolError("a message is no XML-RPC document") from error


def _dump_xmlrpc(value: Any) -> str:
    return xmlrpc.dump_params(value if isinstance(value, tuple) else (value,))


#: By what ``wsconfig`` takes as the encoding; anything else sends and gets messages as they are.
ENCODINGS = {WS_MSG_JSON: Encoding(_load_json, _dump_json), WS_MSG_XMLRPC: Encoding(_load_xmlrpc, _dump_xmlrpc)}


class SocketWas(Was):
    """``was`` of one call for a WebSocket.

    Args:
        event: that it is called for, ``None`` for a message. given: the environ of the WebSocket; the call of the
            handshake changes it, the others have a copy.
    """

    def __init__(
        self, app: Saddle, exchange: Any, point: str, path: str, event: str | None, given: dict[str, Any]
    ) -> None:
        super().__init__(app, exchange, point, path)
        self.event = event
        self._given = given

    @lazy
    def env(self) -> dict[str, Any]:
        """The environ."""
        environ = self._given if self.event == WS_EVT_INIT else dict(self._given)
        environ.update({_EVENT: self.event, "skitai.was": self})
        return environ

    @property
    def websocket(self) -> Any:
        """The WebSocket; ``None`` during the handshake."""
        return self._given.get(_SOCKET)


class Conversation:
    """The app's side of one WebSocket.

    Args:
        app: that is asked. exchange: of the handshake. point: where the app is mounted. environ: of the WebSocket.
    """

    __slots__ = (
        "_app",
        "_args",
        "_encoding",
        "_endpoint",
        "_exchange",
        "_message",
        "_path",
        "_point",
        "_room",
        "environ",
        "is_answered",
    )

    def __init__(self, app: Saddle, exchange: Any, point: str, environ: dict[str, Any]) -> None:
        self._app = app
        self._exchange = exchange
        self._point = point
        self._path = exchange.raw_path if not point and exchange.raw_path else wsgi.path_below(exchange, point)
        self._endpoint: Endpoint | None = None
        self._args: dict[str, Any] = {}
        self._message = self._room = ""
        self._encoding: Encoding | None = None
        self.environ = environ
        self.is_answered = True

    # The handshake

    def begin(self) -> tuple[int, str | None, Fields, bytes | Body]:
        """Run guards, hooks and the function as for a request, and return the response."""
        was = self._new_was(WS_EVT_INIT)
        self._exchange.was = was
        try:
            self._endpoint = endpoint = self._find(was)
            self._args = self._read_query(was)
            args = {**dict.fromkeys(endpoint.arguments.required, ""), **self._args}
            self.is_answered = self.is_answered and len(args) == len(self._args)
            was.request.args = AttributeDict(args)
            content = endpoint.run(was)
            # What a function returns that has configured a WebSocket is for nobody.
            return replies.finish(was, "" if content is None and is_configured(self.environ) else content)
        except Exception as error:
            return replies.fail(was, error)

    def _find(self, was: Was) -> Endpoint:
        table = self._app.table
        try:
            target, was.values = table.find(self._path, "GET")
        except MissingSlash:  # no client follows a redirect
            self.is_answered = False
            target, was.values = table.find(self._path + "/", "GET")
        was.endpoint = endpoint = target if isinstance(target, Endpoint) else target.choose(None)
        return endpoint

    def _read_query(self, was: Was) -> dict[str, Any]:
        assert was.endpoint is not None
        args: dict[str, Any] = dict(zip(was.endpoint.route.rule.names, was.values, strict=False))
        args.update(query_fields(self._exchange.query, self._app.config["max_form_fields"]))
        return was.endpoint.arguments.fill(args)

    def check(self, spec: int, detail: Any, has_events: bool) -> str:
        """Take the configuration; return what is wrong with the arguments in the query, ``""`` for nothing.

        Raises:
            SetupError: the function does not take what the design gives it. ConfigurationError: an unknown encoding.
        """
        assert self._endpoint is not None
        arguments = self._endpoint.arguments
        names = [name for name in arguments.names if name not in self._endpoint.route.rule.names]
        if not has_events:  # as of 0.15: found by name
            self._message = detail if spec == WS_SIMPLE and isinstance(detail, str) else ""
            self._room = detail if spec == WEBSOCKET_MULTICAST and isinstance(detail, str) else ""
        elif spec in (WS_SIMPLE, WS_GROUPCHAT):
            wanted = names[: 1 if spec == WS_SIMPLE else 2]
            if len(wanted) < (1 if spec == WS_SIMPLE else 2):
                raise SetupError(f"{self._endpoint.route.name} needs an argument for the message, and one for a room")
            self._message, self._room = (*wanted, "")[:2]
            self._encoding = self._choose_encoding(detail)
        elif detail:
            self._encoding = self._choose_encoding(detail)
        for name in arguments.required:
            if name not in self._args and name != self._message:
                return f"Argument {name!r} is missing in the query."
        return ""

    @property
    def _is_strict(self) -> bool:
        return bool(self._app.config["strict_arguments"])

    def _choose_encoding(self, detail: Any) -> Encoding | None:
        if detail == WS_MSG_GRPC:
            raise ConfigurationError("WS_MSG_GRPC is not available: use WS_MSG_JSON or WS_MSG_XMLRPC")
        return ENCODINGS.get(detail) if isinstance(detail, str) else None

    def room(self) -> str | None:
        """Return the value of the room argument."""
        value = self._args.get(self._room)
        return None if value is None else str(value)

    def attach(self, socket: Any) -> None:
        """The WebSocket is there. What the handshake needed is forgotten: it would stay as long as the client."""
        self.environ[_SOCKET] = socket
        self.environ.pop("skitai.was", None)
        self._exchange.was = None
        if self._encoding is not None:
            socket.encode = self._encoding.dump
            if hasattr(socket, "decode"):
                socket.decode = self._encoding.load

    # Calls

    def call(self, event: str | None, message: str | bytes) -> Any:
        """Call the function. Guards and hooks are those of the handshake alone.

        Raises:
            RemoteProtocolError: the message is not in the encoding that was configured.
        """
        endpoint, encoding = self._endpoint, self._encoding
        assert endpoint is not None
        content: Any = message
        if encoding is not None and event is None:
            content = encoding.load(message)
        was = self._new_was(event)
        was.endpoint = endpoint
        try:
            args = {**self._args, self._message: content}
            return endpoint.function(was, **endpoint.arguments.choose(args, self._is_strict))
        finally:
            was.end()

    def run(self) -> None:
        """Call the function once for all messages, within the hooks of its route."""
        assert self._endpoint is not None
        was = self._new_was(None)
        was.endpoint = self._endpoint
        was.request.args = AttributeDict(self._args)
        try:
            self._endpoint.run_unguarded(was)
        finally:
            was.end()

    def tag(self) -> str:
        """Return what marks log lines."""
        return str(self._exchange.transaction)

    def _new_was(self, event: str | None) -> SocketWas:
        was = SocketWas(self._app, self._exchange, self._point, self._path, event, self.environ)
        activate(was)
        return was
