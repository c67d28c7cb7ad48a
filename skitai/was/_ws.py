"""The WebSocket client of calls: ``was.ws(url, message)`` sends one message, and its result is the next that comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from skitai.errors import (
    CallCancelled,
    ConnectFailed,
    ConnectionFailed,
    NameNotFound,
    ReadTimeout,
    TlsFailed,
    UnknownAlias,
)
from skitai.net import faults
from skitai.was import _clients, _clusters, _engine, _modes, _request, _settings
from skitai.was._http_call import Headers, HttpCall, HttpService, Options, empty_call, header_lines
from skitai.was._http_pool import Origin
from skitai.was._result import Node, Result
from skitai.was._ws_connection import Place, Refused, WsConnection
from skitai.was._ws_pool import WsPool
from skitai.wire import clusters, outcomes, urls, ws_handshake
from skitai.wire.auth import Credentials, credentials, of_userinfo
from skitai.wire.ws_frames import BINARY, TEXT
from skitai.wire.ws_messages import Pong

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._context import Context
    from skitai.was._request import Request
    from skitai.was._task import Task
    from skitai.was._ws_session import WsSession

NO_MESSAGE = -1


class WsResult(Result):
    """The outcome of a message.

    Attributes:
        opcode: 1 for text, 2 for binary; -1 when none came.
    """

    __slots__ = ("_data", "opcode")

    def __init__(
        self, call: Call, node: Node, status: int, code: int, reason: str, error: BaseException | None = None
    ) -> None:
        super().__init__(call, node, status, code, reason, error)
        self._data: str | bytes | None = None
        self.opcode = NO_MESSAGE

    @classmethod
    def received(cls, call: Call, node: Node, message: str | bytes) -> Self:
        """Return the result for a message that came."""
        result = cls(call, node, outcomes.NORMAL, 200, "OK")
        result._data = message
        result.opcode = TEXT if isinstance(message, str) else BINARY
        return result

    def _read_data(self) -> Any:
        """Return the message: str for text, bytes for binary, ``None`` when none came."""
        return self._data

    @property
    def content(self) -> tuple[int, str | bytes | None]:
        """(opcode, message)."""
        return self.opcode, self._data


SERVICE = HttpService("ws", "GET", protocol="ws", result=WsResult)
SECURE_SERVICE = HttpService("wss", "GET", protocol="ws", result=WsResult)


def place_of(call: HttpCall, cluster: Any, path: str, member: Any) -> Place:
    """Return where the message of a call goes."""
    default, cert = _settings.security(call.verify)
    if cluster is None:
        url = urls.parse_url(call.uri, urls.WEBSOCKET)
        scheme, host, port, target, authority = url.scheme, url.host, url.port, url.target, url.authority
    else:
        definition = cluster.definition
        if call.verify is None and definition.verify is not None:
            default = definition.verify
        cert = definition.cert or cert
        scheme = "wss" if definition.tls else "ws"
        host, port, target = member.member.host, member.member.port, urls.quote_target(path)
        authority = urls.authority(scheme, host, port)
    if scheme == "wss":
        origin = Origin(scheme, host, port, default, False, cert)
    else:
        origin = Origin(scheme, host, port, True, False)
    return Place(origin, target, authority, call.lines)


def start(task: Task) -> WsRun:
    """Send the message of ``task``; see :mod:`skitai.was._clients`."""
    run = WsRun(task, place_of(cast("HttpCall", task.call), task.cluster, task.path, task.member))
    run.begin()
    return run


_clients.table["ws"] = start


class WsRun:
    """One task at one server.

    Attributes:
        deadline: until when it waits for a connection, then for its message.
    """

    __slots__ = ("_call", "_connection", "_has_ended", "_has_repeated", "_place", "_pool", "_task", "deadline")

    def __init__(self, task: Task, place: Place) -> None:
        self._task = task
        self._call = cast("HttpCall", task.call)
        self._place = place
        self._connection: WsConnection | None = None
        self._has_repeated = False
        self._has_ended = False
        engine = _engine.current()
        key = (place, self._call.auth)
        pool = engine.ws_pools.get(key)
        if pool is None:
            pool = engine.ws_pools[key] = WsPool(engine, key)
        self._pool: WsPool = pool
        self.deadline = time.monotonic() + _settings.current.connect_time + self._call.timeout

    def begin(self) -> None:
        """Ask for a connection."""
        try:
            _engine.current().sweep.watch(self)
            self._pool.submit(self)
        except Exception as error:
            faults.escaped(self.begin, error)

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        if self._connection is not None:
            self._connection.poll()

    def cancel(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        if not self._has_ended:
            self._let_go()
            self._fail(CallCancelled("the call was cancelled"))

    def expire(self) -> None:
        """It took too long; called by the sweep."""
        self.poll()
        if self._has_ended:
            return
        self._let_go()
        self._fail(ReadTimeout(f"{self._place.origin} sent no message in {self._call.timeout:g} seconds"))

    def _let_go(self) -> None:
        """Want no answer any more. One that comes late would be taken for that of the next message."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        else:
            self._pool.withdraw(self)

    # As who waits for a connection

    def has_connection(self, connection: WsConnection) -> None:
        """Send the message."""
        call = self._call
        if self._has_ended:
            self._pool.give_back(connection)
            return
        body = call.body
        assert isinstance(body, bytes)
        connection.use(self)
        self._connection = connection
        self.deadline = time.monotonic() + call.timeout
        try:
            connection.send(body.decode() if call.method == "TEXT" else body)
        except ConnectionFailed:  # nothing was sent: another connection may do
            self._connection = None
            connection.drop()
            self._again()

    def has_none(self, error: Exception) -> None:
        """There is no connection."""
        if self._has_ended:
            return
        if isinstance(error, Refused):
            head = error.head
            result = self._task.call.result(self._task.call, self._node, outcomes.NORMAL, head.status, head.reason)
            self._end()
            self._task.succeed(result)
        else:
            self._fail(error)

    # As the owner of one

    def took(self, event: str | bytes | Pong) -> None:
        """The message came."""
        connection = self._connection
        if isinstance(event, Pong) or connection is None:
            return
        self._connection = None
        self._end()
        try:
            self._pool.give_back(connection)
        except Exception as error:
            faults.report(error)
            connection.drop()
        try:
            self._task.succeed(WsResult.received(self._task.call, self._node, event))
        except Exception as error:  # the connection may be another call's by now, which has nothing to do with it
            faults.escaped(self.took, error)

    def lost(self, error: Exception, code: int, reason: str) -> None:
        """The connection ended before a message came."""
        self._connection = None
        self._fail(error)

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._end()
        try:
            self._let_go()
        finally:
            self._task.break_off(error)

    @property
    def _node(self) -> Node:
        return (self._place.origin.host, self._place.origin.port)

    def _again(self) -> None:
        if self._has_repeated:
            self._fail(ConnectionFailed("every connection to the server breaks at once"))
            return
        self._has_repeated = True
        self._pool.submit(self)

    def _fail(self, error: Exception) -> None:
        if not self._has_ended:
            self._end()
            # What was sent may have had its effect: only who could not be reached is passed over for another member.
            self._task.fail(error, self._connection is None and _was_not_sent(error), self._node)

    def _end(self) -> None:
        self._has_ended = True
        _engine.current().sweep.forget(self)


