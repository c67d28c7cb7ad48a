"""When an app begins and ends to serve: ``@app.startup``, ``@app.onreload`` and ``@app.shutdown``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.net import logs
from skitai.was._context import wasc

if TYPE_CHECKING:
    from skitai.saddle.part import Part


def begin(part: Part, is_reload: bool = False) -> None:
    """Run the start hooks of a part and of all parts in it, the app first. What one raises is logged."""
    _run(part, "onreload" if is_reload else "startup")


def end(part: Part) -> None:
    """Run the shutdown hooks, those of inner parts first. What one raises is logged, and the others still run."""
    _run(part, "shutdown", is_reversed=True)


def _run(part: Part, name: str, is_reversed: bool = False) -> None:
    parts = list(part.tree())
    for each in reversed(parts) if is_reversed else parts:
        hook = getattr(each.hooks, name)
        if hook is not None:
            try:
                hook(wasc)
            except Exception as error:
                logs.current().app.traceback(name, error=error)
