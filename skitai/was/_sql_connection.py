"""A connection to a database that speaks SQL: what transactions and cursors need beside statements."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

from skitai.was._db_connection import Command, DbConnection


class CursorCommands(NamedTuple):
    """What reads the rows of one statement in pieces."""

    open: Command
    fetch: Command
    close: Command


class SqlConnection(DbConnection):
    """A connection whose commands are ``execute`` and ``executemany``, with a statement and its values.

    Outside a transaction each statement is one of its own.
    """

    @abstractmethod
    def begin_command(self, isolation: str | None, read_only: bool) -> Command:
        """Return what begins a transaction.

        Args:
            isolation: as the database calls it; ``None`` is its default.

        Raises:
            ValueError: the database has no such isolation.
        """

    @abstractmethod
    def cursor_commands(self, sql: str, args: Any, batch: int) -> CursorCommands:
        """Return what reads the rows of ``sql``, ``batch`` at a time, inside a transaction."""

    @property
    @abstractmethod
    def is_in_transaction(self) -> bool:
        """Whether one is under way."""

    @property
    @abstractmethod
    def has_failed(self) -> bool:
        """Whether the transaction under way can only be rolled back."""
