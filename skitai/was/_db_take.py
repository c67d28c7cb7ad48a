"""A connection for several commands in a row, of a database or of the first member of a cluster that can be reached."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from skitai.errors import ConnectFailed, NameNotFound
from skitai.was import _clusters, _db_drivers, _settings
from skitai.was._db_run import taken

if TYPE_CHECKING:
    from skitai.was._db_connection import DbConnection
    from skitai.was._db_target import Target
    from skitai.wire.balance import MemberState
    from skitai.wire.databases import Database


def take(target: Target, timeout: float | None, held: ExitStack) -> DbConnection:
    """Return a connection that ``held`` gives back.

    Args:
        timeout: seconds to wait for one.

    Raises:
        ConnectFailed, NameNotFound: no member can be reached. ReadTimeout: none got free in time.
    """
    if target.database is not None:
        return _take_from(target.database, timeout, held)
    cluster = _clusters.find(target.uri[1:])
    tried: list[MemberState] = []
    while True:
        state = cluster.balancer.choose(time.monotonic(), tried)
        assert state is not None  # the last one that is tried raises
        tried.append(state)
        state.begin()
        try:
            connection = _take_from(target.database_of(cluster, state), timeout, held)
        except (ConnectFailed, NameNotFound):
            state.fail(time.monotonic())
            if len(tried) == len(cluster.balancer.states):
                raise
        except BaseException:
            state.end()
            raise
        else:
            held.callback(state.succeed)
            return connection


def _take_from(database: Database, timeout: float | None, held: ExitStack) -> DbConnection:
    patience = _settings.current.idle_time if timeout is None else timeout
    return held.enter_context(taken(_db_drivers.pool_of(database), time.monotonic() + patience))
