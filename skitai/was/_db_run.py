"""The client of databases: from a task to a command on a connection, and back to its result.

A driver blocks its greenlet, so each command runs on a worker greenlet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from skitai.errors import CallCancelled, PeerClosed, ReadTimeout
from skitai.net import pool as workers
from skitai.was import _clients, _db_drivers, _settings
from skitai.was._db_result import DbResult
from skitai.was._db_work import perform
from skitai.wire import databases

if TYPE_CHECKING:
    from skitai.was._db_call import DbCall
    from skitai.was._db_connection import Answer, DbConnection
    from skitai.was._db_pool import DbPool
    from skitai.was._task import Task


@contextmanager
def taken(pool: DbPool, deadline: float) -> Iterator[DbConnection]:
    """A connection of ``pool``, given back at the end. See :meth:`DbPool.checkout`."""
    connection = pool.checkout(deadline)
    is_broken = True  # unless it is sure that nothing is under way on it
    try:
        yield connection
        is_broken = connection.is_unusable
    except Exception:
        is_broken = connection.is_unusable
        raise
    finally:
        pool.checkin(connection, is_broken=is_broken)


class DbRun:
    """See the module.

    Args:
        task: gets the outcome. pool: of the database. can_repeat: the command may be done again when it is not known
            whether the first time had an effect.
    """

    __slots__ = ("_can_repeat", "_connection", "_is_cancelled", "_pool", "_task")

    def __init__(self, task: Task, pool: DbPool, can_repeat: bool) -> None:
        self._task = task
        self._pool = pool
        self._can_repeat = can_repeat
        self._connection: DbConnection | None = None
        self._is_cancelled = False

    def start(self, call: DbCall) -> DbRun:
        """Begin at once: when a connection is kept, the command is on its way when this returns."""
        workers.begin(self._run, call)
        return self

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`: an answer comes through a driver, so there is nothing to look for."""

    def cancel(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        self._is_cancelled = True
        if self._connection is not None:
            self._connection.is_spent = True  # it may be what the database does next that it ends
            workers.spawn(self._connection.cancel)

    def _run(self, call: DbCall) -> None:
        task, node = self._task, self._pool.database.node
        try:
            answer = self._answer(call)
        except Exception as error:  # of whatever kind: the call failed with it, and its result says so
            can_repeat = self._can_repeat or not isinstance(error, (ReadTimeout, PeerClosed))
            task.fail(error, can_repeat and not self._is_cancelled, node)
        else:
            task.succeed(DbResult.answered(task.call, node, answer))

    def _answer(self, call: DbCall) -> Answer:
        try:
            return self._attempt(call)
        except PeerClosed:
            # A kept connection may have been closed while the command was on its way. A new one shows how it really is.
            if not self._can_repeat or self._is_cancelled:
                raise
        # The pool is forgotten when its last connection is closed, and then another one has its place.
        self._pool = _db_drivers.pool_of(self._pool.database)
        return self._attempt(call)

    def _attempt(self, call: DbCall) -> Answer:
        patience = _settings.current.idle_time if call.timeout is None else call.timeout
        with taken(self._pool, time.monotonic() + patience) as connection:
            if self._is_cancelled:
                raise CallCancelled("the call was cancelled before it was sent")
            self._connection = connection
            try:
                return perform(connection, call.command, call.timeout)
            finally:
                self._connection = None

    def __repr__(self) -> str:
        return f"<DbRun of {self._task.call!r} at {self._pool.database}>"


def start(task: Task) -> DbRun:
    """Start the command of ``task``; see :mod:`skitai.was._clients`."""
    call = cast("DbCall", task.call)
    driver = _db_drivers.table[call.protocol]
    pool = _db_drivers.pool_of(call.target.database_of(task.cluster, task.member))
    return DbRun(task, pool, driver.can_repeat(call.command)).start(call)


for _kind in databases.KINDS:
    _clients.table[_kind] = start
