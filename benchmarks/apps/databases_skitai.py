"""The pages of databases for us: a plain WSGI app and ``was``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from databases_sql import ONE, POSTGRES, REDIS, ROWS, answer

from skitai import was

POOL = (f"{POSTGRES['host']}:{POSTGRES['port']}", POSTGRES["dbname"], (POSTGRES["user"], POSTGRES["password"]))
CACHE = (f"{REDIS['host']}:{REDIS['port']}", "", (REDIS["user"], REDIS["password"]))
was.redis(*CACHE).set("one", 1).wait(10)


def query(sql: str, count: int) -> int:
    """The sum over all rows of ``count`` equal queries, as tuples."""
    db = was.postgresql(*POOL)
    requests = [db.execute(sql) for _ in range(count)]
    return sum(row[0] for request in requests for row in request.getwait(10).tuples)


def query_by_name(sql: str, count: int) -> int:
    """The same with rows that have names."""
    db = was.postgresql(*POOL)
    requests = [db.execute(sql) for _ in range(count)]
    return sum(row.n for request in requests for row in request.getwait(10).data)


def get(count: int) -> int:
    """The sum of ``count`` values of Redis."""
    cache = was.redis(*CACHE)
    requests = [cache.get("one") for _ in range(count)]
    return sum(int(request.getwait(10).data) for request in requests)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """``/one/4``, ``/rows/4``, ``/named/4``, ``/get/4``."""
    kind, _, count = environ["PATH_INFO"].strip("/").partition("/")
    if kind == "get":
        found = get(int(count))
    elif kind == "rows":
        found = query(ROWS, int(count))
    else:
        found = query_by_name(ONE if kind == "one" else ROWS, int(count))
    return answer(start_response, found)
