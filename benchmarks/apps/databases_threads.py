"""The pages of databases for ``gunicorn -k gthread``: psycopg2 and redis-py, a pool of native threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
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


def query(sql: str) -> list[Any]:
    """The rows of a query, on the connection of this thread."""
    connection = getattr(local, "connection", None)
    if connection is None:
        connection = local.connection = psycopg2.connect(**POSTGRES)
        connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows: list[Any] = cursor.fetchall()
        return rows


def query_all(sql: str, count: int) -> int:
    """The sum over all rows of ``count`` equal queries."""
    return sum(row[0] for rows in executor.map(query, [sql] * count) for row in rows)


def get_all(count: int) -> int:
    """The sum of ``count`` values of Redis."""
    return sum(int(value) for value in executor.map(cache.get, ["one"] * count))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """``/one/4``, ``/rows/4``, ``/get/4``."""
    kind, _, count = environ["PATH_INFO"].strip("/").partition("/")
    found = get_all(int(count)) if kind == "get" else query_all(ONE if kind == "one" else ROWS, int(count))
    return answer(start_response, found)
