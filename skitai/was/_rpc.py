"""The XML-RPC client: stubs whose attributes are remote methods, and the results of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from skitai.errors import UnknownAlias
from skitai.was import _clients, _http, _modes, _request
from skitai.was._http_call import Headers, HttpService, Options, empty_call, make_call
from skitai.was._http_result import HttpResult
from skitai.wire import encodings, xmlrpc
from skitai.wire.http1 import ResponseHead
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._context import Context
    from skitai.was._request import Request
    from skitai.was._result import Node

#: Names that, on a stub that was called before, mean its last request: so version 0.15 was used.
_OF_REQUEST = frozenset({"wait", "getwait", "getswait", "cache", "code", "status", "status_code"})


class RpcResult(HttpResult):
    """The outcome of a remote call. An answer that is no 2xx is a plain HTTP answer."""

    __slots__ = ()

    @classmethod
    def answered(cls, call: Call, node: Node, head: ResponseHead, content: bytes) -> Self:
        """See :meth:`HttpResult.answered`.

        Raises:
            UnreadableBody: the document is broken or hostile.
        """
        result = super().answered(call, node, head, content)
        if 200 <= head.status < 300:
            try:
                result._data = xmlrpc.load_result(content)
            except xmlrpc.Fault as fault:
                result._data = fault
        return result

    def _read_data(self) -> Any:
        """Return the value, taken out of its tuple when it is the only one.

        Raises:
            xmlrpc.client.Fault: the remote method raised.
        """
        data = super()._read_data()
        if isinstance(data, xmlrpc.Fault):
            raise data
        return data

    def _decode(self) -> Any:
        if self.status == 3 and 200 <= self.code < 300:
            try:
                return xmlrpc.load_result(self._content)
            except xmlrpc.Fault as fault:
                return fault
        return super()._decode()


_clients.table["xmlrpc"] = _http.start
SERVICE = HttpService("rpc", "POST", encodings.XML, "xmlrpc", RpcResult)


class RpcService:
    """``was.rpc``: ``was.rpc(url).method(args)`` starts a call and returns its request."""

    __slots__ = ("_context", "_is_map")

    def __init__(self, context: Context, is_map: bool = False) -> None:
        self._context = context
        self._is_map = is_map

    def __call__(
        self,
        uri: str | None = None,
        data: Any = None,
        auth: Any = None,
        headers: Headers = None,
        meta: dict[str, Any] | bool | None = None,
        use_cache: bool = True,
        filter: Any = None,
        callback: Any = None,
        timeout: float | None = None,
        verify: bool | str | None = None,
        http2: bool | None = None,
    ) -> RpcStub:
        """Return a stub of the server at ``uri``. Arguments are those of ``was.post``; ``data`` is not used.

        Raises:
            AssertionError: no ``uri``.
        """
        if not uri:
            raise AssertionError("Missing param uri or cluster name")
        if isinstance(meta, bool):
            use_cache, meta = meta, None
        options = Options(auth, headers, meta, use_cache, filter, callback, timeout, verify, http2)
        return RpcStub(self._context, uri, options, self._is_map)

    @property
    def lb(self) -> RpcService:
        """The same, to one member of a cluster."""
        return RpcService(self._context)

    @property
    def map(self) -> RpcService:
        """The same, to every member of a cluster at once."""
        _modes.check_map()
        return RpcService(self._context, is_map=True)

    def __repr__(self) -> str:
        return f"<was.rpc{'.map' if self._is_map else ''}>"


class RpcStub:
    """A server whose methods are attributes, also dotted ones: ``stub.system.listMethods()``.

    Each call is a request of its own. After one, ``stub.getwait()`` and its like are those of the last request.
    """

    def __init__(self, context: Context, uri: str, options: Options, is_map: bool) -> None:
        self._context = context
        self._uri = uri
        self._options = options
        self._is_map = is_map
        self._last: Request | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._last is not None and name in _OF_REQUEST:
            return getattr(self._last, name)
        return _Method(self, name)

    def _start(self, method: str, params: tuple[Any, ...]) -> Request:
        options, context = self._options, self._context
        _modes.check_call(context, options.callback, self._is_map)
        try:
            call = make_call(SERVICE, self._uri, xmlrpc.dump_call(method, params), options, self._is_map)
        except UnknownAlias:
            raise
        except Exception as error:  # as was.post: what cannot be sent is a failed request
            call = empty_call(SERVICE, self._uri, options, self._is_map)
            self._last = _request.refused(context, call, error)
        else:
            self._last = _request.make(context, call)
        return self._last

    def __repr__(self) -> str:
        return f"<RpcStub {mask(self._uri)}>"


class _Method:
    """A remote method by its name so far."""

    __slots__ = ("_name", "_stub")

    def __init__(self, stub: RpcStub, name: str) -> None:
        self._stub = stub
        self._name = name

    def __getattr__(self, name: str) -> _Method:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Method(self._stub, f"{self._name}.{name}")

    def __call__(self, *params: Any) -> Request:
        return self._stub._start(self._name, params)

    def __repr__(self) -> str:
        return f"<remote method {self._name} of {self._stub!r}>"
