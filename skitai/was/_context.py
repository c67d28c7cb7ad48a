"""The object that ``was`` is: of one request, or of the process outside any; and how the right one is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from skitai.lib.attributes import AttributeDict
from skitai.was import _db_services, _modes, _rpc, _services, _settings, _ws
from skitai.was._exchange import RequestView
from skitai.was._loggers import Loggers
from skitai.was._utilities import Utilities

if TYPE_CHECKING:
    from skitai.was._grpc import GrpcService

_variable: ContextVar[Context] = ContextVar("skitai.was")
_TREE_KEY = "skitai.was"

#: Objects that apps registered, by name.
_registered: dict[str, Any] = {}

#: Names that need a request, most of them one of Saddle: an error about them says so.
_OF_A_REQUEST = frozenset(
    (
        *("app", "cookie", "env", "g", "grpc_call", "mbox", "request", "response", "session", "subapp", "user"),
        *("ab", "aresponse", "redirect", "render", "render2", "render_ei"),
        *("fstream", "gstream", "jstream", "xstream"),
    )
)


class _HttpName:
    """``was.get`` and its like. No data descriptor, so that a test may put a double into an instance."""

    __slots__ = ("_service",)

    def __init__(self, name: str) -> None:
        self._service = _services.HTTP[name]

    def __get__(self, context: Context | None, owner: type[Context]) -> Any:
        return self if context is None else _services.Service(context, self._service)


class _DbName:
    """``was.postgresql`` and its like. No data descriptor, as :class:`_HttpName`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, context: Context | None, owner: type[Context]) -> Any:
        return self if context is None else _db_services.DbService(context, self._name)


class Context(Utilities):
    """``was`` of one request.

    Args:
        exchange: the request that is being served; ``None`` outside any.
    """

    def __init__(self, exchange: Any = None) -> None:
        self.exchange = exchange

    # Services; those of HTTP are added below

    @property
    def rpc(self) -> _rpc.RpcService:
        """XML-RPC: ``was.rpc(url).method(args)``."""
        return _rpc.RpcService(self)

    def ajob(self, alias: str, callback: Any = None, timeout: float = 10) -> Any:
        """Return a stub of a cluster of databases, whose commands nobody waits for; also while an app starts up.

        ``wasc.ajob("@mydb", fill_cache).execute("select ...")`` calls ``fill_cache(result)`` when the answer is there,
        or is known never to come.

        Args:
            alias: with or without ``@``.
            callback: see :meth:`skitai.was._services.Service.__call__`; ``None`` ignores the result.
                That a job failed is in the log in any case.
            timeout: seconds that each command may take.

        Raises:
            UnknownAlias: there is no such cluster.
        """
        return _db_services.job(self, alias, callback, timeout)

    @property
    def ws(self) -> _ws.WsService:
        """WebSocket: ``was.ws(url, message)``, or ``with was.ws.connect(url) as ws``."""
        return _ws.WsService(self, _ws.SERVICE)

    @property
    def wss(self) -> _ws.WsService:
        """The same as :attr:`ws`; the scheme of the URL, or the cluster, says whether it is by TLS."""
        return _ws.WsService(self, _ws.SECURE_SERVICE)

    @property
    def grpc(self) -> GrpcService:
        """gRPC: ``was.grpc(url).Method(message)``."""
        from skitai.was._grpc import GrpcService  # HTTP/2 is loaded by who needs it

        return GrpcService(self)

    @property
    def wasc(self) -> ProcessContext:
        """The ``was`` of the process: ``was.wasc.configure(...)``, ``was.wasc.register(...)``."""
        return wasc

    # The request

    @property
    def request(self) -> Any:
        """The request that is being served."""
        if self.exchange is None:
            raise AttributeError  # __getattr__ says why
        return RequestView(self.exchange)

    def txnid(self) -> str:
        """Return ``<gtxnid>/<ltxnid>`` of the request, ``""`` outside any."""
        return "" if self.exchange is None else str(self.exchange.transaction)

    @property
    def log_tag(self) -> str:
        """What marks log lines of this context: the transaction."""
        return self.txnid()

    # For services

    def transaction_lines(self) -> str:
        """Return the header lines of one more call of this request; ``""`` outside any."""
        return "" if self.exchange is None else self.exchange.transaction.next_lines()

    def activate(self) -> None:
        """Make this what :func:`current` finds in the running task and in what that starts."""
        activate(self)

    def __getattr__(self, name: str) -> Any:
        try:
            return _registered[name]
        except KeyError:
            raise AttributeError(self._why_missing(name)) from None

    def _why_missing(self, name: str) -> str:
        if name == "grpc_call":
            return "was.grpc_call exists only while a gRPC call is served"
        if name in _OF_A_REQUEST and self.exchange is None:
            return f"was.{name} exists only while a request is served"
        if name in _OF_A_REQUEST:
            return f"was.{name} exists only in apps of skitai.saddle"
        return f"was has no {name!r}: no such service, and nothing was registered by wasc.register({name!r}, ...)"

    def __str__(self) -> str:
        return "was: Skitai WSGI Appliation Service"  # so spelled by every version

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.txnid() or 'outside a request'}>"


