"""Requests of an app that is reloaded when its files change: looking for changes comes first.

Other apps have handlers that know nothing of this, so it costs them nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from skitai.hub.native import NativeHandler
from skitai.hub.wsgi import AppRef

if TYPE_CHECKING:
    from skitai.hub.exchange import Exchange
    from skitai.hub.server import Server


class ReloadingRef(AppRef, Protocol):
    """An app that is mounted, and may be loaded anew."""

    def refresh(self) -> None:
        """Load the app anew if something changed."""


class ReloadingHandler(NativeHandler):
    """Serves the exchanges of an app that may be another one, and of another kind, at each of them.

    Args:
        server: whose slots run the app. point: mount point, ``""`` for the root. app_ref: the app.
    """

    def __init__(self, server: Server, point: str, app_ref: ReloadingRef) -> None:
        super().__init__(server, point, app_ref)
        self._refresh = app_ref.refresh

    def open_websocket(self, exchange: Exchange) -> None:
        """See :class:`~skitai.hub.wsgi.WsgiHandler`; a WebSocket keeps the app with which it began."""
        try:
            self._refresh()
        except BaseException:
            self._slots.release()
            self._failed(exchange, self._ref.app)
            raise
        super().open_websocket(exchange)

    def serve(self, exchange: Exchange) -> None:
        """See :class:`~skitai.hub.native.NativeHandler`; what a reload runs is in the slot of the request."""
        try:
            self._refresh()
        except BaseException:
            self._slots.release()
            self._failed(exchange, self._ref.app)
            raise
        super().serve(exchange)
