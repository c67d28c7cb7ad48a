"""The environ of WSGI apps (PEP 3333), copied from a template for each listener."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from skitai.constants import NAME, __version__
from skitai.hub.error_stream import ErrorStream
from skitai.hub.exchange import Exchange
from skitai.hub.file_wrapper import FileWrapper
from skitai.was._context import Context, activate

if TYPE_CHECKING:
    from skitai.hub.connection import Connection
    from skitai.hub.listener import Listener
    from skitai.hub.server import Server


class Environs:
    """Makes the environs of one mounted app.

    Args:
        server: that it runs in. point: mount point, ``""`` for the root.
    """

    def __init__(self, server: Server, point: str) -> None:
        self._point = point
        self._templates: dict[Listener, dict[str, Any]] = {}
        settings = server.settings
        self._template: dict[str, Any] = {
            "SCRIPT_NAME": point,
            "CONTENT_TYPE": "",
            "CONTENT_LENGTH": "",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": NAME,
            "wsgi.version": (1, 0),
            "wsgi.errors": ErrorStream(server.logs.app.log),
            "wsgi.multithread": settings.threads > 0,
            "wsgi.multiprocess": settings.workers > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "skitai.version": __version__,
            "skitai.process": server.worker_index,
            "skitai.thread": settings.threads,
        }

    def make(self, exchange: Exchange) -> dict[str, Any]:
        """Return the environ of an exchange, whose ``was`` is that of the running greenlet from now on."""
        head = exchange.head
        connection = exchange.connection
        template = self._templates.get(connection.listener) or self._template_for(connection)
        path = exchange.path
        was = Context(exchange)
        activate(was)
        # Copying a template in which every key is there already and setting the values is nearly twice as fast as
        # merging dicts: the table never grows.
        environ = template.copy()
        environ.update(head.environ)
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path[len(self._point) :] if self._point else path
        environ["QUERY_STRING"] = exchange.query
        environ["RAW_URI"] = head.target
        environ["REMOTE_ADDR"] = environ["REMOTE_SERVER"] = connection.peer[0]
        environ["REMOTE_PORT"] = str(connection.peer[1])
        environ["CHANNEL_CREATED"] = connection.created
        body = exchange.body
        environ["wsgi.input"] = body or io.BytesIO()
        if body is not None and head.length is None:
            _say_length(environ, exchange)
        environ["skitai.was"] = was
        environ["skitai.client_disconnected"] = exchange.client_disconnected
        if head.version != 11:
            environ["SERVER_PROTOCOL"] = f"HTTP/{exchange.version}"
        if "HTTP_CONNECTION" in environ:
            environ["CONNECTION_TYPE"] = environ["HTTP_CONNECTION"]
        return environ

    def _template_for(self, connection: Connection) -> dict[str, Any]:
        """Make the environ of all requests that come in by one listener, once.

        Where clients are asked for certificates it is one connection's, and never kept: it says who the client is. No
        field of a request can say so, because all of their names begin with ``HTTP_``.
        """
        listener = connection.listener
        template = self._listener_template(listener)
        if listener.asks_clients:
            template.update(connection.transport.client_certificate)
        else:
            self._templates[listener] = template
        return template

    def _listener_template(self, listener: Listener) -> dict[str, Any]:
        return {
            **self._template,
            "REQUEST_METHOD": "",
            "PATH_INFO": "",
            "QUERY_STRING": "",
            "RAW_URI": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": listener.address[0],
            "SERVER_PORT": str(listener.address[1]),
            "REMOTE_ADDR": "",
            "REMOTE_PORT": "",
            "REMOTE_SERVER": "",
            "CONNECTION_TYPE": "",
            "CHANNEL_CREATED": "",
            "wsgi.url_scheme": listener.scheme,
            "wsgi.input": None,
            "skitai.was": None,
            "skitai.client_disconnected": None,
        }


def _say_length(environ: dict[str, Any], exchange: Exchange) -> None:
    """Say what is known of a body without Content-Length.

    Its chunks are off, so nothing may say that they are there: Bottle would take them off again.
    """
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    if exchange.is_whole:
        environ["CONTENT_LENGTH"] = str(exchange.bytes_in)
