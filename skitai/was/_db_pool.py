"""The connections to one database as one user: bounded, kept, and handed out in the order in which they are asked for.

A connection is looked at before each use, asked for a sign of life when it idled for long, and replaced when it is
broken or old. It is never handed out twice at once, and never after something went wrong on it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from gevent.event import AsyncResult

from skitai.errors import ConnectFailed, ReadTimeout, SkitaiError
from skitai.net.timers import NEVER, HasDeadline
from skitai.was import _settings
from skitai.was._db_work import perform
from skitai.wire.masking import hide_in

if TYPE_CHECKING:
    from skitai.was._db_connection import DbConnection
    from skitai.was._engine import Engine
    from skitai.wire.databases import Database

#: Opens a connection: the pool it is for, and the monotonic time at which that must be done.
Connect = Callable[["DbPool", float], "DbConnection"]


class Turn(HasDeadline, Protocol):
    """What waits for a connection without a greenlet.

    With 32 pages of 16 queries each, on 20 connections, a parked greenlet with a timer for each query cost a quarter of
    the time of the process.
    """

    def accept(self, connection: DbConnection | None) -> None:
        """Take a connection, or ``None``: a place for one of its own. It is in the queue no more."""

    def begin(self) -> None:
        """Go on with what was accepted, on a worker greenlet; returns at once."""

    def serve(self) -> Turn | None:
        """Go on with what was accepted, on this worker greenlet; return the turn that is to be served next."""


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
        self._waiting: deque[AsyncResult[DbConnection | None] | Turn] = deque()

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
        return self.take(connection, deadline)

    @property
    def is_used_up(self) -> bool:
        """Whether :meth:`checkout` has to wait until somebody gives a connection back."""
        return not self._idle and len(self._busy) + self._opening >= self.most

    def enqueue(self, turn: Turn) -> None:
        """Let ``turn`` wait for a connection, behind those who wait already. Its own deadline is watched."""
        self._waiting.append(turn)
        self.engine.sweep.watch(turn)

    def dequeue(self, turn: Turn) -> bool:
        """Let ``turn`` wait no longer; return whether it did."""
        self.engine.sweep.forget(turn)
        try:
            self._waiting.remove(turn)
        except ValueError:  # it has what it waited for
            return False
        return True

    def take(self, given: DbConnection | None, deadline: float) -> DbConnection:
        """Return a connection for what a turn was given; see :meth:`checkout`."""
        connection = self._open(deadline) if given is None else given
        connection.uses += 1
        return connection

    def checkin(self, connection: DbConnection, *, is_broken: bool = False) -> None:
        """Take ``connection`` back after a use.

        Args:
            is_broken: something went wrong that it may not survive: it is closed.
        """
        turn = self.pass_on(connection, is_broken=is_broken)
        if turn is not None:
            turn.begin()

    def pass_on(self, connection: DbConnection, *, is_broken: bool = False) -> Turn | None:
        """Take ``connection`` back as :meth:`checkin` does, from a worker greenlet that has nothing else to do.

        Returns:
            The turn that has it now, and is to be done by whoever calls, instead of another greenlet. This takes a
            tenth off the time of a page whose 16 queries wait for connections.
        """
        is_old = time.monotonic() - connection.opened > _settings.current.db_life
        if is_broken or is_old or self._count > self.most or not self._make_reusable(connection):
            self._close(connection)
            return None
        if not self._waiting:
            self._rest(connection)
            return None
        first = self._waiting.popleft()
        if isinstance(first, AsyncResult):
            first.set(connection)
            return None
        first.accept(connection)
        return first

    def retire(self, connection: DbConnection) -> bool:
        """Close ``connection`` if it idles; return whether it did."""
        if connection not in self._idle:
            return False
        self._idle.remove(connection)
        self.engine.sweep.forget(connection)
        connection.close()
        self._forget_if_empty()
        return True

    def none_got_free(self) -> ReadTimeout:
        """Return the error of whoever has waited for too long."""
        return ReadTimeout(f"none of the {self.most} connections to {self.database} got free in time")

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

    # Finding one

    def _take_idle(self) -> DbConnection | None:
        while self._idle:
            connection = self._idle.pop()  # the last one used, so that the surplus can expire
            connection.deadline = NEVER
            self._busy.add(connection)
            try:
                is_alive = self._is_alive(connection)
            except BaseException:  # whoever calls waits no longer
                self._close(connection)
                raise
            if is_alive:
                return connection
            self._leave(connection)
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
            if not ticket.ready():
                self._waiting.remove(ticket)
        if not ticket.ready():
            raise self.none_got_free()
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
            hide_in(error)  # a driver may quote what it was given
            raise ConnectFailed(f"cannot connect to {self.database}: {str(error).strip()}") from error
        except BaseException:
            self._give_place_on()
            raise
        self._opening -= 1
        self._busy.add(connection)
        self.engine.sweep.watch(connection)  # until it is closed: each use only moves its deadline
        return connection

    # Giving back

    def _make_reusable(self, connection: DbConnection) -> bool:
        try:
            # Who waits gets it at once, so it is looked at here: what the server says unasked is not theirs.
            return connection.make_reusable() and (not self._waiting or connection.is_fit())
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

    def _rest(self, connection: DbConnection) -> None:
        self._busy.discard(connection)
        self._idle.append(connection)
        connection.used = now = time.monotonic()
        connection.deadline = now + _settings.current.keep_time

    def _leave(self, connection: DbConnection) -> None:
        self._busy.discard(connection)
        self.engine.sweep.forget(connection)

    def _close(self, connection: DbConnection) -> None:
        self._leave(connection)
        self._opening += 1  # until the place is given on
        try:
            connection.close()
        finally:  # closing may wait, and whoever called need not stay until the end
            self._give_place_on()

    def _give_place_on(self) -> None:
        if self._waiting and self._count <= self.most:
            first = self._waiting.popleft()
            if isinstance(first, AsyncResult):
                first.set(None)
            else:
                first.accept(None)
                first.begin()
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
