"""What ``was.postgresql(...)`` and its like return: each command of a stub is a request of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skitai.was import _clusters, _modes, _request
from skitai.was._db_call import DbCall, DbOptions
from skitai.was._db_connection import Command
from skitai.was._db_result import DbResult
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.was._context import Context
    from skitai.was._db_target import Target
    from skitai.was._request import Request
    from skitai.wire.databases import Database

#: Names that, on a stub that was used before, mean its last request: so version 0.15 was used.
OF_REQUEST = frozenset({"wait", "getwait", "getswait", "cache", "cancel", "code", "status", "status_code"})


class DbStub:
    """A database, or a cluster of them.

    Each command starts a request and returns it. After one, ``stub.getwait()`` and its like are those of the last
    request.

    Args:
        context: the ``was`` that was called. target: where commands go. options: as the caller gave them.
        name: of the service, for the logs.
    """

    #: Class of the results.
    result: type[DbResult] = DbResult

    def __init__(self, context: Context, target: Target, options: DbOptions, name: str) -> None:
        self._context = context
        self._target = target
        self._options = options
        self._name = name
        self._last: Request | None = None

    def __getattr__(self, name: str) -> Any:
        if self._last is not None and name in OF_REQUEST:
            return getattr(self._last, name)
        raise AttributeError(self._why_missing(name))

    def _why_missing(self, name: str) -> str:
        if name in OF_REQUEST:
            return f"{self!r} has no {name!r} before its first command"
        return f"{self!r} has no command {name!r}"

    def _start(self, command: Command) -> Request:
        """Start a request.

        Raises:
            RuntimeError: see :func:`skitai.was._modes.check_call`.
        """
        if self._target.error is not None:
            return self._refuse(command, self._target.error)
        self._last = _request.make(self._context, self._call(command))
        return self._last

    def _refuse(self, command: Command, error: Exception) -> Request:
        """Return a request that has failed already.

        Raises:
            RuntimeError: see :func:`skitai.was._modes.check_call`.
        """
        self._last = _request.refused(self._context, self._call(command), error)
        return self._last

    def _call(self, command: Command) -> DbCall:
        _modes.check_call(self._context, self._options.callback, self._target.is_map)
        return DbCall(self._target, command, self._options, self.result, self._name)

    def _only_database(self) -> Database:
        """Return the database, or the one of a cluster with one member.

        Raises:
            RuntimeError: the cluster has several.
        """
        if self._target.database is not None:
            return self._target.database
        cluster = _clusters.find(self._target.uri[1:])
        if len(cluster.balancer.states) > 1:
            raise RuntimeError(f"{self._target.uri} has several members: listen at each server by its own address")
        return self._target.database_of(cluster, cluster.balancer.states[0])

    def __repr__(self) -> str:
        return f"<was.{self._name}{'.map' if self._target.is_map else ''} {mask(self._target.uri)}>"
