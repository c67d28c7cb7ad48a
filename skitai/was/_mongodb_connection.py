"""A connection to MongoDB: the right to ask a client that all connections to the server share.

The sockets are pymongo's, and each command uses one of them from its beginning to its end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

import pymongo
from gevent import get_hub
from greenlet import getcurrent
from pymongo.errors import (
    AutoReconnect,
    NetworkTimeout,
    NotPrimaryError,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from skitai.errors import CallCancelled, ConnectFailed, ReadTimeout, SkitaiError
from skitai.was import _mongodb_client, _mongodb_commands, _settings
from skitai.was._db_connection import Answer, Command, DbConnection

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

    from skitai.lib.documents import Document
    from skitai.was._db_pool import DbPool
    from skitai.was._mongodb_client import SharedClient

#: Where commands go that name no database.
_DEFAULT_DATABASE = "test"
#: Least seconds of a command: 0 would mean no end to pymongo.
_LEAST_TIME = 0.001


class _Ended(BaseException):
    """Thrown into the greenlet that waits for an answer. No ``except Exception`` of a library keeps it."""


def connect(pool: DbPool, deadline: float) -> MongoConnection:
    """Open a connection; see :func:`skitai.was._mongodb.connect`."""
    shared = _mongodb_client.lease(pool, deadline)
    try:
        with pymongo.timeout(max(deadline - time.monotonic(), _LEAST_TIME)):
            shared.client.admin.command("ping")  # which logs in
    except BaseException as error:
        if _is_loss(error):
            shared.lose()
        _mongodb_client.release(shared)
        raise
    return MongoConnection(pool, shared)


class MongoConnection(DbConnection):
    """See the module. Commands are those of :mod:`skitai.was._mongodb_commands`.

    Args:
        pool: see :class:`DbConnection`. shared: the client, leased.
    """

    sign_of_life = Command("command", ("ping",))

    def __init__(self, pool: DbPool, shared: SharedClient) -> None:
        super().__init__(pool)
        self.shared = shared
        self._worker: Any = None  # the greenlet that waits for an answer
        self._ending: SkitaiError | None = None  # why it is to wait no longer
        self._is_closed = False
        self._has_lost = False

    # In use

    @property
    def database(self) -> MongoDatabase[Document]:
        """The database of pymongo."""
        return self.shared.client[self.pool.database.dbname or _DEFAULT_DATABASE]

    def perform(self, command: Command, timeout: float | None) -> Answer:
        """See :meth:`DbConnection.perform`. pymongo tells the server how long it may take.

        Raises:
            ReadTimeout: it took too long. ConnectFailed: nothing was sent. CallCancelled: as its name says.
            PyMongoError: all else.
        """
        seconds = _settings.current.total_time if timeout is None else timeout
        do = _mongodb_commands.table[command.name]
        self._worker = getcurrent()
        try:
            with pymongo.timeout(max(seconds, _LEAST_TIME)):
                return do(self, *command.args, **command.kwargs)
        except _Ended:
            assert self._ending is not None  # _end() threw it
            raise self._ending from None
        except PyMongoError as error:
            self._explain(error)
        finally:
            self._worker = None

    def _explain(self, error: PyMongoError) -> NoReturn:
        """Raise what an error means."""
        if _is_loss(error):
            self._has_lost = True
            self.shared.lose()
        if isinstance(error, ServerSelectionTimeoutError) or isinstance(error.__cause__, ConnectionRefusedError):
            raise ConnectFailed(f"cannot connect to {self.pool.database}: {error}") from error
        if error.timeout:
            raise ReadTimeout(f"{self.pool.database} took too long: {error}") from error
        raise error

    def abort(self) -> None:
        """See :meth:`DbConnection.abort`. pymongo closes the socket, and the server ends what it does for it."""
        self._end(ReadTimeout(f"{self.pool.database} took too long"))

    def cancel(self) -> None:
        """See :meth:`DbConnection.cancel`."""
        self._end(CallCancelled("the call was cancelled"))

    def _end(self, ending: SkitaiError) -> None:
        self._ending = ending
        get_hub().loop.run_callback(self._throw, self._worker)

    def _throw(self, worker: Any) -> None:
        """Runs in the hub.

        This is what ``gevent.Timeout`` does. From its version 4.19 pymongo is written, and tested, to bear it: it
        closes the socket, and its pool counts right.
        """
        if worker is not None and worker is self._worker:
            worker.throw(_Ended())

    @property
    def is_lost(self) -> bool:
        """See :class:`DbConnection`."""
        return self._is_closed or self._has_lost

    # Between uses

    def is_fit(self) -> bool:
        """See :meth:`DbConnection.is_fit`. pymongo looks at its sockets itself."""
        return not self.is_lost and not self.shared.is_lost

    def make_reusable(self) -> bool:
        """See :meth:`DbConnection.make_reusable`. Nothing of a use is left in it."""
        return self.is_fit()

    def close(self) -> None:
        """See :meth:`DbConnection.close`."""
        if not self._is_closed:
            self._is_closed = True
            _mongodb_client.release(self.shared)

    def drop(self) -> None:
        """See :meth:`DbConnection.drop`. A command under way here would read the answer that is the parent's."""
        self._is_closed = True
        self._end(ReadTimeout("the process was forked"))
        _mongodb_client.leave_behind(self.shared)


def _is_loss(error: BaseException) -> bool:
    """Whether an error means that connections to the server are lost. One that is late closes its own socket only."""
    return isinstance(error, AutoReconnect) and not isinstance(error, (NetworkTimeout, NotPrimaryError))
