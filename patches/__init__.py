"""Changes to other libraries that Skitai's cooperative world needs, installed as ``skitai.patches``.

Nothing here runs on import. ``python -m skitai script.py`` calls :func:`apply` before the script's first line; a
program with an entry point of its own does the same::

    from skitai import patches
    patches.apply()             # before ssl, requests, urllib3 ... are imported

Each file of this package changes one library and says at its top why, for which versions, and when it can go.
Modules here import the standard library and the library they patch, never Skitai.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from . import _asyncio, _gevent, _grpc, _jinja2, _multiprocessing, _psycopg, _pymongo

__all__ = ["LatePatching", "applied", "apply", "is_applied"]


class LatePatching(RuntimeError):
    """Patching was asked for after modules that cannot be patched any more were imported."""


# Applied in this order: gevent first, because every other patch stands on its loop.
TABLE: Final[tuple[tuple[str, Callable[[], None]], ...]] = (
    ("gevent", _gevent.apply),
    ("psycopg", _psycopg.apply),
    ("pymongo", _pymongo.apply),
    ("grpc", _grpc.apply),
    ("jinja2", _jinja2.apply),
    ("asyncio", _asyncio.apply),
    ("multiprocessing", _multiprocessing.apply),
)
_applied: list[str] = []


def applied() -> tuple[str, ...]:
    """The names of the patches applied so far, in order."""
    return tuple(_applied)


def is_applied() -> bool:
    """Tell whether this process is cooperative, by :func:`apply` or by gevent's own ``patch_all()``."""
    return _gevent.is_applied()


def apply() -> None:
    """Apply every patch of the table once; a second call does nothing.

    Raises:
        LatePatching: ``ssl`` was imported before. A TLS context made then would recurse without end, so nothing is
            patched; the text names the modules that imported it.
    """
    if not is_applied() and "ssl" in sys.modules:
        raise LatePatching(_late_text())
    for name, patch in TABLE:
        if name not in _applied:
            patch()
            _applied.append(name)


def _late_text() -> str:
    ssl = sys.modules["ssl"]
    importers = sorted(
        name
        for name, module in sys.modules.copy().items()
        if name != "ssl" and any(value is ssl for value in vars(module).values() if module is not None)
    )
    by = f" by {', '.join(importers[:8])}" if importers else ""
    return (
        f"too late to make this process cooperative: ssl was already imported{by}. "
        "Start it as `python -m skitai script.py`, or call skitai.patches.apply() before any other import; "
        "under a debugger that imports ssl itself, set SKITAI_NO_PATCH=1 to serve unpatched"
    )
