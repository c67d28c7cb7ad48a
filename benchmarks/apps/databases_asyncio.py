"""The pages of databases as a plain ASGI app with asyncpg and redis.asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import redis.asyncio
from databases_sql import CONNECTIONS, ONE, POSTGRES, REDIS, ROWS

pool: Any = None
cache = redis.asyncio.Redis(
    connection_pool=redis.asyncio.BlockingConnectionPool(
        host=REDIS["host"], port=REDIS["port"], username=REDIS["user"], password=REDIS["password"],
        decode_responses=True, max_connections=CONNECTIONS,
    )
)  # fmt: skip
begun = asyncio.Lock()


async def begin() -> None:
    """Open the pool inside the running loop, once."""
    global pool
    async with begun:
        if pool is None:
            await cache.set("one", 1)
            pool = await asyncpg.create_pool(
                host=POSTGRES["host"], port=POSTGRES["port"], database=POSTGRES["dbname"], user=POSTGRES["user"],
                password=POSTGRES["password"], min_size=CONNECTIONS, max_size=CONNECTIONS,
            )  # fmt: skip


async def query_all(sql: str, count: int, column: int | str) -> int:
    """The sum over all rows of ``count`` equal queries."""
    results = await asyncio.gather(*(pool.fetch(sql) for _ in range(count)))
    return sum(row[column] for rows in results for row in rows)


async def get_all(count: int) -> int:
    """The sum of ``count`` values of Redis."""
    return sum(int(value) for value in await asyncio.gather(*(cache.get("one") for _ in range(count))))


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Awaitable[None]]) -> None:
    """``/one/4``, ``/rows/4``, ``/named/4``, ``/get/4``."""
    if pool is None:
        await begin()
    kind, _, count = scope["path"].strip("/").partition("/")
    if kind == "get":
        found = await get_all(int(count))
    else:
        found = await query_all(ONE if kind == "one" else ROWS, int(count), "n" if kind == "named" else 0)
    body = b"%d" % found
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