def _was_not_sent(error: Exception) -> bool:
    return isinstance(error, (ConnectFailed, NameNotFound, TlsFailed))


# The service


class Message(NamedTuple):
    """What is sent: ``kind`` is ``"TEXT"`` or ``"BINARY"``."""

    kind: str
    payload: bytes


def read_message(message: Any) -> Message:
    """Return what a caller gave: str as text, bytes as binary, ``(opcode, data)`` as it says.

    Raises:
        TypeError, ValueError: it is none of these.
    """
    opcode = None
    if isinstance(message, tuple) and len(message) == 2:
        opcode, message = message
        if opcode not in (TEXT, BINARY):
            raise ValueError(f"the opcode of a message is 1 for text or 2 for binary, not {opcode!r}")
    if isinstance(message, str):
        return Message("BINARY" if opcode == BINARY else "TEXT", message.encode())
    if isinstance(message, (bytes, bytearray, memoryview)):
        payload = bytes(message)
        if opcode == TEXT:
            payload.decode()
        return Message("TEXT" if opcode == TEXT else "BINARY", payload)
    raise TypeError(
        f"a message is str, bytes or (opcode, data), not {type(message).__name__}: was.tojson() makes a str"
    )


class WsService:
    """``was.ws`` and ``was.wss``.

    ``was.ws("ws://host/path", message)`` sends a message at once and returns its request.
    """

    __slots__ = ("_context", "_is_map", "_service")

    def __init__(self, context: Context, service: HttpService, is_map: bool = False) -> None:
        self._context = context
        self._service = service
        self._is_map = is_map

    def __call__(
        self,
        uri: str | None = None,
        message: Any = "",
        auth: Any = None,
        headers: Headers = None,
        meta: dict[str, Any] | bool | None = None,
        use_cache: bool = True,
        filter: Any = None,
        callback: Any = None,
        timeout: float | None = None,
        verify: bool | str | None = None,
    ) -> Request:
        """Send one message; the result is the next message that comes.

        Args:
            uri: ``ws://`` or ``wss://``, or ``@alias/path``.
            message: str goes as text, bytes as binary, ``(opcode, data)`` as it says.
            use_cache: without effect; what a WebSocket says is never taken from a cache.
            timeout: seconds that the message may take to come; 10 when not given.
            auth, headers, meta, filter, callback, verify: as for ``was.get``; the first two for the handshake.

        Raises:
            AssertionError, UnknownAlias, RuntimeError: as for ``was.get``.
        """
        if not uri:
            raise AssertionError("Missing param uri or cluster name")
        meta = None if isinstance(meta, bool) else meta
        options = Options(auth, headers, meta, False, filter, callback, timeout, verify)
        _modes.check_call(self._context, callback, self._is_map)
        try:
            call = make_call(self._service, uri, message, options, self._is_map)
        except UnknownAlias:
            raise
        except Exception as error:  # an argument that cannot be sent is a failed request, as a server that is down
            return _request.refused(self._context, empty_call(self._service, uri, options, self._is_map), error)
        request: Request = _request.make(self._context, call)
        return request

    def connect(
        self,
        uri: str,
        auth: Any = None,
        headers: Headers = None,
        timeout: float | None = None,
        verify: bool | str | None = None,
        subprotocols: tuple[str, ...] | list[str] = (),
    ) -> WsSession:
        """Open a WebSocket and return it: ``with was.ws.connect(url) as ws: ws.send("hi"); print(ws.getwait(5))``.

        Args:
            uri: ``ws://`` or ``wss://``, or ``@alias/path``, of which one member is chosen.
            timeout: seconds to connect; 5 when not given.
            subprotocols: to offer, best first. auth, headers, verify: as for ``was.get``.

        Raises:
            RequestFailed: there is no WebSocket; its ``code`` is the status of the server or a 7xx code.
            UnknownAlias, ValueError, TypeError, LocalProtocolError: the arguments cannot be.
            RuntimeError: in the single-thread mode.
        """
        from skitai.was._ws_session import WsSession

        _modes.check_call(self._context, None, False)
        options = Options(auth, headers, None, False, None, None, timeout, verify)
        call = make_call(self._service, uri, "", options, False)
        ws_handshake.check_subprotocols(subprotocols)
        seconds = _settings.current.connect_time if timeout is None else float(timeout)
        return WsSession.open(call, tuple(subprotocols), time.monotonic() + seconds)

    @property
    def lb(self) -> WsService:
        """The same, to one member of a cluster; a URI that starts with ``@`` means it anyway."""
        return WsService(self._context, self._service)

    @property
    def map(self) -> WsService:
        """The same, to every member of a cluster at once: the results come from ``getswait()``."""
        _modes.check_map()
        return WsService(self._context, self._service, is_map=True)

    def __repr__(self) -> str:
        return f"<was.{self._service.name}{'.map' if self._is_map else ''}>"


def make_call(service: HttpService, uri: str, message: Any, options: Options, is_map: bool) -> HttpCall:
    """Return the call of a message. Raises as :func:`skitai.was._http_call.make_call`."""
    if not isinstance(uri, str):
        raise TypeError(f"the URL is a str, not {type(uri).__name__}")
    kind, payload = read_message(message)
    auth: Credentials | None = credentials(options.auth)
    if uri[:1] == "@":
        definition = _clusters.find(_clusters.split(uri)[0]).definition
        if definition.kind not in clusters.WEBSOCKET_KINDS:
            raise ValueError(f"@{definition.name} is of type {definition.kind}, which is not asked by WebSocket")
    else:
        userinfo = urls.parse_url(uri, urls.WEBSOCKET).userinfo
        auth = auth or of_userinfo(userinfo)
    lines, has_authorization = header_lines(options.headers)
    timeout = _settings.current.idle_time if options.timeout is None else float(options.timeout)
    return HttpCall(
        service.protocol, kind, uri, is_map, payload, lines, None if has_authorization else auth, options.verify,
        timeout, options.meta, False, options.filter, options.callback, service.result, service.name,
    )  # fmt: skip
