"""``was.db``, ``was.postgresql``, ``was.sqlite3``, ``was.redis`` and ``was.mongodb``: stubs of databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skitai.net import logs
from skitai.was import _callback, _clusters, _db_target, _modes
from skitai.was._db_arguments import read_arguments
from skitai.was._db_stub import DbStub
from skitai.was._mongodb_stub import MongoStub
from skitai.was._postgresql_stub import PostgresStub
from skitai.was._redis_stub import RedisStub
from skitai.was._sqlite_stub import SqliteStub
from skitai.wire import databases, outcomes

if TYPE_CHECKING:
    from skitai.was._context import Context
    from skitai.was._result import Result

#: Class of the stubs by kind of database.
STUBS: dict[str, type[DbStub]] = {
    "postgresql": PostgresStub, "sqlite3": SqliteStub, "redis": RedisStub, "mongodb": MongoStub,
}  # fmt: skip

#: Services by name; ``None`` is the kind that a call or its alias names.
SERVICES: dict[str, str | None] = {"db": None, **{kind: kind for kind in STUBS}}


class DbService:
    """``was.postgresql`` and its like: ``was.postgresql(server, dbname, auth).execute(sql)``.

    Args:
        context: the ``was`` that is called. name: of the service. is_map: all members of a cluster.
    """

    __slots__ = ("_context", "_is_map", "_name")

    def __init__(self, context: Context, name: str, is_map: bool = False) -> None:
        self._context = context
        self._name = name
        self._is_map = is_map

    def __call__(self, server: str | None = None, *args: Any, **options: Any) -> Any:
        """Return a stub.

        Args:
            server: ``"host"``, ``"host:port"``, the path of a file for SQLite, or ``"@alias"``.
            *args: ``dbname``, ``auth`` as ``(user, password)``, and what follows them in ``was.get``. For ``was.db``
                also ``dbname, user, password, dbtype``; a ``DB_*`` constant is the type wherever it stands.
            **options: ``dbname``, ``auth``, ``dbtype``, ``meta``, ``use_cache``, ``filter``, ``callback``, and
                ``timeout``: seconds that a command may take, which the database is told where it can be.

        Raises:
            AssertionError: no ``server``. UnknownAlias: it names a cluster that is not defined.
            TypeError: an argument that there is not, or one that is given twice.
        """
        if not server:
            raise AssertionError("Missing param server or cluster name")
        given = read_arguments(args, options)
        kind = SERVICES[self._name] or given.kind
        if server[:1] != "@":
            kind = kind or "postgresql"
        target = _db_target.read(kind, server, given.dbname, given.auth, self._is_map)
        return STUBS[target.kind](self._context, target, given.options, self._name)

    @property
    def lb(self) -> DbService:
        """The same, to one member of a cluster."""
        return DbService(self._context, self._name)

    @property
    def map(self) -> DbService:
        """The same, to every member of a cluster at once."""
        _modes.check_map()
        return DbService(self._context, self._name, is_map=True)

    def __repr__(self) -> str:
        return f"<was.{self._name}{'.map' if self._is_map else ''}>"


def job(context: Context, alias: str, callback: Any = None, timeout: float = 10) -> Any:
    """Return a stub whose commands nobody waits for; see :meth:`skitai.was._context.Context.ajob`."""
    name = alias.removeprefix("@")
    kind = _clusters.find(name).definition.kind
    service = kind if kind in databases.KINDS else "db"
    if callback is not None:
        _callback.check(callback)
    return DbService(context, service)(f"@{name}", callback=(_job_done, (context, callback)), timeout=timeout)


def _job_done(result: Result, context: Context, callback: Any) -> None:
    if result.status != outcomes.NORMAL:
        message = f"Job Failed: {result.url} {result.method}: {result.code} {result.reason}"
        logs.current().app.log(message, "error", context.log_tag)
    if callback is not None:
        _callback.invoke(callback, result)
