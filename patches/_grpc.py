"""grpcio waits for its peers in C; its own gevent mode makes it wait in the gevent loop instead.

Why: an app that uses grpcio itself would stop every request of its worker for as long as one call takes. Skitai's own
gRPC, ``was.grpc`` and services, does not use grpcio.
Versions: grpcio 1.66 and newer; the mode is called experimental there. It can go when Skitai no longer runs on gevent.
A server and a client of grpcio in one process still wait for each other for ever: keep them in processes of their own.
grpcio is patched when a program imports it, because importing it for those who do not use it would cost time.
"""

from __future__ import annotations

import sys

from . import _imports


def apply() -> None:
    """Switch the mode on now, or when grpcio is imported: it must be on before there is a channel."""
    if "grpc" in sys.modules:
        _install()
    else:
        _imports.after("grpc", _install)


def _install() -> None:
    from grpc.experimental.gevent import init_gevent

    init_gevent()
