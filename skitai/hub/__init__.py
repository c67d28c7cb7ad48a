"""The server. ``make_server`` serves one WSGI app in the calling gevent process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skitai.hub.embedded import make_server as make_server

__all__ = ["make_server"]


def __getattr__(name: str) -> object:
    # Lazily: the supervisor imports its own module from here and must not load gevent.
    if name == "make_server":
        from skitai.hub.embedded import make_server

        return make_server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
