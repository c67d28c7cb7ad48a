"""``proxy.get(reqid, url, ...)`` of an async response: the services of ``was``, with a name for each request."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from skitai.net import logs
from skitai.was._db_services import SERVICES as DATABASES
from skitai.was._redis_stub import Pipeline
from skitai.was._request import Request
from skitai.was._result import REQID
from skitai.was._services import HTTP

if TYPE_CHECKING:
    from skitai.saddle.async_response import ResProxy

#: Names of the services that a proxy has.
NAMES = (*HTTP, "rpc", "grpc", "ws", "wss", *DATABASES)


class ProxiedService:
    """``proxy.get`` and its like.

    Args:
        proxy: that gets the results. service: of ``was``.
    """

    __slots__ = ("_proxy", "_service")

    def __init__(self, proxy: ResProxy, service: Any) -> None:
        self._proxy = proxy
        self._service = service

    def __call__(
        self, reqid: str | None, *args: Any, meta: dict[str, Any] | None = None, callback: None = None, **options: Any
    ) -> Any:
        """Start a request.

        Args:
            reqid: ``response.reqid`` in the response handler; ``None`` when it matters not. Templates can use it as a
                name when it is a Python identifier; of any other text the log says that none can.
            *args, **options: as those of the service of ``was``. meta: is ``response.meta``; as a keyword only.

        Returns:
            The request; nobody can wait for it. For XML-RPC and databases a stub, each call of which is a request.

        Raises:
            ValueError: ``meta`` has the reserved name ``__reqid``.
            TypeError: ``reqid`` is no text; or there is a callback: the response handler is the one.
        """
        if reqid is not None:
            self._check(reqid)
        if meta is not None and REQID in meta:
            raise ValueError(f"{REQID!r} in meta is taken: it has the reqid")
        if callback is not None:
            raise TypeError("the response handler of the proxy is the callback of all its requests")
        started = self._service(*args, meta={**(meta or {}), REQID: reqid}, callback=self._proxy.take, **options)
        if isinstance(started, Request):
            self._proxy.count()
            return started
        return _Stub(started, self._proxy)

    def _check(self, reqid: str) -> None:
        if not isinstance(reqid, str):
            raise TypeError(f"a reqid is a str or None, not {type(reqid).__name__}")
        if not reqid.isidentifier() or iskeyword(reqid):  # it should be one, but the documents' example has "req-0"
            text = f"reqid {reqid!r} is no Python identifier, so no template can name what is kept under it"
            logs.current().app.log(text, "warn", self._proxy.was.log_tag)

    @property
    def lb(self) -> ProxiedService:
        """The same, to one member of a cluster."""
        return self

    @property
    def map(self) -> ProxiedService:
        """Refused: a map has several results, and the response handler takes one.

        Raises:
            AttributeError: always.
        """
        raise AttributeError("Cannot use Map-Reduce with async response")

    def __repr__(self) -> str:
        return f"<{self._service!r} of {self._proxy!r}>"


class _Stub:
    """A stub, or a method of one by its name so far; each request that a call of it starts is one of the proxy."""

    __slots__ = ("_proxy", "_stub")

    def __init__(self, stub: Any, proxy: ResProxy) -> None:
        self._stub = stub
        self._proxy = proxy

    def __getattr__(self, name: str) -> _Stub:
        return _Stub(getattr(self._stub, name), self._proxy)

    def __call__(self, *args: Any, **options: Any) -> Any:
        started = self._stub(*args, **options)
        if isinstance(started, Request):
            self._proxy.count()
        elif isinstance(started, Pipeline):
            return _Stub(started, self._proxy)
        return started

    def __repr__(self) -> str:
        return repr(self._stub)
