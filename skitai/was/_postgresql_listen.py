"""``LISTEN``: what other clients of a PostgreSQL server told by ``NOTIFY``, as an iterator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from skitai.net import descriptors, logs
from skitai.net.connect import wait_for
from skitai.was import _db_drivers, _postgresql, _settings

if TYPE_CHECKING:
    from skitai.was._postgresql import PostgresConnection
    from skitai.wire.databases import Database

_READ = 1
#: Seconds of one wait; a wait without an end is made of these.
_LONGEST_WAIT = 3600.0


class Notification(NamedTuple):
    """What came on a channel.

    Attributes:
        channel, payload: as ``NOTIFY`` gave them. pid: of the server process of the client that did.
    """

    channel: str
    payload: str
    pid: int


class Listening:
    """``with was.postgresql("@db").listen("news") as notifications: for each in notifications: ...``

    It has a connection that is not one of the pool. When that is lost the iteration raises: what was told in the
    meantime has gone, so whoever listens should look for itself before it listens again.

    Args:
        database: whose server is listened to. channels: see :meth:`skitai.was._postgresql_stub.PostgresStub.listen`.
        timeout: seconds without a notification after which the iteration ends.
    """

    def __init__(self, database: Database, channels: Sequence[str], timeout: float | None) -> None:
        if not channels:
            raise ValueError("name at least one channel to listen to")
        self._database = database
        self._channels = channels
        self._timeout = timeout
        self._connection: PostgresConnection | None = None
        self._waiting = 0  # greenlets

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise RuntimeError("this listening has begun already: make another one")
        pool = _db_drivers.pool_of(self._database)
        connection = _postgresql.connect(pool, time.monotonic() + _settings.current.connect_time)
        try:
            connection.listen(self._channels)
        except BaseException:
            connection.close()
            raise
        if connection.is_pooled:
            logs.current().app.log(
                f"{self._database} is behind a pooler: notifications come only where it keeps a session of the server "
                "for each client (pool_mode = session); listen to the server itself, or to a port with that mode",
                "warn",
            )
        self._connection = connection
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._waiting:  # in another greenlet, which would never hear of a descriptor that is closed: it closes
            descriptors.shut_down(connection.fileno)
        else:
            connection.close()

    def __iter__(self) -> Iterator[Notification]:
        """Return the notifications as they come.

        Raises:
            PeerClosed: the connection was lost.
        """
        if self._connection is None:
            raise RuntimeError("listen() is used by a with block")
        while (connection := self._connection) is not None:
            for each in connection.take_notifications():
                yield Notification(each.channel, each.payload, each.pid)
            if self._connection is connection and not self._wait(connection):
                return

    def _wait(self, connection: PostgresConnection) -> bool:
        """Wait for something from the server; False when the time is over."""
        ends_by = None if self._timeout is None else time.monotonic() + self._timeout
        self._waiting += 1
        try:
            while True:
                until = time.monotonic() + _LONGEST_WAIT
                if wait_for(connection.fileno, _READ, until if ends_by is None else min(until, ends_by)):
                    return True
                if ends_by is not None and time.monotonic() >= ends_by:
                    return False
        finally:
            self._waiting -= 1
            if self._connection is not connection and not self._waiting:
                connection.close()

    def __repr__(self) -> str:
        return f"<Listening to {', '.join(self._channels)} of {self._database}>"
