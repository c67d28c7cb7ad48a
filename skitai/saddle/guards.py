"""Which guards stand before the functions of a route.

To add one: write a file with a function ``guard(app, route, method)`` that returns a callable taking ``was``, or
``None`` when this route needs none, and name it in :data:`MAKERS`. All decisions that do not depend on the request are
made there, once. A route without guards and hooks is called directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skitai.saddle import auth, cors, options
from skitai.saddle.endpoint import Guard

if TYPE_CHECKING:
    from skitai.saddle.app import Saddle
    from skitai.saddle.routes import Route

Maker = Callable[["Saddle", "Route", str], Guard | None]

#: In the order in which the guards look at a request.
MAKERS: list[Maker] = [cors.guard, auth.guard, options.guard]


def guards_of(app: Saddle, route: Route, method: str) -> list[Guard]:
    """Return the guards of a route of ``app`` for requests of one method."""
    return [guard for make in MAKERS if (guard := make(app, route, method)) is not None]
