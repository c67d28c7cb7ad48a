"""The connections to one database as one user: bounded, kept, and handed out in the order in which they are asked for.

A connection is looked at before each use, asked for a sign of life when it idled for long, and replaced when it is
broken or old. It is never handed out twice at once, and never after something went wrong on it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from gevent.event import AsyncResult

from skitai.errors import ConnectFailed, ReadTimeout, SkitaiError
from skitai.net.timers import NEVER
from skitai.was import _settings
from skitai.was._db_work import perform

if TYPE_CHECKING:
    from skitai.was._db_connection import DbConnection
    from skitai.was._engine import Engine
    from skitai.wire.databases import Database

#: Opens a connection: the pool it is for, and the monotonic time at which that must be done.
Connect = Callable[["DbPool", float], "DbConnection"]


class DbPool:
    """See the module.

    Args:
        engine: whose connections these are. database: that they lead to. connect: opens one.
        most: connections at a time; ``None``: as the settings say.
    """

    def __init__(self, engine: Engine, database: Database, connect: Connect, most: int | None = None) -> None:
        self.engine = engine
        self.database = database
        self._connect = connect
        self._most = most
        self._idle: list[DbConnection] = []
        self._busy: set[DbConnection] = set()
        self._opening = 0
        # Each gets a connection, or None: a place for one of its own.
        self._waiting: deque[AsyncResult[DbConnection | None]] = deque()

    # Use: may block, so only on a greenlet

    def checkout(self, deadline: float) -> DbConnection:
        """Return a connection that is fit, in the order of calls; give it back by :meth:`checkin`.

        Args:
            deadline: monotonic time until which to wait for one.

        Raises:
            ReadTimeout: none got free in time.
            ConnectFailed: none can be opened; the driver's error is its cause.
        """
        connection = self._take_idle()
        if connection is None and self._count >= self.most:
            connection = self._wait(deadline)
        elif connection is None:
            self._opening += 1
        if connection is None:
            connection = self._open(deadline)
        connection.uses += 1
        connection.deadline = NEVER
        return connection

    def checkin(self, connection: DbConnection, *, is_broken: bool = False) -> None:
        """Take ``connection`` back after a use.

        Args:
            is_broken: something went wrong that it may not survive: it is closed.
        """
        if is_broken or self._is_too_old(connection) or self._is_surplus or not self._make_reusable(connection):
            self._close(connection)
        elif not self._hand_on(connection):
            self._rest(connection)

    def retire(self, connection: DbConnection) -> None:
        """Close ``connection``, which idles."""
        if connection in self._idle:
            self._idle.remove(connection)
            self.engine.sweep.forget(connection)
            connection.close()
            self._forget_if_empty()

    # Ends

    def close_idle(self) -> None:
        """Close what is kept."""
        for connection in list(self._idle):
            self.retire(connection)
        self._forget_if_empty()

    def drop_all(self) -> None:
        """After a fork."""
        for connection in (*self._idle, *self._busy):
            self.engine.sweep.forget(connection)
            connection.drop()
        self._idle.clear()
        self._busy.clear()

    # How it is

    @property
    def most(self) -> int:
        """Connections that may be open at a time."""
        return self._most or _settings.current.db_connections

    @property
    def _count(self) -> int:
        return len(self._idle) + len(self._busy) + self._opening

    @property
    def _is_surplus(self) -> bool:
        return self._count > self.most

    # Finding one

    def _take_idle(self) -> DbConnection | None:
        while self._idle:
            connection = self._idle.pop()  # the last one used, so that the surplus can expire
            self.engine.sweep.forget(connection)
            self._busy.add(connection)
            try:
                is_alive = self._is_alive(connection)
            except BaseException:  # whoever calls waits no longer
                self._close(connection)
                raise
            if is_alive:
                return connection
            self._busy.discard(connection)
            self._opening += 1  # the place it leaves is for the caller
            try:
                connection.close()
            except BaseException:  # whoever calls waits no longer
                self._give_place_on()
                raise
            self._opening -= 1
        return None

    def _is_alive(self, connection: DbConnection) -> bool:
        if not connection.is_fit():
            return False
        if time.monotonic() - connection.used < _settings.current.db_check_after:
            return True
        try:
            perform(connection, connection.sign_of_life, _settings.current.connect_time)
        except Exception:  # whatever it is, another connection shall show whether the database is there
            return False
        return True

    def _wait(self, deadline: float) -> DbConnection | None:
        ticket: AsyncResult[DbConnection | None] = AsyncResult()
        self._waiting.append(ticket)
        try:
            ticket.wait(max(deadline - time.monotonic(), 0))
        except BaseException:  # whoever calls waits no longer
            if ticket.ready():
                self._give_back(ticket.value)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove(ticket)
        if not ticket.ready():
            raise ReadTimeout(f"none of the {self.most} connections to {self.database} got free in time")
        return cast("DbConnection | None", ticket.value)

    def _open(self, deadline: float) -> DbConnection:
        """Open one in a place that was counted as opening."""
        try:
            connection = self._connect(self, min(deadline, time.monotonic() + _settings.current.connect_time))
        except SkitaiError:
            self._give_place_on()
            raise
        except Exception as error:
            self._give_place_on()
            raise ConnectFailed(f"cannot connect to {self.database}: {str(error).strip()}") from error
        except BaseException:
            self._give_place_on()
            raise
        self._opening -= 1
        self._busy.add(connection)
        return connection

    # Giving back

    def _is_too_old(self, connection: DbConnection) -> bool:
        return time.monotonic() - connection.opened > _settings.current.db_life

    def _make_reusable(self, connection: DbConnection) -> bool:
        try:
            return connection.make_reusable()
        except Exception:  # it said what was wrong in the log; here it is enough that it cannot be used
            return False
        except BaseException:
            self._close(connection)
            raise

    def _give_back(self, connection: DbConnection | None) -> None:
        """Take back what nobody came for."""
        if connection is None:
            self._give_place_on()
        else:
            self.checkin(connection)

    def _hand_on(self, connection: DbConnection) -> bool:
        """Give ``connection`` to whoever waits first; False when nobody does."""
        if not self._waiting:
            return False
        self._waiting.popleft().set(connection)
        return True

    def _rest(self, connection: DbConnection) -> None:
        self._busy.discard(connection)
        self._idle.append(connection)
        connection.used = now = time.monotonic()
        connection.deadline = now + _settings.current.keep_time
        self.engine.sweep.watch(connection)

    def _close(self, connection: DbConnection) -> None:
        self._busy.discard(connection)
        self._opening += 1  # until the place is given on
        try:
            connection.close()
        finally:  # closing may wait, and whoever called need not stay until the end
            self._give_place_on()

    def _give_place_on(self) -> None:
        if self._waiting and self._count <= self.most:
            self._waiting.popleft().set(None)
            return
        self._opening -= 1
        self._forget_if_empty()

    def _forget_if_empty(self) -> None:
        if self._idle or self._busy or self._opening or self._waiting:
            return
        if self.engine.databases.get(self.database) is self:
            del self.engine.databases[self.database]

    def __repr__(self) -> str:
        return (
            f"<DbPool {self.database} at most {self.most}: {len(self._busy)} busy, {len(self._idle)} idle, "
            f"{self._opening} opening, {len(self._waiting)} waiting>"
        )
