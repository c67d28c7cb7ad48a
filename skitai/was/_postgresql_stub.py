"""``was.postgresql(...)``: statements, and what the server tells unasked."""

from __future__ import annotations

from skitai.was import _db_drivers, _modes, _postgresql
from skitai.was._db_connection import Command
from skitai.was._db_drivers import Driver
from skitai.was._postgresql_listen import Listening
from skitai.was._sql_stub import SqlStub
from skitai.wire import sql


class PostgresStub(SqlStub):
    """See :class:`SqlStub`."""

    def listen(self, *channels: str, timeout: float | None = None) -> Listening:
        """Return the notifications of some channels, for a ``with`` block: ``LISTEN`` on a connection of its own.

        Args:
            *channels: their names, as ``NOTIFY`` spells them in quotes.
            timeout: seconds without a notification after which the iteration ends; ``None``: never.

        Raises:
            RuntimeError: for a cluster with several members, whose notifications would come from one of them only; and
                in a request of the single-thread mode.
        """
        _modes.check_waiting(self._context)
        if self._target.error is not None:
            raise self._target.error
        return Listening(self._only_database(), channels, timeout)


def _can_repeat(command: Command) -> bool:
    return command.name == "execute" and sql.is_read_only(command.args[0])


_db_drivers.table["postgresql"] = Driver(_postgresql.connect, _can_repeat)
