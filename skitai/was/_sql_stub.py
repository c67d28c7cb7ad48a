"""Databases that speak SQL: ``was.postgresql(...)``, ``was.sqlite3(...)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skitai.was._db_connection import Command
from skitai.was._db_stub import DbStub
from skitai.was._sql_result import SqlResult
from skitai.was._transaction import Transaction

if TYPE_CHECKING:
    from skitai.lib.rows import Row
    from skitai.was._request import Request


class SqlStub(DbStub):
    """See :class:`DbStub`."""

    result = SqlResult

    def execute(self, sql: str, args: Any = None) -> Request:
        """Start a statement.

        Args:
            sql: the statement, with placeholders for ``args``: ``%s`` and ``%(name)s`` for PostgreSQL, ``?`` and
                ``:name`` for SQLite. Without ``args`` it is sent as it is.
            args: the values, as a sequence or a dict.

        Returns:
            The request. The data of its result is a list of :class:`skitai.lib.rows.Row`, ``[]`` when there are none.
        """
        return self._start(Command("execute", (sql,) if args is None else (sql, args)))

    #: ``excute`` is how an example of version 0.26 spells it.
    do = excute = execute

    def executemany(self, sql: str, rows: Iterable[Any]) -> Request:
        """Start a statement that is done once for each of ``rows``, all of them or, when one fails, none.

        Args:
            sql, rows: see :meth:`execute`.
        """
        return self._start(Command("executemany", (sql, list(rows))))

    def transaction(self, isolation: str | None = None, read_only: bool = False) -> Transaction:
        """Return a transaction for a ``with`` block, whose end commits it; an exception rolls it back.

        Args:
            isolation: as the database calls it, such as ``"serializable"``; ``None`` is its default.
            read_only: nothing is to be written.

        Raises:
            RuntimeError: for a map, and in a request of the single-thread mode, where nobody may wait.
        """
        return Transaction(self._context, self._target, self._options.timeout, isolation, read_only)

    def iterate(self, sql: str, args: Any = None, batch: int = 1_000) -> Iterator[Row]:
        """Return the rows of a statement one by one; at most ``batch`` of them are in memory.

        It waits for each batch, and has a connection to itself until it ends or is closed.

        Args:
            sql, args: see :meth:`execute`. batch: rows that are fetched at a time.

        Raises:
            Exception: of the driver.
        """
        transaction = self.transaction(read_only=True)
        return transaction.iterate_alone(sql, args, batch)
