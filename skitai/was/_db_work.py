"""One command on one connection, with the time at which it must end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skitai.errors import PeerClosed, ReadTimeout, SkitaiError
from skitai.net.timers import NEVER
from skitai.was import _settings

if TYPE_CHECKING:
    from skitai.was._db_connection import Answer, Command, DbConnection


def perform(connection: DbConnection, command: Command, timeout: float | None) -> Answer:
    """Do ``command`` on ``connection``, which the caller has taken from its pool.

    Nothing is killed: a command that takes too long ends because its connection does.

    Args:
        timeout: seconds that it may take; ``None``: as long as any call.

    Raises:
        ReadTimeout: it took too long. PeerClosed: the connection was lost. The driver's error is the cause of both.
        Exception: of the driver.
    """
    ends_by = time.monotonic() + (_settings.current.total_time if timeout is None else timeout)
    connection.deadline = ends_by if timeout is None else ends_by + connection.grace
    try:
        return connection.perform(command, timeout)
    except SkitaiError:  # the driver's module knew more
        raise
    except Exception as error:
        if time.monotonic() >= ends_by:
            raise ReadTimeout(f"{connection.pool.database} took too long: {str(error).strip()}") from error
        if connection.is_lost:
            raise PeerClosed(f"{connection.pool.database} closed the connection: {str(error).strip()}") from error
        raise
    finally:
        connection.deadline = NEVER
