"""How an app says at the handshake what its WebSocket shall be: by what it leaves in the environ.

``websocket.config`` is the way of 0.26: such a function is called for events too. ``websocket_init`` is that of 0.15:
it gets messages only, and its message argument is found by name. Whichever was filled in decides.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, fields
from typing import Any, Final

from skitai.constants import (
    WEBSOCKET_DEDICATE,
    WEBSOCKET_MULTICAST,
    WS_DEDICATE,
    WS_EVT_INIT,
    WS_GROUPCHAT,
    WS_SIMPLE,
)
from skitai.errors import ConfigurationError

CONFIG: Final = "websocket.config"
OLD_CONFIG: Final = "websocket_init"
EVENT: Final = "websocket.event"
CLIENT: Final = "websocket.client"
SOCKET: Final = "websocket"
OPTIONS: Final = "websocket.options"

_SPECS: Final = (WS_SIMPLE, WEBSOCKET_DEDICATE, WEBSOCKET_MULTICAST, WS_DEDICATE, WS_GROUPCHAT)
KEEP_ALIVE: Final = 60.0


@dataclass(frozen=True)
class Options:
    """What ``environ["websocket.options"]`` may have, a dict, and ``was.wsconfig()`` takes as keywords.

    Attributes:
        subprotocols: that the app speaks, best first. ping: seconds of silence after which the client is sent a ping,
            0 for none. compression: agree on permessage-deflate with clients that offer it.
        most_bytes: of one message; ``None`` takes the limit of the server.
    """

    subprotocols: tuple[str, ...] = ()
    ping: float = 0.0
    compression: bool = True
    most_bytes: int | None = None


@dataclass(frozen=True)
class Configuration:
    """What the app chose.

    Attributes:
        spec: the design. keep_alive: seconds without traffic after which the WebSocket is closed.
        detail: the third item as it was given: names of query variables, or an encoding of messages.
        has_events: the function is called when the WebSocket opens and closes.
    """

    spec: int
    keep_alive: float
    detail: Any
    has_events: bool
    options: Options

    @property
    def names(self) -> tuple[str, ...]:
        """The third item as names of variables: of the message, then of the room."""
        if isinstance(self.detail, str):
            return (self.detail,)
        return tuple(self.detail or ())

    @property
    def is_loop(self) -> bool:
        """Whether the function is called once and pulls its messages."""
        return self.spec in (WS_DEDICATE, WEBSOCKET_DEDICATE, WEBSOCKET_MULTICAST)

    @property
    def has_room(self) -> bool:
        """Whether clients are together in rooms."""
        return self.spec in (WS_GROUPCHAT, WEBSOCKET_MULTICAST)


def ask(environ: MutableMapping[str, Any], client: int) -> None:
    """Put into an environ what the call at the handshake has."""
    environ.update({EVENT: WS_EVT_INIT, OLD_CONFIG: "", CONFIG: None, CLIENT: client, SOCKET: None})


def take(environ: MutableMapping[str, Any]) -> Configuration | None:
    """Take out of an environ what the app left there; ``None`` when it left nothing.

    Raises:
        ConfigurationError: it cannot be.
    """
    new, old = environ.pop(CONFIG, None), environ.pop(OLD_CONFIG, None)
    options = environ.pop(OPTIONS, None)
    environ[EVENT] = None
    given = new or old
    if not given:
        return None
    if not isinstance(given, (tuple, list)) or not 1 <= len(given) <= 3 or given[0] not in _SPECS:
        raise ConfigurationError(
            f"a WebSocket is configured by (one of skitai.WS_*, keep alive seconds, names of variables), not {given!r}"
        )
    spec, keep_alive, detail = (*given, None, None)[:3]
    if not isinstance(keep_alive, (int, float, type(None))) or (keep_alive is not None and keep_alive < 0):
        raise ConfigurationError(f"the keep alive time of a WebSocket is a number of seconds, not {keep_alive!r}")
    return Configuration(spec, float(keep_alive or KEEP_ALIVE), detail, new is given, _options(options or {}))


def _options(given: Mapping[str, Any]) -> Options:
    known = [each.name for each in fields(Options)]
    for name in given:
        if name not in known:
            raise ConfigurationError(f"a WebSocket has no option {name!r}; there are {', '.join(known)}")
    return Options(**{**given, "subprotocols": tuple(given.get("subprotocols", ()))})
