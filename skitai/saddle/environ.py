"""``was.env``: the WSGI environ of a request (PEP 3333), made for those apps that ask for it."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from skitai.constants import NAME, __version__
from skitai.was import _modes
from skitai.wire.fields import cgi_name

if TYPE_CHECKING:
    from skitai.saddle.service import Was


def make_environ(was: Was) -> dict[str, Any]:
    """Return the environ of a request; that of the WSGI server when it came through one."""
    exchange = was.exchange
    given: dict[str, Any] | None = getattr(exchange, "environ", None)
    if given is not None:
        return given
    peer, server = exchange.peer, exchange.server_address
    environ: dict[str, Any] = {
        "REQUEST_METHOD": exchange.method,
        "SCRIPT_NAME": was.point,
        "PATH_INFO": exchange.path[len(was.point) :],
        "QUERY_STRING": exchange.query,
        "RAW_URI": exchange.target,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": "",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{exchange.version}",
        "SERVER_SOFTWARE": NAME,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "REMOTE_SERVER": peer[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": exchange.scheme,
        "wsgi.input": exchange.body or io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": not _modes.current.is_single,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "skitai.was": was,
        "skitai.version": __version__,
        "skitai.thread": _modes.current.threads,
        **getattr(exchange, "client_certificate", {}),
    }
    for name, value in exchange.fields:
        key = cgi_name(name)
        if key:
            joined = "; " if key == "HTTP_COOKIE" else ", "
            earlier = environ.get(key)
            environ[key] = f"{earlier}{joined}{value}" if earlier else value
    return environ
