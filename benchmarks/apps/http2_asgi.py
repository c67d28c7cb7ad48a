"""The same texts as ``http2_wsgi``, as a raw ASGI app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from http2_wsgi import BODIES

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Send) -> None:
    """Answer every request with the text of its path."""
    if scope["type"] != "http":
        return
    body = BODIES[scope["path"]]
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
