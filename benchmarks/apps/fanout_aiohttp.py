"""The fan-out page as a plain ASGI app with aiohttp as its client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

URL = f"http://127.0.0.1:{os.environ['UPSTREAM_PORT']}/item"
session: aiohttp.ClientSession | None = None


def client() -> aiohttp.ClientSession:
    """The one session of this process, made inside its running loop; no limit, as 640 calls are in flight at most."""
    global session
    if session is None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    return session


async def fetch() -> bytes:
    """One call."""
    async with client().get(URL) as response:
        return await response.read()


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Awaitable[None]]) -> None:
    """Five calls at once, answers joined in order."""
    body = b"".join(await asyncio.gather(*(fetch() for _ in range(5))))
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
