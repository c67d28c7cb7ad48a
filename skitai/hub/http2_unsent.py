"""Responses of one HTTP/2 connection that wait for its client, and what becomes of them when they are too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skitai.wire.http2.errors import Code

if TYPE_CHECKING:
    from skitai.hub.backlog import Backlog
    from skitai.hub.http2 import Http2Session
    from skitai.hub.http2_exchange import Http2Exchange


class Unsent:
    """A :class:`~skitai.hub.backlog.Holder`.

    Args:
        session: of the connection. backlog: of all connections.

    Attributes:
        waiting: how many responses wait. held: their bytes.
    """

    __slots__ = ("_backlog", "_session", "held", "waiting")

    def __init__(self, session: Http2Session, backlog: Backlog) -> None:
        self._session = session
        self._backlog = backlog
        self.waiting = 0
        self.held = 0

    def hold(self, exchange: Http2Exchange, size: int) -> None:
        """``size`` bytes of a response wait for the client."""
        exchange.held = size
        self.waiting += 1
        self._backlog.add(self, size)

    def let_go(self, exchange: Http2Exchange) -> None:
        """They wait no more; nothing happens when :meth:`shed` said so already."""
        size, exchange.held = exchange.held, None
        if size is not None:
            self.waiting -= 1
            self._backlog.remove(self, size)

    def shed(self) -> None:
        """Too many bytes wait, most of them for this client: reset all streams that wait but one."""
        victims = [each for each in self._session.exchanges if each.held is not None][1:]
        for exchange in victims:
            self.let_go(exchange)
        self._session.give_up(victims, Code.ENHANCE_YOUR_CALM)

    def __repr__(self) -> str:
        return f"<Unsent {self.held} bytes of {self.waiting} responses>"
