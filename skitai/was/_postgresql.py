"""A connection to PostgreSQL: psycopg2, by connections that wait in the gevent loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gevent import Timeout

from skitai.constants import NAME
from skitai.errors import ConfigurationError, ConnectTimeout, PeerClosed
from skitai.lib.rows import Records
from skitai.net import descriptors, logs
from skitai.net import pool as workers
from skitai.net.connect import resolve
from skitai.was import _settings
from skitai.was._db_connection import Answer, Command
from skitai.was._sql_connection import CursorCommands, SqlConnection
from skitai.wire.hosts import absolute_name

if TYPE_CHECKING:
    from skitai.was._db_pool import DbPool
    from skitai.wire.databases import Database

_ISOLATIONS = frozenset({"serializable", "repeatable read", "read committed", "read uncommitted"})
#: Seconds that a server gets to take the request to end a statement.
_CANCEL_TIME = 2.0
#: Buffers of 16 KB or more that are read from a talkative server in one turn of the loop.
_MOST_READS = 64
#: How often a server is told of another deadline, while it runs into the one before.
_TRIES = 5


def connect(pool: DbPool, deadline: float) -> PostgresConnection:
    """Open a connection; see ``_db_pool.Connect``.

    Raises:
        ConfigurationError: psycopg2 is not installed. NameNotFound, ConnectTimeout: as their names say.
        psycopg2.OperationalError: the server refused.
    """
    try:
        import psycopg2

        from skitai.was._postgresql_driver import Connection
    except ModuleNotFoundError as error:
        raise ConfigurationError("PostgreSQL is asked through psycopg2: pip install 'skitai[postgresql]'") from error
    database = pool.database
    # libpq would look the name up itself, and the whole process would wait for it.
    addresses = [str(address[3][0]) for address in resolve(database.host, database.port, deadline)]
    connection: Any = Connection.__new__(Connection)

    def begin(dsn: str, *options: Any) -> Any:
        connection.__init__(dsn, *options)
        return connection

    late = ConnectTimeout(f"no connection to {database} in time")
    try:
        psycopg2.connect(connection_factory=begin, async_=1, **_parameters(database, addresses))
        if not connection.open(deadline):
            raise late
        made = PostgresConnection(pool, connection)
        with Timeout(max(deadline - time.monotonic(), 0.001), late):
            made.look_for_pooler()
        return made
    except BaseException:
        # Else its socket stays open for as long as anybody keeps the exception, whose frames know it.
        connection.close()
        raise


def _parameters(database: Database, addresses: list[str]) -> dict[str, Any]:
    # The addresses are there already, and libpq looks for the name in the certificate as it is given.
    host = absolute_name(database.host) if database.tls else database.host
    parameters = {
        "host": ",".join([host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": database.port,
        "dbname": database.dbname,
        "user": database.user,
        "password": database.password,
        "application_name": NAME,
        "client_encoding": "UTF8",
        # A server that went away without a word is noticed after two minutes, where the system says two hours.
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 6,
        **_tls(database),
    }
    return {name: value for name, value in parameters.items() if value != ""}


def _tls(database: Database) -> dict[str, str]:
    if not database.tls:
        return {}
    verify, cert = _settings.security(database.verify, database.cert)
    parameters = {"sslmode": "require"}
    if verify is not False:
        parameters = {"sslmode": "verify-full", "sslrootcert": verify if isinstance(verify, str) else "system"}
    if cert is not None:
        parameters |= {"sslcert": cert.certfile, "sslkey": cert.keyfile or cert.certfile}
        parameters |= {"sslpassword": cert.passphrase} if cert.passphrase else {}
    return parameters


class PostgresConnection(SqlConnection):
    """See the module. It is in autocommit mode: a transaction begins by ``BEGIN``.

    Args:
        pool: see :class:`DbConnection`. connection: of psycopg2, open.

    Attributes:
        is_pooled: a pooler such as pgbouncer stands between us and the server, which may give each transaction another
            session of the server. What a session is told (``SET``) would then stay with whoever gets it next.
    """

    sign_of_life = Command("execute", ("select 1",))

    def __init__(self, pool: DbPool, connection: Any) -> None:
        super().__init__(pool)
        self._connection = connection
        self._timeout: float | None = None  # what the server was told
        self._line = descriptors.Line(connection.fileno())
        self._cursors = 0
        self._is_cancelling = False
        self.is_pooled = False

    def look_for_pooler(self) -> None:
        """Find out whether we talk to the server itself, unless the alias says so.

        A pooler invents the process that it names to its clients. pgbouncer, Odyssey and others do.
        """
        self.is_pooled = bool(self.pool.database.pooler)
        if self.pool.database.pooler is None:
            answer = self.perform(Command("execute", ("select pg_backend_pid()",)), None)
            self.is_pooled = answer.data.tuples[0][0] != self._connection.info.backend_pid
        if self.is_pooled:
            self.grace = 0.0  # the deadline is kept by us alone

    # In use

    def perform(self, command: Command, timeout: float | None) -> Answer:
        """See :meth:`DbConnection.perform`. Commands are ``execute`` and ``executemany`` with statement and values."""
        if timeout != self._timeout and self._is_between_transactions and not self.is_pooled:
            self._tell_timeout(timeout)
        sql, args = command.args if len(command.args) == 2 else (command.args[0], None)
        cursor = self._connection.cursor()
        if command.name == "executemany":
            return self._execute_many(cursor, sql, args or ())
        self._connection.execute(cursor, sql, args)
        if cursor.description is None:
            return Answer([], cursor.rowcount)
        columns = tuple([column.name for column in cursor.description])
        return Answer(Records(columns, cursor.fetchall()), cursor.rowcount, None, cursor.description)

    def _execute_many(self, cursor: Any, sql: str, rows: Sequence[Any]) -> Answer:
        """All or nothing: in one transaction, unless one is under way.

        One statement after the other: of several in one text, psycopg2 tells the outcome of the last only.
        """
        if not self._is_between_transactions:
            return Answer([], self._count(cursor, sql, rows))
        execute = self._connection.execute
        execute(cursor, "BEGIN")
        try:
            rowcount = self._count(cursor, sql, rows)
        except BaseException:
            if not self.is_lost:
                execute(cursor, "ROLLBACK")
            raise
        execute(cursor, "COMMIT")
        return Answer([], rowcount)

    def _count(self, cursor: Any, sql: str, rows: Sequence[Any]) -> int:
        """Do a statement for each row; return how many rows were found or changed, -1 when the server does not say."""
        counts = []
        for row in rows:
            self._connection.execute(cursor, sql, row)
            counts.append(cursor.rowcount)
        return -1 if counts and max(counts) < 0 else sum(count for count in counts if count > 0)

    def _tell_timeout(self, timeout: float | None) -> None:
        value = "DEFAULT" if timeout is None else str(max(int(timeout * 1000), 1))
        from psycopg2.errors import QueryCanceled

        for tries_left in reversed(range(_TRIES)):
            try:
                self._connection.execute(self._connection.cursor(), f"SET statement_timeout TO {value}")
                break
            except QueryCanceled:  # by the time that the caller before had set, which was very short
                if not tries_left or self.is_spent:
                    raise
        self._timeout = timeout

    def abort(self) -> None:
        """See :meth:`DbConnection.abort`. The server is told as well: it would go on until it has an answer to send."""
        workers.spawn(self._abort)

    def _abort(self) -> None:
        if not self.is_pooled:
            workers.begin(self.cancel)  # not waited for: a server that does not answer would not answer this either
        self._shut_down()

    def _shut_down(self) -> None:
        if not self._connection.closed:
            descriptors.shut_down(self._connection.fileno())

    def cancel(self) -> None:
        """See :meth:`DbConnection.cancel`: by a statement of another connection.

        psycopg2's own ``cancel()`` keeps the interpreter's lock while it waits for the network, so that a server which
        does not answer would stop the whole process.
        """
        if self._is_cancelling or self._connection.closed:
            return
        self._is_cancelling = True
        if self.is_pooled:
            # The process that the pooler named is invented: cancelling it ends nothing, or somebody else's statement.
            self._shut_down()
            return
        pid = self._connection.info.backend_pid
        try:
            other = connect(self.pool, time.monotonic() + _CANCEL_TIME)
            try:
                with Timeout(_CANCEL_TIME, ConnectTimeout(f"{self.pool.database} did not answer in time")):
                    other.perform(Command("execute", ("select pg_cancel_backend(%s)", (pid,))), None)
            finally:
                other.close()
        except Exception as error:
            message = f"A statement in {self.pool.database} could not be cancelled: {str(error).strip()}"
            logs.current().app.log(message, "warn")

    @property
    def is_lost(self) -> bool:
        """See :class:`DbConnection`."""
        return bool(self._connection.closed)

    # Transactions

    def begin_command(self, isolation: str | None, read_only: bool) -> Command:
        """See :meth:`SqlConnection.begin_command`."""
        if isolation is not None and isolation.lower() not in _ISOLATIONS:
            raise ValueError(f"isolation is one of {', '.join(sorted(_ISOLATIONS))}, not {isolation!r}")
        level = f" ISOLATION LEVEL {isolation.upper()}" if isolation else ""
        return Command("execute", (f"BEGIN{level}{' READ ONLY' if read_only else ''}",))

    def cursor_commands(self, sql: str, args: Any, batch: int) -> CursorCommands:
        """See :meth:`SqlConnection.cursor_commands`: a cursor of the server."""
        self._cursors += 1
        name = f"skitai_{self._cursors}"
        declare = f"DECLARE {name} NO SCROLL CURSOR FOR {sql}"
        return CursorCommands(
            Command("execute", (declare, args)),
            Command("execute", (f"FETCH FORWARD {batch} FROM {name}",)),
            Command("execute", (f"CLOSE {name}",)),
        )

    @property
    def is_in_transaction(self) -> bool:
        """See :class:`SqlConnection`."""
        return not self._is_between_transactions

    @property
    def has_failed(self) -> bool:
        """See :class:`SqlConnection`: after an error all else is refused, and COMMIT rolls back in silence."""
        is_in_error: bool = self._connection.get_transaction_status() == 3  # PQTRANS_INERROR
        return is_in_error

    # LISTEN

    @property
    def fileno(self) -> int:
        """The descriptor of the socket, to wait for notifications."""
        number: int = self._connection.fileno()
        return number

    def listen(self, channels: Sequence[str]) -> None:
        """Ask for the notifications of ``channels``."""
        from psycopg2.extensions import quote_ident

        statements = "; ".join(f"LISTEN {quote_ident(channel, self._connection)}" for channel in channels)
        self.perform(Command("execute", (statements,)), None)

    def take_notifications(self) -> list[Any]:
        """Read what the server sent and return the notifications that came.

        Raises:
            PeerClosed: the connection was lost.
        """
        import psycopg2

        lost: Exception | None = None
        try:
            self._read_all()
        except psycopg2.Error as error:  # behind what is still to be given out: the next call says so again
            lost = error
        found = list(self._connection.notifies)
        del self._connection.notifies[:]
        if lost is not None and not found:
            raise PeerClosed(f"{self.pool.database} closed the connection: {str(lost).strip()}") from lost
        return found

    def _read_all(self) -> bool:
        """Read what the server said unasked; False when it goes on saying more than one turn of the loop should take.

        psycopg2 reads one buffer each time, and half a message is none yet: that more is there to be read does not say
        that the connection has ended. It says so itself, by an exception.

        Raises:
            psycopg2.Error: the connection was lost.
        """
        for _ in range(_MOST_READS):
            self._connection.look()
            if self._line.is_quiet:
                return True
        return False

    # Between uses

    def is_fit(self) -> bool:
        """See :meth:`DbConnection.is_fit`."""
        if self._connection.closed:
            return False
        if self._line.is_quiet:
            return True
        # Something came: a notice, a ticket of TLS, or the end.
        try:
            return self._read_all()
        except Exception:
            return False

    def make_reusable(self) -> bool:
        """See :meth:`DbConnection.make_reusable`. A transaction that was left open is not taken over by others."""
        if not self._is_between_transactions:
            logs.current().app.log(
                f"A transaction was left open in {self.pool.database} and is rolled back: "
                "use transaction(), or one execute() from BEGIN to COMMIT",
                "warn",
            )
            return False
        del self._connection.notices[:]
        del self._connection.notifies[:]
        return True

    @property
    def _is_between_transactions(self) -> bool:
        is_idle: bool = self._connection.get_transaction_status() == 0  # PQTRANS_IDLE
        return is_idle

    def close(self) -> None:
        """See :meth:`DbConnection.close`."""
        self._connection.close()

    def drop(self) -> None:
        """See :meth:`DbConnection.drop`."""
        if not self._connection.closed:
            descriptors.cut_off(self._connection.fileno())
