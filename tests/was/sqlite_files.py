"""What tests of SQLite look at."""

from __future__ import annotations

import os
from contextlib import suppress

from skitai.was import _engine
from skitai.was._db_connection import DbConnection

#: A statement that does not end by itself.
ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n"


def busy() -> list[DbConnection]:
    """The connections to files that are in use."""
    pools = [pool for database, pool in _engine.current().databases.items() if database.kind == "sqlite3"]
    return [connection for pool in pools for connection in pool._busy]  # type: ignore[attr-defined]


def open_files(path: str) -> list[str]:
    """The descriptors of this process that lead to a file or what SQLite keeps beside it."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name for name in found if name.startswith(path)]
