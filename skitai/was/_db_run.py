"""The client of databases: from a task to a command on a connection, and back to its result.

A driver blocks its greenlet, so each command runs on a worker greenlet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from skitai.errors import CallCancelled, PeerClosed, ReadTimeout
from skitai.net import faults
from skitai.net import pool as workers
from skitai.was import _clients, _db_drivers, _settings
from skitai.was._db_connection import Answer
from skitai.was._db_work import perform
from skitai.wire import databases

if TYPE_CHECKING:
    from skitai.was._db_call import DbCall
    from skitai.was._db_connection import DbConnection
    from skitai.was._db_drivers import Driver
    from skitai.was._db_pool import DbPool, Turn
    from skitai.was._task import Task


class taken:
    """``with taken(pool, deadline) as connection``: a connection of ``pool``, given back at the end.

    Written out, because ``contextlib.contextmanager`` costs three microseconds per request.

    Args:
        pool, deadline: see :meth:`DbPool.checkout`.
    """

    __slots__ = ("_connection", "_pool", "deadline")

    def __init__(self, pool: DbPool, deadline: float) -> None:
        self._pool = pool
        self.deadline = deadline

    def __enter__(self) -> DbConnection:
        self._connection = self._pool.checkout(self.deadline)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # After what is no Exception, something may be under way on it.
        is_sure = error is None or isinstance(error, Exception)
        self._return(not is_sure or self._connection.is_unusable)

    def _return(self, is_broken: bool) -> None:
        self._pool.checkin(self._connection, is_broken=is_broken)


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
        turn = _Turn(self, self._pool, task, call)
        if self._pool.is_used_up:
            self._pool.enqueue(turn)
        else:
            workers.begin(_serve, turn)
        return self

    def poll(self) -> None:
        """See :class:`skitai.was._task.Running`: an answer comes through a driver, so there is nothing to look for."""

    def cancel(self) -> None:
        """See :class:`skitai.was._task.Running`."""
        self._is_cancelled = True
        if self._connection is not None:
            self._connection.is_spent = True  # it may be what the database does next that it ends
            workers.spawn(self._connection.cancel)

    def end(self, task: Task, call: DbCall, outcome: Answer | Exception) -> None:
        """Give ``task`` its outcome."""
        node = self._pool.database.node
        try:
            if isinstance(outcome, Answer):
                task.succeed(call.result.answered(call, node, outcome))
            else:
                # Nothing was sent, or it does no harm to send it again.
                can_repeat = not isinstance(outcome, (ReadTimeout, PeerClosed)) or self._can_repeat(call)
                task.fail(outcome, can_repeat, node)
        except Exception as error:  # on a worker greenlet nobody else would hear of it
            faults.escaped(task.succeed, error)
        del task, outcome  # this frame is one of the traceback, too

    def outcome(self, call: DbCall, turn: _Turn) -> Answer | Exception:
        """Do the command, on a worker greenlet.

        Args:
            turn: has a connection, or asks for one.

        Returns:
            The answer, or of whatever kind the error is: the call failed with it, and its result says so.
        """
        try:
            return self._attempt(call, turn)
        except PeerClosed as error:
            # A kept connection may have been closed while the command was on its way. A new one shows how it really is.
            if not self._can_repeat(call):
                return error
        except Exception as error:
            return error
        # The pool is forgotten when its last connection is closed, and then another one has its place.
        self._pool = _db_drivers.pool_of(self._pool.database)
        try:
            return self._attempt(call, taken(self._pool, time.monotonic() + _patience(call)))
        except Exception as error:
            return error

    def _can_repeat(self, call: DbCall) -> bool:
        return not self._is_cancelled and self._driver.can_repeat(call.command)

    def _attempt(self, call: DbCall, held: taken) -> Answer:
        with held as connection:
            if self._is_cancelled:
                raise CallCancelled("the call was cancelled before it was sent")
            self._connection = connection
            try:
                return perform(connection, call.command, call.timeout)
            finally:
                self._connection = None

    def __repr__(self) -> str:
        return f"<DbRun at {self._pool.database}>"


class _Turn(taken):
    """A command that waits for a connection, if it has to, and for a greenlet only when it has one.

    Args:
        run, pool: that it belongs to. task, call: see :meth:`DbRun.start`.
    """

    __slots__ = ("_following", "_given", "_is_given", "_work")

    def __init__(self, run: DbRun, pool: DbPool, task: Task, call: DbCall) -> None:
        self._pool = pool
        self.deadline = time.monotonic() + _patience(call)
        self._work: tuple[DbRun, Task, DbCall] | None = (run, task, call)
        self._given: DbConnection | None = None
        self._is_given = False
        self._following: Turn | None = None

    # For the pool

    def accept(self, connection: DbConnection | None) -> None:
        """See :class:`skitai.was._db_pool.Turn`."""
        self._pool.engine.sweep.forget(self)
        self._given = connection
        self._is_given = True

    def begin(self) -> None:
        """See :class:`skitai.was._db_pool.Turn`."""
        workers.spawn(_serve, self)

    def expire(self) -> None:
        """See :class:`skitai.net.timers.HasDeadline`."""
        if self._pool.dequeue(self):
            run, task, call = self._leave()
            workers.spawn(run.end, task, call, self._pool.none_got_free())

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`."""
        self._pool.dequeue(self)
        if self._work is not None:
            run, task, call = self._leave()
            run.end(task, call, faults.as_exception(error))

    # On a worker greenlet

    def serve(self) -> Turn | None:
        """Do it, and return the turn that the connection was passed on to."""
        run, task, call = self._leave()
        try:
            outcome = run.outcome(call, self)
        except BaseException as error:  # the greenlet is ended, or a function that the driver calls wants to end all
            faults.report(error)
            outcome = faults.as_exception(error)
            run.end(task, call, outcome)
            following, self._following = self._following, None
            if following is not None:
                following.begin()
            faults.reraise_end(error)
            return None
        # Out of sight: an error knows this turn by its traceback, and would keep what came after it.
        following, self._following = self._following, None
        try:
            run.end(task, call, outcome)
        except BaseException:
            if following is not None:
                following.begin()
            raise
        finally:
            del task, outcome  # see DbRun
        return following

    def __enter__(self) -> DbConnection:
        if self._is_given:
            self._connection = self._pool.take(self._given, self.deadline)
        else:
            self._connection = self._pool.checkout(self.deadline)
        return self._connection

    def _return(self, is_broken: bool) -> None:
        self._following = self._pool.pass_on(self._connection, is_broken=is_broken)

    def _leave(self) -> tuple[DbRun, Task, DbCall]:
        # Frames of a traceback know the turn, so that it must not know the task any more: see DbRun.
        assert self._work is not None  # once
        work, self._work = self._work, None
        return work


def _serve(turn: Turn | None) -> None:
    while turn is not None:
        turn = turn.serve()


def _patience(call: DbCall) -> float:
    """Return the seconds that a call waits for a connection."""
    timeout = call.options.timeout
    return _settings.current.idle_time if timeout is None else timeout


def start(task: Task) -> DbRun:
    """Start the command of ``task``; see :mod:`skitai.was._clients`."""
    call = cast("DbCall", task.call)
    driver = _db_drivers.table[call.protocol]
    pool = _db_drivers.pool_of(call.target.database_of(task.cluster, task.member))
    return DbRun(driver, pool).start(task, call)


for _kind in databases.KINDS:
    _clients.table[_kind] = start
