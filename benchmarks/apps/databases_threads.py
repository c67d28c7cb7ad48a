"""The pages of databases for ``gunicorn -k gthread``: psycopg2 and redis-py, a pool of native threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import psycopg2.extras
import redis
from databases_sql import CONNECTIONS, ONE, POSTGRES, REDIS, ROWS, answer

local = threading.local()
executor = ThreadPoolExecutor(CONNECTIONS)
cache = redis.Redis(
    connection_pool=redis.BlockingConnectionPool(
        host=REDIS["host"], port=REDIS["port"], username=REDIS["user"], password=REDIS["password"],
        decode_responses=True, max_connections=CONNECTIONS,
    )
)  # fmt: skip
cache.set("one", 1)


def query(sql: str, cursor_factory: Any = None) -> list[Any]:
    """The rows of a query, on the connection of this thread."""
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = local.connection = psycopg2.connect(**POSTGRES)
        connection.autocommit = True
    with connection.cursor(cursor_factory=cursor_factory) as cursor:
        cursor.execute(sql)
        rows: list[Any] = cursor.fetchall()
        return rows


def query_all(sql: str, count: int) -> int:
    """The sum over all rows of ``count`` equal queries."""
    return sum(row[0] for rows in executor.map(query, [sql] * count) for row in rows)


def query_all_by_name(sql: str, count: int) -> int:
    """The same with rows that have names."""
    results = executor.map(query, [sql] * count, [psycopg2.extras.RealDictCursor] * count)
    return sum(row["n"] for rows in results for row in rows)


def get_all(count: int) -> int:
    """The sum of ``count`` values of Redis."""
    return sum(int(value) for value in executor.map(cache.get, ["one"] * count))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """``/one/4``, ``/rows/4``, ``/named/4``, ``/get/4``."""
    kind, _, count = environ["PATH_INFO"].strip("/").partition("/")
    if kind == "get":
        found = get_all(int(count))
    elif kind == "named":
        found = query_all_by_name(ROWS, int(count))
    else:
        found = query_all(ONE if kind == "one" else ROWS, int(count))
    return answer(start_response, found)
