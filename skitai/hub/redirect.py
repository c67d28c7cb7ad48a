"""The session of a plain port that only sends clients to https."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from skitai.constants import NAME
from skitai.hub.exchange import Exchange
from skitai.hub.http1 import Http1Session
from skitai.hub.pages import error_response
from skitai.wire.fields import Fields
from skitai.wire.http1 import RequestHead
from skitai.wire.response import CommonFields

if TYPE_CHECKING:
    from skitai.hub.connection import Connection


class RedirectSession(Http1Session):
    """Answers one request and closes: its client goes on elsewhere.

    308 keeps the method (RFC 9110 section 15.4.9). The host is the one that the client asked for, whose characters the
    parser has checked as it has those of the target, so neither can hold a line break.

    Args:
        connection: on the plain port. port: that speaks https.
    """

    __slots__ = ("_port",)

    def __init__(self, connection: Connection, port: int) -> None:
        super().__init__(connection)
        self._port = port

    def _begin(self, head: RequestHead) -> None:
        connection = self._connection
        exchange = Exchange(self, connection, head)
        location = self._location(exchange)
        # Fields of its own: Strict-Transport-Security must not be sent in plain (RFC 6797 section 7.2).
        common = CommonFields(NAME)
        common.refresh(formatdate(usegmt=True))
        fields: Fields = [] if location is None else [("Location", location)]
        detail = "This port only redirects to https." if location is None else ""
        exchange.status = 400 if location is None else 308
        data = error_response(exchange.status, detail, common, keep_alive=False, extra=fields)
        if head.method == "HEAD":
            data = data[: data.index(b"\r\n\r\n") + 4]
        exchange.bytes_out = len(data)
        connection.try_send(data)
        connection.server.log_answered(exchange)
        connection.close()

    def _location(self, exchange: Exchange) -> str | None:
        """Return where the same is by https, ``None`` for a request that names no host or no path."""
        host = exchange.head.host
        name = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if not name or exchange.target == "*" or exchange.method == "CONNECT":
            return None
        port = "" if self._port == 443 else f":{self._port}"
        query = f"?{exchange.query}" if exchange.query else ""
        return f"https://{name}{port}{exchange.raw_path}{query}"
