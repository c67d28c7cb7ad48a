"""The client of databases: from a task to a command on a connection, and back to its result.

A driver blocks its greenlet, so each command runs on a worker greenlet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from skitai.errors import CallCancelled, PeerClosed, ReadTimeout
from skitai.net import pool as workers
from skitai.was import _clients, _db_drivers, _settings
from skitai.was._db_connection import Answer
from skitai.was._db_result import DbResult
from skitai.was._db_work import perform
from skitai.wire import databases

if TYPE_CHECKING:
    from skitai.was._db_call import DbCall
    from skitai.was._db_connection import DbConnection
    from skitai.was._db_drivers import Driver
    from skitai.was._db_pool import DbPool
    from skitai.was._task import Task


class taken:
    """``with taken(pool, deadline) as connection``: a connection of ``pool``, given back at the end.

    Written out, because ``contextlib.contextmanager`` costs three microseconds per request.

    Args:
        pool, deadline: see :meth:`DbPool.checkout`.
    """

    __slots__ = ("_connection", "_deadline", "_pool")

    def __init__(self, pool: DbPool, deadline: float) -> None:
        self._pool = pool
        self._deadline = deadline

    def __enter__(self) -> DbConnection:
        self._connection = self._pool.checkout(self._deadline)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # After what is no Exception, something may be under way on it.
        is_sure = error is None or isinstance(error, Exception)
        self._pool.checkin(self._connection, is_broken=not is_sure or self._connection.is_unusable)


class DbRun:
    """See the module.

    Args:
        driver: of the database. pool: its connections.
    """

    # Not the task: frames of a traceback know the run, and the task knows the error with its traceback. Without that
    # cycle a failed call goes at once, not when the garbage collector comes.
    __slots__ = ("_connection", "_driver", "_is_cancelled", "_pool")

    def __init__(self, driver: Driver, pool: DbPool) -> None:
        self._driver = driver
        self._pool = pool
        self._connection: DbConnection | None = None
        self._is_cancelled = False

    def start(self, task: Task, call: DbCall) -> DbRun:
        """Begin at once: when a connection is kept, the command is on its way when this returns.

        Args:
            task: gets the outcome.
        """
        workers.begin(self._run, task, call)
        return self

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`: an answer comes through a driver, so there is nothing to look for."""

    def cancel(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        self._is_cancelled = True
        if self._connection is not None:
            self._connection.is_spent = True  # it may be what the database does next that it ends
            workers.spawn(self._connection.cancel)

    def _run(self, task: Task, call: DbCall) -> None:
        node = self._pool.database.node
        outcome = self._outcome(call)
        if isinstance(outcome, Answer):
            task.succeed(DbResult.answered(task.call, node, outcome))
        else:
            # Nothing was sent, or it does no harm to send it again.
            can_repeat = not isinstance(outcome, (ReadTimeout, PeerClosed)) or self._can_repeat(call)
            task.fail(outcome, can_repeat, node)
        del task, outcome  # this frame is one of the traceback, too

    def _outcome(self, call: DbCall) -> Answer | Exception:
        """Return the answer, or of whatever kind the error is: the call failed with it, and its result says so."""
        try:
            return self._answer(call)
        except Exception as error:
            return error

    def _answer(self, call: DbCall) -> Answer:
        try:
            return self._attempt(call)
        except PeerClosed:
            # A kept connection may have been closed while the command was on its way. A new one shows how it really is.
            if not self._can_repeat(call):
                raise
        # The pool is forgotten when its last connection is closed, and then another one has its place.
        self._pool = _db_drivers.pool_of(self._pool.database)
        return self._attempt(call)

    def _can_repeat(self, call: DbCall) -> bool:
        return not self._is_cancelled and self._driver.can_repeat(call.command)

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
        return f"<DbRun at {self._pool.database}>"


def start(task: Task) -> DbRun:
    """Start the command of ``task``; see :mod:`skitai.was._clients`."""
    call = cast("DbCall", task.call)
    driver = _db_drivers.table[call.protocol]
    pool = _db_drivers.pool_of(call.target.database_of(task.cluster, task.member))
    return DbRun(driver, pool).start(task, call)


for _kind in databases.KINDS:
    _clients.table[_kind] = start
