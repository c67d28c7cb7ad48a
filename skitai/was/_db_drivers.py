"""The drivers by kind of database, and the pools of their connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from skitai.was import _engine
from skitai.was._db_connection import Command
from skitai.was._db_pool import Connect, DbPool
from skitai.wire.databases import Database


def _as_the_settings_say(database: Database) -> int | None:
    return None


class Driver(NamedTuple):
    """How databases of one kind are asked.

    Attributes:
        connect: opens a connection.
        can_repeat: whether a command may be done again when it is not known whether it had an effect.
        most: connections to one database at a time; ``None``: as the settings say.
    """

    connect: Connect
    can_repeat: Callable[[Command], bool]
    most: Callable[[Database], int | None] = _as_the_settings_say


#: Filled by the module of each driver.
table: dict[str, Driver] = {}


def pool_of(database: Database) -> DbPool:
    """Return the pool of this thread's hub for ``database``, made on first use."""
    engine = _engine.current()
    pool = engine.databases.get(database)
    if pool is None:
        driver = table[database.kind]
        pool = engine.databases[database] = DbPool(engine, database, driver.connect, driver.most(database))
    return cast("DbPool", pool)
