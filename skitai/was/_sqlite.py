"""A connection to a file of SQLite. Its commands run in native threads, so that the loop never waits for the disk."""

from __future__ import annotations

import atexit
import ctypes
import os
import sqlite3
import time
import weakref
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent
from gevent.event import AsyncResult

from skitai.errors import ConnectTimeout
from skitai.net import forks, logs
from skitai.net import pool as workers
from skitai.was import _settings, _sqlite_threads
from skitai.was._db_connection import Answer, Command
from skitai.was._sql_connection import CursorCommands, SqlConnection
from skitai.was._sqlite_handle import SqliteHandle
from skitai.was._sqlite_threads import WriteTurn
from skitai.wire import sql as texts

if TYPE_CHECKING:
    from skitai.was._db_pool import DbPool

#: The path of a database that is in memory.
IN_MEMORY = ":memory:"
# How a transaction begins, by its isolation; all of them are serializable.
_KINDS = {"": "IMMEDIATE", "serializable": "IMMEDIATE"} | {
    kind.lower(): kind for kind in ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")
}
#: Seconds that a thread gets to end when it was told to. One that waits for a lock, or a disk, does not hear of it.
_PATIENCE = 1.0
_TRIES = 20

_turns: weakref.WeakKeyDictionary[DbPool, WriteTurn] = weakref.WeakKeyDictionary()
_open: weakref.WeakSet[SqliteConnection] = weakref.WeakSet()
# Holds the databases in memory of this process by their URIs: one is gone with its last connection.
_memory: dict[str, sqlite3.Connection] = {}


def connect(pool: DbPool, deadline: float) -> SqliteConnection:
    """Open a connection; see ``_db_pool.Connect``. A file that is not there is made; its directory is not.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
        ConnectTimeout: the disk does not answer in time.
    """
    path = pool.database.dbname
    is_uri = path == IN_MEMORY
    patience = max(deadline - time.monotonic(), 0)
    arguments = (_memory_uri() if is_uri else os.path.abspath(path), is_uri, patience, _settings.current.foreign_keys)
    job = _sqlite_threads.start(patience, SqliteHandle, *arguments)
    try:
        job.wait(max(deadline - time.monotonic(), 0) + _PATIENCE)  # SQLite itself waits for locks until the deadline
    finally:
        if not job.ready():
            job.rawlink(_close_late)
    if not job.ready():
        raise ConnectTimeout(f"{pool.database} was not opened in time")
    try:
        return SqliteConnection(pool, _sqlite_threads.outcome(job.value))
    finally:
        del job  # it has the error, whose traceback holds this frame


def _close_late(job: AsyncResult[Any]) -> None:
    """Close what was opened when nobody waited for it any more."""
    handle, error = job.value
    if error is None:
        workers.spawn(_sqlite_threads.start, None, handle.close)


def _memory_uri() -> str:
    """The database of this process that is in memory; after a fork the child has one of its own."""
    # Before 3.36 there is no file system in memory, whose databases lock as files do.
    kind = "vfs=memdb" if sqlite3.sqlite_version_info >= (3, 36) else "mode=memory&cache=shared"
    uri = f"file:/skitai-{os.getpid()}?{kind}"
    if uri not in _memory:
        _memory[uri] = sqlite3.connect(uri, uri=True, check_same_thread=False)
    return uri


