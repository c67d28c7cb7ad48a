"""A short and a longer text over WSGI, for the cases of HTTP/2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

BODIES = {"/": b"Hello, world!", "/10k": b"x" * 10_240}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the text of the path."""
    body = BODIES[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
