"""The line in the server log that a WebSocket leaves when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.server import Server


class Counted(Protocol):
    """What carried a WebSocket."""

    bytes_in: int
    bytes_out: int


class Obituary:
    """Logs the end of a WebSocket.

    Args:
        server: whose log it is. exchange: of the handshake.
    """

    __slots__ = ("_began", "_exchange", "_server")

    def __init__(self, server: Server, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange
        self._began = time.monotonic()

    def __call__(self, session: Counted, code: int, reason: str) -> None:
        """Write the line."""
        exchange = self._exchange
        peer = exchange.peer
        seconds = time.monotonic() - self._began
        self._server.logs.server.log(
            f"websocket {peer[0]}:{peer[1]} {exchange.target} closed with {code}"
            f"{f' ({_printable(reason)})' if reason else ''}: {session.bytes_in} bytes in, {session.bytes_out} out,"
            f" {seconds:.1f} s"
        )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
