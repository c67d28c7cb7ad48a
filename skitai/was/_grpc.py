"""``was.grpc``: stubs of gRPC services, whose attributes are the methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from skitai.errors import UnknownAlias
from skitai.was import _grpc_run, _modes, _request
from skitai.was._grpc_call import empty_call, make_call
from skitai.was._grpc_feed import Conversation, Feed, Outgoing
from skitai.was._http_call import Headers, Options
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._context import Context
    from skitai.was._grpc_call import GrpcCall
    from skitai.was._request import Request

__all__ = ["GrpcService", "GrpcStub"]
_ = _grpc_run  # which enters itself in the table of clients

#: Names that, on a stub that was called before, mean its last request, as on a stub of XML-RPC.
_OF_REQUEST = frozenset({"wait", "getwait", "getswait", "cache", "code", "status", "status_code"})


class GrpcService:
    """``was.grpc``: ``was.grpc(url).Method(message)`` starts a call and returns its request."""

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
        compress: bool = False,
    ) -> GrpcStub:
        """Return a stub of the service at ``uri``: ``http://host:port/package.Service`` or ``@alias/package.Service``.

        Args:
            data: not used. headers: metadata; values of names that end with ``-bin`` are bytes.
            auth: ``(user, password)`` for Basic, ``(token,)`` for Bearer.
            timeout: seconds that a call may take in all; the server is told. ``None`` bounds silence only.
            compress: send messages by gzip.
            meta, use_cache, filter, callback, verify: as those of ``was.post``.

        Raises:
            AssertionError: no ``uri``.
        """
        if not uri:
            raise AssertionError("Missing param uri or cluster name")
        if isinstance(meta, bool):
            use_cache, meta = meta, None
        options = Options(auth, headers, meta, use_cache, filter, callback, timeout, verify)
        return GrpcStub(self._context, uri, options, self._is_map, compress)

    @property
    def lb(self) -> GrpcService:
        """The same, to one member of a cluster."""
        return GrpcService(self._context)

    @property
    def map(self) -> GrpcService:
        """The same, to every member of a cluster at once."""
        _modes.check_map()
        return GrpcService(self._context, is_map=True)

    def __repr__(self) -> str:
        return f"<was.grpc{'.map' if self._is_map else ''}>"


class GrpcStub:
    """A service whose methods are attributes.

    Each call is a request of its own. After one, ``stub.getwait()`` and its like are those of the last request.
    """

    def __init__(self, context: Context, uri: str, options: Options, is_map: bool, is_compressed: bool) -> None:
        self._context = context
        self._uri = uri
        self._options = options
        self._is_map = is_map
        self._is_compressed = is_compressed
        self._last: Request | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._last is not None and name in _OF_REQUEST:
            return getattr(self._last, name)
        return _Method(self, name)

    def _start(self, name: str, content: Any, feed: Feed | None = None) -> tuple[Request, GrpcCall]:
        options, context = self._options, self._context
        _modes.check_call(context, options.callback, self._is_map)
        try:
            call = make_call(self._uri, name, content, options, self._is_map, self._is_compressed, feed)
        except UnknownAlias:
            raise
        except Exception as error:  # as was.post: what cannot be sent is a failed request
            call = empty_call(self._uri, name, options, self._is_map)
            self._last = _request.refused(context, cast("Any", call), error)
        else:
            self._last = _request.make(context, cast("Any", call))
        return self._last, call

    def __repr__(self) -> str:
        return f"<GrpcStub {mask(self._uri)}>"


class _Method:
    """A method of a stub."""

    __slots__ = ("_name", "_stub")

    def __init__(self, stub: GrpcStub, name: str) -> None:
        self._stub = stub
        self._name = name

    def __call__(self, message: Any) -> Request:
        """Start a call.

        Args:
            message: of the class that the method takes; for a stream of them an iterable, which is read while it is
                sent, unless it is a list or tuple.
        """
        return self._stub._start(self._name, message)[0]

    def stream(self, message: Any = None) -> Conversation:
        """Start a call whose messages are taken as they come.

        Args:
            message: as above; ``None`` to send messages by :meth:`Conversation.send`.

        Raises:
            RuntimeError: the stub has a callback, or is for every member of a cluster.
        """
        stub = self._stub
        if stub._is_map or stub._options.callback is not None:
            raise RuntimeError("a stream has one server, and whoever iterates over it is its callback")
        outgoing = Outgoing() if message is None else None
        feed = Feed()
        request, call = stub._start(self._name, message if outgoing is None else outgoing, feed)
        return Conversation(request, feed, call.rpc, outgoing)

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._stub!r}>"
