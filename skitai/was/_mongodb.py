"""Databases of MongoDB: pymongo, imported when one is asked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.errors import ConfigurationError

if TYPE_CHECKING:
    from skitai.was._db_connection import Command
    from skitai.was._db_pool import DbPool
    from skitai.was._mongodb_connection import MongoConnection

#: Commands that change nothing, and mean the same when they are done again.
_READING = frozenset({"findone", "find", "findall", "findkc", "count", "distinct"})
#: Stages that write the outcome of a pipeline.
_WRITING_STAGES = frozenset({"$out", "$merge"})


def connect(pool: DbPool, deadline: float) -> MongoConnection:
    """Open a connection; see ``_db_pool.Connect``.

    Raises:
        ConfigurationError: pymongo is not installed. NameNotFound, ConnectTimeout, TlsFailed: as their names say.
        pymongo.errors.PyMongoError: the server cannot be reached, or refused.
    """
    try:
        import pymongo  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigurationError("MongoDB is asked through pymongo: pip install 'skitai[mongodb]'") from None
    from skitai.was import _mongodb_connection

    return _mongodb_connection.connect(pool, deadline)


def can_repeat(command: Command) -> bool:
    """Whether a command may be done again when it is not known whether it was done."""
    if command.name == "aggregate":
        return not any(_writes(stage) for stage in command.args[1])
    return command.name in _READING


def _writes(stage: object) -> bool:
    return not isinstance(stage, dict) or bool(_WRITING_STAGES & stage.keys())
