"""Several statements on one connection: all of them have an effect, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from skitai.errors import TransactionFailed
from skitai.was import _db_take, _modes
from skitai.was._db_connection import Command
from skitai.was._db_work import perform
from skitai.was._sql_connection import SqlConnection

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
        super().__init__(answer.data)
        self.rowcount = answer.rowcount
        self.lastrowid = answer.lastrowid


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

    # The block

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("this transaction has begun already: make another one")
        with ExitStack() as held:
            connection = self._take(held)
            begin = connection.begin_command(self._isolation, self._read_only)
            perform(connection, begin, self._timeout)
            self._held = held.pop_all()
        self._connection = connection
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None  # __enter__ took it
        # What is no Exception ends the greenlet, or came from a timeout around the block: then nothing is asked of the
        # server any more, and closing the connection rolls back as well.
        is_quick = error is not None and not isinstance(error, Exception)
        with self._held:
            if is_quick:
                connection.is_spent = True
            elif error is None:
                self._commit(connection)
            else:
                self._roll_back(connection)

    def _commit(self, connection: SqlConnection) -> None:
        if connection.has_failed:
            perform(connection, _ROLLBACK, self._timeout)
            raise TransactionFailed(
                "a statement of the transaction had failed, so nothing of it was kept: "
                "let its exception leave the with block, or begin another transaction"
            )
        if connection.is_in_transaction:  # else a statement of the block has ended it
            perform(connection, _COMMIT, self._timeout)

    def _roll_back(self, connection: SqlConnection) -> None:
        if connection.is_unusable or not connection.is_in_transaction:
            return
        try:
            perform(connection, _ROLLBACK, self._timeout)
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
        while rows := self._perform(commands.fetch).data:
            yield from rows
            if len(rows) < batch:
                break
        self._perform(commands.close)

    def _perform(self, command: Command) -> Answer:
        return perform(self._current(), command, self._timeout)

    def _current(self) -> SqlConnection:
        if self._connection is None:
            raise RuntimeError("a transaction is used inside its with block")
        return self._connection

    def _take(self, held: ExitStack) -> SqlConnection:
        """Return a connection that ``held`` gives back; of a cluster, from the first member that can be reached."""
        return cast("SqlConnection", _db_take.take(self._target, self._timeout, held))

    def __repr__(self) -> str:
        return f"<Transaction at {self._target.uri} {'open' if self._connection is not None else 'closed'}>"