for _name in _services.HTTP:
    setattr(Context, _name, _HttpName(_name))
for _name in _db_services.SERVICES:
    setattr(Context, _name, _DbName(_name))

_TAKEN = _OF_A_REQUEST | {"exchange"}

#: Every name of the context that is always there: what the module forwards.
NAMES = frozenset(name for name in dir(Context) if not name.startswith("_"))


class ProcessContext(Context):
    """``was`` outside any request, and what an app sets up the process with: ``wasc`` in its start-up function."""

    def register(self, name: str, obj: Any) -> None:
        """Make ``obj`` an attribute of every ``was`` of this process; its ``cleanup()``, if any, is called at the end.

        What was registered under that name before is replaced: an app that is reloaded registers its things anew.

        Raises:
            ValueError: the name is no identifier, starts with an underscore, or is one of ``was`` itself.
        """
        if not name.isidentifier() or name.startswith("_") or hasattr(ProcessContext, name) or name in _TAKEN:
            raise ValueError(f"{name!r} cannot be registered: it is no public identifier, or a name of was itself")
        _registered[name] = obj

    def clean_up(self) -> None:
        """Call ``cleanup()`` of everything registered that has it; the server does so when it ends."""
        for name, obj in list(_registered.items()):
            cleanup = getattr(obj, "cleanup", None)
            if callable(cleanup):
                try:
                    cleanup()
                except Exception:  # the others are to be cleaned up as well
                    self.traceback(f"cleanup of {name}")

    def unregister(self, name: str) -> Any:
        """Take back what was registered, and return it.

        Raises:
            KeyError: there is no such thing.
        """
        return _registered.pop(name)

    def configure(self, **changes: Any) -> None:
        """Change bounds and defaults of all further calls, as ``wasc.configure(verify="/etc/ssl/ours.pem")``.

        Args:
            **changes: see ``docs/was.md``.

        Raises:
            TypeError: there is no such setting.
        """
        _settings.configure(**changes)

    @property
    def logger(self) -> Loggers:
        """The logs of the process: ``wasc.logger.get("app")``, ``wasc.logger.make_logger("login", "daily")``."""
        return Loggers()

    @property
    def config(self) -> AttributeDict:
        """What ``skitai.run()`` was told, by the names of its keywords; the server fills it."""
        return _config

    @property
    def numthreads(self) -> int:
        """Slots for app calls; 0 is the single-thread mode. The server sets it."""
        return _modes.current.threads

    @numthreads.setter
    def numthreads(self, number: int) -> None:
        _modes.current.threads = number

    @property
    def single_threaded(self) -> bool:
        """Whether this is the single-thread mode."""
        return _modes.current.is_single


_config = AttributeDict()

#: The context of the process.
wasc = ProcessContext()


def current() -> Context:
    """Return the context of the request in which the caller runs, or that of the process.

    A greenlet or ``threading.Thread`` that an app started has a :mod:`contextvars` context of its own, but belongs to
    the tree of the greenlet that started it: there its request is found.
    """
    context = _variable.get(None)
    if context is not None:
        return context
    tree: dict[str, Any] | None = getattr(getcurrent(), "spawn_tree_locals", None)
    return tree.get(_TREE_KEY, wasc) if tree else wasc


def activate(context: Context) -> None:
    """Make ``context`` what :func:`current` finds from now on in the running task and in what that starts."""
    _variable.set(context)
    tree: dict[str, Any] | None = getattr(getcurrent(), "spawn_tree_locals", None)
    if tree is not None:
        tree[_TREE_KEY] = context


@contextmanager
def preserved() -> Iterator[None]:
    """What is activated inside is forgotten at the end: for callers that live longer than the request they make."""
    tree: dict[str, Any] | None = getattr(getcurrent(), "spawn_tree_locals", None)
    former = None if tree is None else tree.get(_TREE_KEY)
    token = _variable.set(current())
    try:
        yield
    finally:
        _variable.reset(token)
        if tree is not None and former is None:
            tree.pop(_TREE_KEY, None)
        elif tree is not None:
            tree[_TREE_KEY] = former
