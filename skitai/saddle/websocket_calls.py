"""What ``was`` tells a function about the WebSocket that it is called for, and how the function configures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skitai.constants import WS_EVT_CLOSE, WS_EVT_INIT, WS_EVT_OPEN

if TYPE_CHECKING:
    from skitai.saddle.service import Was


def wsinit(was: Was) -> bool:
    """Whether this is the call of the handshake, which returns ``was.wsconfig(...)``."""
    return was.event == WS_EVT_INIT


def wsopened(was: Was) -> bool:
    """Whether the WebSocket has just been opened."""
    return was.event == WS_EVT_OPEN


def wsclosed(was: Was) -> bool:
    """Whether the WebSocket has been closed."""
    return was.event == WS_EVT_CLOSE


def wshasevent(was: Was) -> str | None:
    """Return the event that the function is called for, ``None`` for a message."""
    return was.event


def wsclient(was: Was) -> int | None:
    """Return the number of the client, which no other has; ``None`` outside WebSockets."""
    number: int | None = was.env.get("websocket.client")
    return number


def wsconfig(
    was: Was, spec: int, keep_alive_timeout: float = 60, message_encoding: str | None = None, **options: Any
) -> str:
    """Say what the WebSocket shall be, and return what the function is to return: ``""``.

    Args:
        spec: one of ``skitai.WS_SIMPLE``, ``WS_GROUPCHAT`` and ``WS_DEDICATE``.
        keep_alive_timeout: seconds without traffic after which it is closed.
        message_encoding: ``skitai.WS_MSG_JSON`` or ``WS_MSG_XMLRPC``: messages are objects then.
        **options: ``subprotocols``, ``ping``, ``compression``, ``most_bytes``: see docs/websocket.md.
    """
    was.env["websocket.config"] = (spec, keep_alive_timeout, message_encoding)
    if options:
        was.env["websocket.options"] = options
    return ""
