"""What is done with a connection of :mod:`sqlite3`. All of it may wait for the disk, so it runs in a native thread."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from skitai.lib.rows import Records
from skitai.was._db_connection import Answer, Command
from skitai.was._sqlite_values import adapted
from skitai.wire import sql as texts

#: Whose rows would be lost in a string of several statements.
_MUST_STAND_ALONE = frozenset({"select", "values", "explain"})
# A file that cannot be brought to write-ahead logging is used as it is: somebody else has locked it, or just does the
# same, or nobody may write it.
_USED_AS_IT_IS = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
# After these a new connection finds out how it really is.
_BREAKING = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB})


def _columns(cursor: sqlite3.Cursor) -> tuple[str, ...]:
    return tuple([column[0] for column in cursor.description])


def primary_code(error: BaseException) -> int:
    """Return which of SQLite's primary result codes an error has; 0 when it comes from elsewhere."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class SqliteHandle:
    """A connection of :mod:`sqlite3` in autocommit mode, and the commands that it knows.

    One thread at a time uses it, except for :meth:`interrupt` and the properties.

    Args:
        path: of the file. is_uri: it is a URI instead. patience: seconds to wait for locks while it is opened.
        has_foreign_keys: whether foreign keys are enforced.

    Attributes:
        is_broken: the file or the disk is; another connection shall show how it really is.
        is_changed: the connection has settings that the next one who uses it would not expect.
        is_rolled_back: SQLite itself has rolled back the transaction, and whoever began it does not know.
    """

    def __init__(self, path: str, is_uri: bool, patience: float, has_foreign_keys: bool) -> None:
        self._path = path
        self._is_uri = is_uri
        self._has_foreign_keys = has_foreign_keys
        self._cursors: dict[int, sqlite3.Cursor] = {}
        self.is_broken = self.is_changed = self.is_rolled_back = False
        self._is_closed = self._is_query_only = self._is_interrupted = False
        self._connect(patience)

    def _connect(self, patience: float) -> None:
        connection = sqlite3.connect(
            self._path, timeout=patience, isolation_level=None, check_same_thread=False, uri=self._is_uri
        )
        self._patience = int(patience * 1000)
        try:
            _prefer_write_ahead_logging(connection)
            if self._has_foreign_keys:
                connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._is_closed = False
        self._identity = self._read_identity()

    # From any thread

    @property
    def is_in_transaction(self) -> bool:
        """Whether one is under way, as far as whoever began it knows."""
        return self._is_in_transaction or self.is_rolled_back

    @property
    def _is_in_transaction(self) -> bool:
        return not self._is_closed and self._connection.in_transaction

    def interrupt(self) -> None:
        """End what is under way, and whatever would follow, with an error. Does not wait for it."""
        self._is_interrupted = True
        with suppress(sqlite3.ProgrammingError):  # it is closed
            self._connection.interrupt()

    # In a thread

    def perform(self, command: Command, patience: float) -> Answer:
        """Do ``command``.

        Args:
            patience: seconds to wait for somebody else's lock.

        Raises:
            sqlite3.Error: as SQLite says.
        """
        if self._is_interrupted:  # while it waited for a thread
            raise sqlite3.OperationalError("interrupted")
        if self.is_rolled_back:
            return self._end_rolled_back(command)
        was_in_transaction = self._is_in_transaction
        try:
            self._prepare(was_in_transaction, int(patience * 1000))
            return _COMMANDS[command.name](self, *command.args)
        except sqlite3.Error as error:
            self.is_broken = self.is_broken or primary_code(error) in _BREAKING
            self.is_rolled_back = was_in_transaction and not self._is_in_transaction
            raise
        finally:
            if not self._is_in_transaction:
                self._tidy_up()

    def close(self) -> None:
        """Close it; a transaction under way is rolled back."""
        self._close_cursors()
        self._is_closed = True
        self._connection.close()

    def _prepare(self, is_in_transaction: bool, patience: int) -> None:
        if not is_in_transaction and self._read_identity() != self._identity:
            # The file was removed or replaced: what is written into the old one nobody would ever read.
            self.close()
            self._connect(patience / 1000)
        if patience != self._patience:
            self._connection.execute(f"PRAGMA busy_timeout={patience}")
            self._patience = patience

    def _read_identity(self) -> tuple[int, int] | None:
        if self._is_uri:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _end_rolled_back(self, command: Command) -> Answer:
        if command.args and isinstance(command.args[0], str) and texts.first_word(command.args[0]) == "rollback":
            self.is_rolled_back = False
            return Answer([])
        raise sqlite3.OperationalError("SQLite has rolled this transaction back when a statement of it failed")

    def _tidy_up(self) -> None:
        self._close_cursors()
        if self._is_query_only:
            self._connection.execute("PRAGMA query_only=OFF")
            self._is_query_only = False

    # Statements

    def _execute(self, sql: str, args: Any = ()) -> Answer:
        self.is_changed = self.is_changed or texts.leaves_traces(sql)
        if not args and texts.may_be_several(sql):
            statements = texts.split(sql)
            if len(statements) > 1:
                return self._run_script(statements)
        cursor = self._connection.execute(sql, adapted(args))
        try:
            if cursor.description is None:
                return Answer([], cursor.rowcount, cursor.lastrowid)
            records = Records(_columns(cursor), cursor.fetchall())
            return Answer(records, len(records), cursor.lastrowid, cursor.description)
        finally:
            cursor.close()

    def _run_script(self, statements: list[str]) -> Answer:
        for word in map(texts.first_word, statements):
            if word in _MUST_STAND_ALONE:
                raise sqlite3.ProgrammingError(
                    f"a {word} statement must be the only one of its execute(): the rows of one among several are lost"
                )
        before = self._connection.total_changes
        if texts.handles_transactions(statements):
            self._run_by_itself(statements)
        else:
            # Most settings cannot be changed inside a transaction, or not with effect.
            while statements and texts.first_word(statements[0]) == "pragma":
                self._connection.execute(statements.pop(0)).close()
            with self._all_or_nothing():
                self._run(statements)
        return Answer([], self._connection.total_changes - before)

    def _run(self, statements: list[str]) -> None:
        for each in statements:
            self._connection.execute(each).close()

    def _run_by_itself(self, statements: list[str]) -> None:
        """Run what begins and ends its transactions itself; an error rolls back the one that it began."""
        was_in_transaction = self._is_in_transaction
        try:
            self._run(statements)
        except BaseException:
            if not was_in_transaction:
                self._roll_back("ROLLBACK")
            raise

    def _execute_many(self, sql: str, rows: list[Any]) -> Answer:
        with self._all_or_nothing():
            cursor = self._connection.executemany(sql, map(adapted, rows))
        return Answer([], cursor.rowcount)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A transaction, or what comes to the same inside one."""
        if self._is_in_transaction:
            begin, end, *undo = "SAVEPOINT skitai", "RELEASE skitai", "ROLLBACK TO skitai", "RELEASE skitai"
        else:
            begin, end, *undo = "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"
        self._connection.execute(begin)
        try:
            yield
            self._connection.execute(end)
        except BaseException:
            self._roll_back(*undo)
            raise

    def _roll_back(self, *statements: str) -> None:
        # The error that led here is the one to tell. A connection that stays in its transaction is not used again.
        with suppress(sqlite3.Error):
            for each in statements:
                if self._is_in_transaction:  # else SQLite has rolled it back already
                    self._connection.execute(each)

    # Transactions and cursors

    def _begin(self, kind: str, is_read_only: bool) -> Answer:
        if is_read_only:
            self._connection.execute("PRAGMA query_only=ON")
            self._is_query_only = True
        self._connection.execute(f"BEGIN {kind}")
        return Answer([])

    def _open_cursor(self, number: int, sql: str, args: Any) -> Answer:
        self._cursors[number] = self._connection.execute(sql, adapted(args or ()))
        return Answer([])

    def _fetch(self, number: int, batch: int) -> Answer:
        cursor = self._cursors[number]
        if cursor.description is None:
            return Answer([])
        records = Records(_columns(cursor), cursor.fetchmany(batch))
        return Answer(records, len(records))

    def _close_cursor(self, number: int) -> Answer:
        self._cursors.pop(number).close()
        return Answer([])

    def _close_cursors(self) -> None:
        while self._cursors:
            self._cursors.popitem()[1].close()


#: Not in the handle itself: each of them would be a cycle, which only the garbage collector ends.
_COMMANDS: dict[str, Callable[..., Answer]] = {
    "execute": SqliteHandle._execute,
    "executemany": SqliteHandle._execute_many,
    "begin": SqliteHandle._begin,
    "open": SqliteHandle._open_cursor,
    "fetch": SqliteHandle._fetch,
    "close": SqliteHandle._close_cursor,
}


def _prefer_write_ahead_logging(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side. It stays with the file, so mostly this only asks."""
    try:
        connection.execute("PRAGMA journal_mode=WAL").close()
    except sqlite3.OperationalError as error:
        if primary_code(error) not in _USED_AS_IT_IS:
            raise
