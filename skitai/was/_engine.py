"""What the calls of one gevent hub share: connection pools, the sweep over their deadlines, what servers challenged.

A native thread has a hub of its own, and so pools of its own: sockets and watchers never cross threads.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

from skitai.net import forks
from skitai.net.timers import Sweep
from skitai.wire.auth import Authorization, Credentials

if TYPE_CHECKING:
    from skitai.was._http_pool import HttpPool, Origin
    from skitai.was._ws_connection import Place
    from skitai.was._ws_pool import WsPool
    from skitai.wire.databases import Database



class Pool(Protocol):
    """Connections that are shared."""

    def close_idle(self) -> None:
        """Close the connections that nobody uses."""

    def drop_all(self) -> None:
        """After a fork: forget them all without a word to their servers."""

_MOST_KNOWN = 4096
_KNOWN_TIME = 60.0


class Engine:
    """See the module.

    Attributes:
        pools: HTTP connections by origin. ws_pools: WebSockets by where they go, and as whom.
        databases: connections to databases.
        authorizations: how to answer the challenges of an origin, for one user.
        sweep: closes what idles or hangs.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.sweep = Sweep()
        self.pools: dict[Origin, HttpPool] = {}
        self.databases: dict[Database, Pool] = {}
        self._speaks_http2: dict[Origin, tuple[bool, float]] = {}
        self._requires_http11: dict[Origin, float] = {}
        self.ws_pools: dict[tuple[Place, Credentials | None], WsPool] = {}
        self.authorizations: dict[tuple[Origin, str], Authorization] = {}

    def remember_http2(self, origin: Origin, answer: bool) -> None:
        """Keep for a while whether a server spoke HTTP/2: it may be another one tomorrow, or was only overloaded."""
        if len(self._speaks_http2) >= _MOST_KNOWN:
            self._speaks_http2.clear()
        self._speaks_http2[origin] = answer, time.monotonic() + _KNOWN_TIME

    def lacks_http2(self, origin: Origin) -> bool:
        """Whether a server was asked for HTTP/2 lately and did not speak it, or wanted HTTP/1.1 instead."""
        answer, until = self._speaks_http2.get(origin, (True, 0.0))
        return (not answer and time.monotonic() < until) or self.requires_http11(origin)

    def require_http11(self, origin: Origin) -> None:
        """Keep for a while that a server which speaks HTTP/2 wants HTTP/1.1."""
        if len(self._requires_http11) >= _MOST_KNOWN:
            self._requires_http11.clear()
        self._requires_http11[origin] = time.monotonic() + _KNOWN_TIME

    def requires_http11(self, origin: Origin) -> bool:
        """Whether a server said so lately."""
        until = self._requires_http11.get(origin) if self._requires_http11 else None
        return until is not None and time.monotonic() < until

    def forget_http2(self) -> None:
        """Ask all servers anew."""
        self._speaks_http2.clear()
        self._requires_http11.clear()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for pool in self._all_pools():
            pool.close_idle()
        for ws_pool in list(self.ws_pools.values()):
            ws_pool.close_idle()

    def forget_process(self) -> None:
        """After a fork: the connections belong to the parent, which goes on with them."""
        for pool in self._all_pools():
            pool.drop_all()
        self.pools.clear()
        self.databases.clear()
        for ws_pool in self.ws_pools.values():
            ws_pool.forget_process()
        self.ws_pools.clear()

    def _all_pools(self) -> list[Pool]:
        return [*self.pools.values(), *self.databases.values()]

    def __repr__(self) -> str:
        return f"<Engine {self._all_pools()}>"


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def current() -> Engine:
    """Return the engine of this thread's hub, made on first use."""
    hub = get_hub()
    try:
        return hub.skitai_was  # type: ignore[no-any-return]
    except AttributeError:
        hub.skitai_was = engine = Engine(hub)
        _engines.add(engine)
        return engine


def _forget_process() -> None:
    for engine in list(_engines):
        engine.forget_process()
        del engine.hub.skitai_was
        _engines.discard(engine)


forks.forget_in_child(_forget_process)
