"""The pages of databases for ``gunicorn -k gevent``: psycopg2 with psycogreen, redis-py, a greenlet per query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import psycopg2
import psycopg2.extras
import redis
from databases_sql import CONNECTIONS, ONE, POSTGRES, REDIS, ROWS, answer
from gevent.queue import LifoQueue
from psycogreen.gevent import patch_psycopg

patch_psycopg()
free: LifoQueue[Any] = LifoQueue()
for _ in range(CONNECTIONS):
    free.put(None)
cache = redis.Redis(
    connection_pool=redis.BlockingConnectionPool(
        host=REDIS["host"], port=REDIS["port"], username=REDIS["user"], password=REDIS["password"],
        decode_responses=True, max_connections=CONNECTIONS,
    )
)  # fmt: skip
cache.set("one", 1)


def query(sql: str, cursor_factory: Any = None) -> list[Any]:
    """The rows of a query, on a connection of the pool."""
    connection = free.get()
    try:
        if connection is None:
            connection = psycopg2.connect(**POSTGRES)
            connection.autocommit = True
        with connection.cursor(cursor_factory=cursor_factory) as cursor:
            cursor.execute(sql)
            rows: list[Any] = cursor.fetchall()
            return rows
    finally:
        free.put(connection)


def query_all(sql: str, count: int) -> int:
    """The sum over all rows of ``count`` equal queries."""
    queries = [gevent.spawn(query, sql) for _ in range(count)]
    return sum(row[0] for each in queries for row in each.get())


def query_all_by_name(sql: str, count: int) -> int:
    """The same with rows that have names."""
    queries = [gevent.spawn(query, sql, psycopg2.extras.RealDictCursor) for _ in range(count)]
    return sum(row["n"] for each in queries for row in each.get())


def get_all(count: int) -> int:
    """The sum of ``count`` values of Redis."""
    values = [gevent.spawn(cache.get, "one") for _ in range(count)]
    return sum(int(each.get()) for each in values)


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