class SqliteConnection(SqlConnection):
    """See the module. It is in autocommit mode: a transaction begins by ``BEGIN``.

    Args:
        pool: see :class:`DbConnection`. handle: does the work.
    """

    sign_of_life = Command("execute", ("select 1",))
    grace = 0.0  # SQLite is told how long to wait for locks only

    def __init__(self, pool: DbPool, handle: SqliteHandle) -> None:
        super().__init__(pool)
        self._handle = handle
        self._turn = _turns.setdefault(pool, WriteTurn())
        self._job: AsyncResult[Any] | None = None  # what a thread does at the moment
        self._answer: AsyncResult[Any] | None = None  # what perform() waits for: the job, or that it is given up
        self._cursors = 0
        if not _open:  # a worker of a server begins by forgetting what its parent wanted to do at the end
            atexit.unregister(_close_all)
            atexit.register(_close_all)
        _open.add(self)

    # In use

    def perform(self, command: Command, timeout: float | None) -> Answer:
        """See :meth:`DbConnection.perform`.

        Commands are ``execute`` and ``executemany``, with statement and values, and those of :class:`SqliteHandle`.
        """
        patience = _settings.current.idle_time if timeout is None else timeout
        try:
            if not self._turn.is_of(self) and _is_writing(command):
                patience = self._wait_for_turn(command, patience)
            answer: Answer = self._run(command, patience)
            return answer
        finally:
            if not self._is_busy:
                self.is_spent = self.is_spent or self._handle.is_broken
                if not self.is_in_transaction:
                    self._turn.end(self)

    def _wait_for_turn(self, command: Command, patience: float) -> float:
        """Return the seconds that are left."""
        began = time.monotonic()
        is_transaction = self.is_in_transaction or _is_beginning(command)
        if not self._turn.take(self, patience, is_transaction=is_transaction):
            raise sqlite3.OperationalError("interrupted" if self.is_spent else "database is locked")
        return max(patience - (time.monotonic() - began), 0)

    def _run(self, command: Command, patience: float) -> Any:
        if self.is_spent:  # cancelled while it waited
            raise sqlite3.OperationalError("interrupted")
        self._job = job = _sqlite_threads.start(patience, self._handle.perform, command, patience)
        self._answer = answer = AsyncResult()
        job.rawlink(answer)
        value = answer.get()
        if job.ready():  # else it was given up, and close() waits for it
            self._job = self._answer = None
        try:
            return _sqlite_threads.outcome(value)
        finally:
            del job, answer, value  # they have the error, whose traceback holds this frame

    def abort(self) -> None:
        """See :meth:`DbConnection.abort`."""
        self._turn.leave(self)
        self._handle.interrupt()
        workers.spawn(self._give_up)

    def _give_up(self) -> None:
        """End what is under way, or let nobody wait for it."""
        job, answer = self._job, self._answer
        if job is None or answer is None:
            return
        for _ in range(_TRIES):
            if job.ready():
                return
            self._handle.interrupt()  # the one before may have come when the statement had not begun
            job.wait(_PATIENCE / _TRIES)
        if not answer.ready():
            answer.set((None, sqlite3.OperationalError("interrupted")))

    @property
    def _is_busy(self) -> bool:
        return self._job is not None and not self._job.ready()

    @property
    def is_lost(self) -> bool:
        """See :class:`DbConnection`: there is nobody who could close a file on us."""
        return False

    # Transactions

    def begin_command(self, isolation: str | None, read_only: bool) -> Command:
        """See :meth:`SqlConnection.begin_command`. A transaction that may write is the only one from its beginning.

        Otherwise two of them could both read, and then each wait for the other to end.
        """
        kind = _KINDS.get((isolation or "").lower())
        if kind is None:
            known = ", ".join(sorted(name for name in _KINDS if name))
            raise ValueError(f"isolation is one of {known}, not {isolation!r}")
        return Command("begin", ("DEFERRED" if read_only else kind, read_only))

    def cursor_commands(self, sql: str, args: Any, batch: int) -> CursorCommands:
        """See :meth:`SqlConnection.cursor_commands`."""
        self._cursors = number = self._cursors + 1
        return CursorCommands(
            Command("open", (number, sql, args)), Command("fetch", (number, batch)), Command("close", (number,))
        )

    @property
    def is_in_transaction(self) -> bool:
        """See :class:`SqlConnection`."""
        return self._handle.is_in_transaction

    @property
    def has_failed(self) -> bool:
        """See :class:`SqlConnection`: a full disk, among others, makes SQLite roll back by itself."""
        return self._handle.is_rolled_back

    # Between uses

    def is_fit(self) -> bool:
        """See :meth:`DbConnection.is_fit`. Whether the file is still there is looked at in the thread."""
        return True

    def make_reusable(self) -> bool:
        """See :meth:`DbConnection.make_reusable`. A transaction that was left open is not taken over by others."""
        if self.is_in_transaction:
            logs.current().app.log(
                f"A transaction was left open in {self.pool.database} and is rolled back: "
                "use transaction(), or one execute() from BEGIN to COMMIT",
                "warn",
            )
            return False
        return not self._handle.is_changed

    def close(self) -> None:
        """See :meth:`DbConnection.close`. What is under way is ended first."""
        if self._job is not None and not self._job.ready():
            self.abort()
            self._job.rawlink(lambda job: workers.spawn(self._close))
        elif getcurrent() is get_hub() or _sqlite_threads.are_busy():
            workers.spawn(self._close)
        else:
            self._close()

    def _close(self) -> None:
        job = _sqlite_threads.start(None, self._handle.close)
        job.rawlink(self._closed)
        job.wait(_PATIENCE)  # it may write back what is logged

    def _closed(self, job: object) -> None:
        _open.discard(self)
        self._turn.end(self)

    def drop(self) -> None:
        """See :meth:`DbConnection.drop`."""
        # SQLite forbids to use or close in a child what was opened in the parent: it might roll back what the parent is
        # just writing. So it must never be collected.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._handle))
        _open.discard(self)


def _is_writing(command: Command) -> bool:
    if command.name == "begin":
        return bool(command.args[0] != "DEFERRED")
    if command.name == "open":
        return texts.is_writing(command.args[1])
    return command.name in ("execute", "executemany") and texts.is_writing(command.args[0])


def _is_beginning(command: Command) -> bool:
    return command.name == "begin" or (command.name == "execute" and texts.first_word(command.args[0]) == "begin")


def _drop_all() -> None:
    for connection in list(_open):  # among them those which no pool has any more, because they are being closed
        connection.drop()


forks.forget_in_child(_drop_all)


def _close_all() -> None:
    """At the end of the process: whoever closes a file last writes back what is logged, and removes the log."""
    for connection in list(_open):
        if not connection._is_busy:
            connection._handle.close()
