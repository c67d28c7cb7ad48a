"""OPTIONS (RFC 9110 section 9.3.7) for routes that list it beside other methods: the answer is Allow.

The function is not called, because it was written for the other methods. It is when the route lists OPTIONS alone, or
takes all methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.endpoint import Guard
    from skitai.saddle.routes import Route
    from skitai.saddle.service import Was


def allowed_methods(was: Was) -> str:
    """Return the value of Allow for the path of a request."""
    return ", ".join(sorted(was.app.table.methods(was.path)))


def guard(app: Saddle, route: Route, method: str) -> Guard | None:
    """See :mod:`skitai.saddle.guards`."""
    if method != "OPTIONS" or not route.methods - {"OPTIONS"}:
        return None
    return answer


def answer(was: Was) -> bytes:
    """The guard: answer with Allow."""
    was.response.set_header("Allow", allowed_methods(was))
    return b""
