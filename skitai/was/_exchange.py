"""``was.request`` outside Saddle: the request that is being served, with its transaction."""

from __future__ import annotations

from typing import Any


class RequestView:
    """Everything of the exchange, and the names that version 0.26 gave the transaction."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    @property
    def gtxid(self) -> str:
        """The id that all requests share which one user's request set off."""
        return str(self._exchange.transaction.gtxnid)

    @property
    def ltxid(self) -> int:
        """The id of this request among them."""
        return int(self._exchange.transaction.received)

    def get_gtxid(self) -> str:
        """Return :attr:`gtxid`."""
        return self.gtxid

    def get_ltxid(self, delta: int = 0) -> int:
        """Return :attr:`ltxid` plus ``delta``."""
        return self.ltxid + delta

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def __repr__(self) -> str:
        return f"<request {self._exchange!r}>"
