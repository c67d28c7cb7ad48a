"""The standard library's blocking calls, made to yield to the gevent loop.

Why: an unmodified app that sleeps, waits for a lock or reads a socket must not stop the other requests of its worker.
Versions: gevent 25.9.1 and newer, which patch ``queue.SimpleQueue`` as well. It stays as long as Skitai runs on gevent.
"""

from __future__ import annotations

import gevent.monkey

# What must be patched before a process counts as cooperative; gevent's own patch_all() covers them all.
ESSENTIAL = ("socket", "ssl", "threading", "time", "select", "queue", "subprocess")


def is_applied() -> bool:
    """Tell whether gevent patched all that an app's blocking calls stand on."""
    return all(map(gevent.monkey.is_module_patched, ESSENTIAL))


def apply() -> None:
    """Patch the standard library, unless the program did so already."""
    if not is_applied():
        gevent.monkey.patch_all()
