"""The same hello as ``wsgi_hello``, as a raw ASGI app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from wsgi_hello import BODY, FIELDS

Send = Callable[[dict[str, Any]], Awaitable[None]]
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(name.lower().encode(), value.encode()) for name, value in FIELDS],
}
END = {"type": "http.response.body", "body": BODY}


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Send) -> None:
    """Answer every request with the same short text (run with ``--lifespan off``)."""
    await send(START)
    await send(END)
