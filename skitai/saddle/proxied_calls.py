"""``proxy.get(reqid, url, ...)`` of an async response: the services of ``was``, with a name for each request."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from skitai.was._missing import SERVICES
from skitai.was._request import Request
from skitai.was._result import REQID
from skitai.was._services import HTTP

if TYPE_CHECKING:
    from skitai.saddle.async_response import ResProxy

#: Names of the services that a proxy has.
NAMES = (*HTTP, "rpc", "grpc", *SERVICES)


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
            reqid: a Python identifier, which is ``response.reqid`` in the response handler; ``None`` when it matters
                not.
            *args, **options: as those of the service of ``was``. meta: is ``response.meta``; as a keyword only.

        Returns:
            The request; nobody can wait for it. For XML-RPC and databases a stub, each call of which is a request.

        Raises:
            ValueError: ``reqid`` is no identifier, or ``meta`` has the reserved name ``__reqid``.
            TypeError: there is a callback: the response handler is the one.
        """
        if reqid is not None and not (isinstance(reqid, str) and reqid.isidentifier() and not iskeyword(reqid)):
            raise ValueError(f"a reqid is a Python identifier or None, not {reqid!r}: templates use it as a name")
        if meta is not None and REQID in meta:
            raise ValueError(f"{REQID!r} in meta is taken: it has the reqid")
        if callback is not None:
            raise TypeError("the response handler of the proxy is the callback of all its requests")
        started = self._service(*args, meta={**(meta or {}), REQID: reqid}, callback=self._proxy.take, **options)
        if isinstance(started, Request):
            self._proxy.count()
            return started
        return _Stub(started, self._proxy)

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
    """A stub, or a method of one by its name so far; each call of it is a request of the proxy."""

    __slots__ = ("_proxy", "_stub")

    def __init__(self, stub: Any, proxy: ResProxy) -> None:
        self._stub = stub
        self._proxy = proxy

    def __getattr__(self, name: str) -> _Stub:
        return _Stub(getattr(self._stub, name), self._proxy)

    def __call__(self, *args: Any, **options: Any) -> Any:
        started = self._stub(*args, **options)
        self._proxy.count()
        return started

    def __repr__(self) -> str:
        return repr(self._stub)
