"""A server inside somebody else's gevent process."""

from __future__ import annotations

import socket
import ssl
import sys
from typing import Any, TextIO

from skitai.hub.binding import bind
from skitai.hub.server import Server
from skitai.hub.site import Site
from skitai.net.logs import LogFile, Logs
from skitai.settings import ServerSettings


class EmbeddedServer:
    """What :func:`make_server` returns.

    Attributes:
        server_port: that it is bound to. server: the :class:`~skitai.hub.server.Server` behind it.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        name: Any = sock.getsockname()
        self.server_port: int = name[1] if isinstance(name, tuple) else 0

    def start(self) -> None:
        """Serve from now on, in the hub of the calling greenlet; returns at once."""
        self.server.start()

    def stop(self, grace: float = 5.0) -> None:
        """End after the requests in flight, at most ``grace`` seconds later."""
        self.server.stop(grace)

    def serve_forever(self) -> None:
        """Start, and wait until another greenlet calls :meth:`stop`."""
        self.start()
        self.server.serve_forever()

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.server!r}>"


def make_server(
    listener: socket.socket | tuple[str, int],
    app: Any,
    log: TextIO | None = None,
    error_log: TextIO | None = None,
    *,
    settings: ServerSettings | None = None,
    tls: ssl.SSLContext | None = None,
) -> EmbeddedServer:
    """Make a server for one WSGI app, to serve in the calling gevent process: for embedding and for tests.

    Args:
        listener: a bound, listening socket, or (host, port).
        app: a WSGI callable.
        log: a text file object for the request log; ``None`` writes none.
        error_log: a text file object for the server and the app log; ``None`` takes standard error.
        settings: numbers and limits; the defaults when not given.
        tls: serve HTTPS with this context.

    Returns:
        An object with ``start()``, ``server_port`` and ``stop()``.

    Raises:
        ConfigurationError: the address cannot be bound; the text says why.
    """
    sockets = bind(*listener) if isinstance(listener, tuple) else [listener]
    site = Site()
    site.mount_app("/", _Fixed(app))
    server = Server(site, settings or ServerSettings(workers=0), _logs(log, error_log), has_access_log=log is not None)
    for sock in sockets:
        server.add_listener(sock, tls)
    return EmbeddedServer(server, sockets[0])


class _Fixed:
    """An app that is never reloaded."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.name = getattr(app, "__name__", "app")


def _logs(log: TextIO | None, error_log: TextIO | None) -> Logs:
    errors = _to_stream(error_log or sys.stderr)
    return Logs(errors, errors if log is None else _to_stream(log), errors)


def _to_stream(stream: TextIO) -> LogFile:
    def write(data: bytes) -> None:
        stream.write(data.decode())
        stream.flush()

    return LogFile(sink=write)
