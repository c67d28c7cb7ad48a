"""Clients that do not speak TLS as they must: each is told so where it can be, and logged once."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from skitai.net.transport import PlainHttp, TlsTransport

if TYPE_CHECKING:
    from skitai.hub.connection import Connection

_TEXT: Final = b"This port speaks HTTPS. Ask for the same with https:// in front.\n"
_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_TEXT), _TEXT)
)


def end(connection: Connection, error: OSError) -> None:
    """End a connection whose socket could not be read; called in the hub."""
    transport = connection.transport
    if isinstance(transport, TlsTransport):
        if isinstance(error, PlainHttp):
            transport.send_in_plain(_PLAIN_ANSWER)
            connection.server.log_nameless(connection, 400, len(_PLAIN_ANSWER))
            connection.server.note_refusal(connection.peer, error)
            connection.close()
            return
        if isinstance(error, ssl.SSLError):
            what = "broke TLS" if transport.is_ready else "did not finish the TLS handshake"
            address = f"{connection.peer[0]}:{connection.peer[1]}"
            connection.server.complain("TLS that failed", f"{address} {what}: {reason(error)}", "info")
    connection.abort()


def reason(error: ssl.SSLError) -> str:
    """What OpenSSL says, in words and without the place in its source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    said: str | None = getattr(error, "reason", None)  # missing where OpenSSL had no part in it
    return said.lower().replace("_", " ") if said else str(error)
