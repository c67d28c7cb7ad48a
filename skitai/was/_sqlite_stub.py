"""``was.sqlite3(...)``: statements on a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.was import _db_drivers, _sqlite
from skitai.was._db_drivers import Driver
from skitai.was._sql_stub import SqlStub
from skitai.wire import sql

if TYPE_CHECKING:
    from skitai.was._db_connection import Command
    from skitai.wire.databases import Database


class SqliteStub(SqlStub):
    """See :class:`SqlStub`."""


def _can_repeat(command: Command) -> bool:
    return command.name == "execute" and sql.is_read_only(command.args[0])


def _most(database: Database) -> int | None:
    return 1 if database.dbname == _sqlite.IN_MEMORY else None


_db_drivers.table["sqlite3"] = Driver(_sqlite.connect, _can_repeat, _most)
