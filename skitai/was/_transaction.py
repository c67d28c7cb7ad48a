"""Several statements on one connection: all of them have an effect, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from gevent.event import AsyncResult

from skitai.errors import TransactionFailed
from skitai.net import faults
from skitai.net import pool as workers
from skitai.was import _db_take, _modes
from skitai.was._db_connection import Command
from skitai.was._db_work import perform
from skitai.was._sql_connection import SqlConnection
from skitai.was._sql_result import rows_of
from skitai.wire.masking import mask

if TYPE_CHECKING:
    from skitai.lib.rows import Row
    from skitai.was._context import Context
    from skitai.was._db_connection import Answer
    from skitai.was._db_target import Target

_COMMIT = Command("execute", ("COMMIT",))
_ROLLBACK = Command("execute", ("ROLLBACK",))


class Rows(list["Row"]):
    """The rows of a statement; ``rowcount`` is how many it found or changed, ``lastrowid`` the id that it inserted."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(rows_of(answer))
        self.rowcount = answer.rowcount
        self.lastrowid = answer.lastrowid


def _run(connection: SqlConnection, command: Command, timeout: float | None, outcome: AsyncResult[Any]) -> None:
    try:
        answer = perform(connection, command, timeout)
    except BaseException as error:  # whoever waits must hear of it
        outcome.set_exception(faults.as_exception(error))
        faults.reraise_end(error)
    else:
        outcome.set(answer)


class Transaction:
    """A ``with`` block on one connection: ``with was.postgresql("@db").transaction() as tx: tx.execute(...)``.

    Unlike the requests of a stub, each statement is waited for, and raises the driver's exception when it fails.

    Args:
        context, target: see :class:`skitai.was._db_stub.DbStub`. timeout: seconds that each statement may take.
        isolation, read_only: see :meth:`skitai.was._sql_stub.SqlStub.transaction`.
    """

    def __init__(
        self, context: Context, target: Target, timeout: float | None, isolation: str | None, read_only: bool
    ) -> None:
        _modes.check_waiting(context)
        if target.is_map:
            raise RuntimeError("a transaction is at one database: use was.db.lb, not .map")
        if target.error is not None:
            raise target.error
        self._target = target
        self._timeout = timeout
        self._isolation = isolation
        self._read_only = read_only
        self._held = ExitStack()
        self._connection: SqlConnection | None = None
        self._running: AsyncResult[Any] | None = None

    # The block

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("this transaction has begun already: make another one")
        self._connection = connection = self._take(self._held)
        try:
            self._perform(connection.begin_command(self._isolation, self._read_only))
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit(self._current())
            elif isinstance(error, Exception):
                self._roll_back(self._current())
            else:
                # It ends the greenlet, or came from a timeout around the block: nothing is asked of the server any
                # more, and the end of the connection rolls back as well.
                self._current().is_spent = True
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """Give the connection back, as soon as it does nothing any more."""
        connection, self._connection = self._connection, None
        held = self._held.pop_all()
        if self._running is None or self._running.ready():
            if connection is not None and connection.is_in_transaction:
                connection.is_spent = True  # its beginning was just done, or its end failed: nobody left it open
            held.close()
        else:
            self._running.rawlink(lambda running: workers.spawn(held.close))

    def _commit(self, connection: SqlConnection) -> None:
        if connection.has_failed:
            self._perform(_ROLLBACK)
            raise TransactionFailed(
                "a statement of the transaction had failed, so nothing of it was kept: "
                "let its exception leave the with block, or begin another transaction"
            )
        if connection.is_in_transaction:  # else a statement of the block has ended it
            self._perform(_COMMIT)

    def _roll_back(self, connection: SqlConnection) -> None:
        if connection.is_unusable or not connection.is_in_transaction:
            return
        try:
            self._perform(_ROLLBACK)
        except Exception:  # the exception of the block is the one to tell; without its connection it is rolled back too
            connection.is_spent = True

    # In the block

    def execute(self, sql: str, args: Any = None) -> Rows:
        """Do a statement and return its rows. See :meth:`skitai.was._sql_stub.SqlStub.execute`.

        Raises:
            Exception: of the driver. ReadTimeout, PeerClosed: it took too long; the connection was lost.
        """
        return Rows(self._perform(Command("execute", (sql,) if args is None else (sql, args))))

    def executemany(self, sql: str, rows: Iterable[Any]) -> Rows:
        """Do a statement once for each of ``rows``. See :meth:`execute`."""
        return Rows(self._perform(Command("executemany", (sql, list(rows)))))

    def iterate(self, sql: str, args: Any = None, batch: int = 1_000) -> Iterator[Row]:
        """Return the rows of a statement one by one; at most ``batch`` of them are in memory. See :meth:`execute`.

        Raises:
            ValueError: ``batch`` is not above 0.
        """
        if batch < 1:
            raise ValueError(f"batch is 1 or more, not {batch}")
        return self._iterate(sql, args, batch)

    def iterate_alone(self, sql: str, args: Any, batch: int) -> Iterator[Row]:
        """Return the rows of a statement that has a transaction of its own, from the first row to the last."""
        rows = self.iterate(sql, args, batch)
        return self._iterate_alone(rows)

    def _iterate_alone(self, rows: Iterator[Row]) -> Iterator[Row]:
        with self:
            yield from rows

    def _iterate(self, sql: str, args: Any, batch: int) -> Iterator[Row]:
        commands = self._current().cursor_commands(sql, args, batch)
        self._perform(commands.open)
        while rows := rows_of(self._perform(commands.fetch)):
            yield from rows
            if len(rows) < batch:
                break
        self._perform(commands.close)

    def _perform(self, command: Command) -> Answer:
        """Do ``command`` on a worker greenlet. The caller's may be ended at any time, and a driver must not be."""
        connection = self._current()
        if self._running is not None and not self._running.ready():
            raise RuntimeError("a statement of this transaction is under way: one greenlet at a time uses it")
        if connection.is_spent:
            raise TransactionFailed("a statement of the transaction was given up, so nothing of it is kept")
        self._running = running = AsyncResult()
        try:
            workers.begin(_run, connection, command, self._timeout, running)
            answer: Answer = running.get()
            return answer
        except BaseException:
            if not running.ready():  # nobody waits for it any more
                connection.is_spent = True
                connection.abort()
            raise

    def _current(self) -> SqlConnection:
        if self._connection is None:
            raise RuntimeError("a transaction is used inside its with block")
        return self._connection

    def _take(self, held: ExitStack) -> SqlConnection:
        """Return a connection that ``held`` gives back; of a cluster, from the first member that can be reached."""
        return cast("SqlConnection", _db_take.take(self._target, self._timeout, held))

    def __repr__(self) -> str:
        return f"<Transaction at {mask(self._target.uri)} {'open' if self._connection is not None else 'closed'}>"
