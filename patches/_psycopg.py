"""psycopg2 waits for its server in C; psycogreen makes it wait in the gevent loop instead.

Why: one slow query would stop every request of the worker.
Versions: psycopg2 2.9 with psycogreen 1.0. It can go when psycopg2 is no longer supported (psycopg 3 needs none).
psycopg2 is patched when a program imports it, because importing it for those who do not use it would cost time.
"""

from __future__ import annotations

import sys

from . import _imports


def apply() -> None:
    """Install the wait callback now, or when psycopg2 is imported."""
    if "psycopg2" in sys.modules:
        _install()
    else:
        _imports.after("psycopg2", _install)


def _install() -> None:
    try:
        from psycogreen.gevent import patch_psycopg
    except ImportError as error:
        raise ImportError(
            "psycopg2 blocks the whole worker without psycogreen: pip install 'skitai[postgresql]'"
        ) from error
    patch_psycopg()
