"""One connection to a database, whatever its driver: what the pool and the runs need of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.net.timers import NEVER

if TYPE_CHECKING:
    from skitai.was._db_pool import DbPool


class Command(NamedTuple):
    """What a database is to do.

    Attributes:
        name: ``execute``, or a command of Redis.
        args, kwargs: of the command.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  never changed: one empty dict for all


class Answer(NamedTuple):
    """What a database answered.

    Attributes:
        data: :class:`skitai.lib.rows.Records`, or the value of a command; ``[]`` for a statement without rows.
        rowcount: rows that were found or changed; -1 when the database does not say.
        lastrowid: of the last row that was inserted, where the database says so.
        description: of the columns, as the driver's cursor has it; ``None`` for what has no columns.
    """

    data: Any
    rowcount: int = -1
    lastrowid: Any = None
    description: Any = None


class DbConnection(ABC):
    """A connection that one greenlet at a time uses, on a worker greenlet.

    Attributes:
        pool: it belongs to. opened: monotonic time.
        deadline: when what it does is aborted; while it idles in the pool: when it is closed.
        uses: how often it was taken from the pool.
        is_spent: it was aborted or cancelled, and is not to be used again.
    """

    #: Asks the database for a sign of life.
    sign_of_life: Command
    #: Seconds that a database which was told how long it may take gets beyond that, before :meth:`abort`.
    grace = 1.0

    def __init__(self, pool: DbPool) -> None:
        self.pool = pool
        self.opened = self.used = time.monotonic()
        self.deadline = NEVER
        self.uses = 0
        self.is_spent = False

    # In use

    @abstractmethod
    def perform(self, command: Command, timeout: float | None) -> Answer:
        """Do ``command`` and wait for the answer.

        Args:
            timeout: seconds that the database may take; ``None``: as long as it likes. Where the database can end
                the work itself it is told so; whoever calls ends it by :meth:`abort` in any case.

        Raises:
            Exception: of the driver.
        """

    @abstractmethod
    def abort(self) -> None:
        """Make :meth:`perform` end with an error at once, from another greenlet or the hub. Must not block."""

    def cancel(self) -> None:
        """Ask the database to end what :meth:`perform` waits for, from another greenlet. May block."""
        self.abort()

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether the driver knows that the connection is closed or broken."""

    @property
    def is_unusable(self) -> bool:
        """Whether it must not be used again."""
        return self.is_spent or self.is_lost

    # Between uses

    @abstractmethod
    def is_fit(self) -> bool:
        """Whether it can be used, as far as can be told without waiting."""

    @abstractmethod
    def make_reusable(self) -> bool:
        """Bring it to the state of a new connection after a use; False when that cannot be."""

    @abstractmethod
    def close(self) -> None:
        """Say good-bye and close. Never raises, never blocks for long."""

    @abstractmethod
    def drop(self) -> None:
        """After a fork: forget it without a word, because the parent goes on with it."""

    # For the sweep

    def expire(self) -> None:
        """It idled for too long, or what it does takes too long."""
        if not self.pool.retire(self):
            self.deadline = NEVER
            self.is_spent = True
            self.abort()

    def break_off(self, error: BaseException) -> None:
        """See :class:`skitai.net.faults.Breakable`: it could not be aborted, so it is closed."""
        self.deadline = NEVER
        if not self.pool.retire(self):
            self.is_spent = True
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pool.database} used {self.uses} times>"
