"""What ``was.status()`` tells: facts of the floors below, and what a server adds about itself."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gevent
import greenlet

from skitai.constants import __version__
from skitai.was import _cache, _clusters, _engine
from skitai.wire import clusters
from skitai.wire.status_page import mask

if TYPE_CHECKING:
    from skitai.was._utilities import Utilities

#: Sections by title. A server adds its own; each is a function without arguments that returns a dict or a list.
Section = Callable[[], Any]
_added: dict[str, Section] = {}


def add(title: str, section: Section) -> None:
    """Add a section, or replace the one of this title."""
    _added[title] = section


def remove(title: str, section: Section) -> None:
    """Take a section away, unless another one has taken its title."""
    if _added.get(title) == section:
        del _added[title]


def collect(context: Utilities, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the sections by title, with everything secret masked.

    Args:
        context: the request that asks. names: of the sections that are wanted; ``None``: all.
    """
    exchange = getattr(context, "exchange", None)
    sections: dict[str, Section] = {
        **_added,
        "process": _process,
        "clusters": _cluster_facts,
        "connections": _connections,
        "rcache": _rcache,
        "registered": _registered,
        "settings": _settings,
        "request": lambda: {} if exchange is None else _request(exchange),
        "environ": lambda: dict(sorted(os.environ.items())),
    }
    wanted = list(sections) if names is None else [name for name in names if name in sections]
    return {name: mask(sections[name]()) for name in wanted}


def _process() -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pid": os.getpid(),
        "skitai": __version__,
        "python": sys.version,
        "gevent": gevent.__version__,
        "greenlet": greenlet.__version__,
        "platform": platform.platform(),
        "cpu seconds": round(usage.ru_utime + usage.ru_stime, 2),
        # Linux counts in KiB, macOS in bytes.
        "most memory (MiB)": round(usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024), 1),
        "directory": os.getcwd(),
    }


def _cluster_facts() -> dict[str, Any]:
    found = {}
    for name, definition in sorted(clusters.definitions.items()):
        states = _clusters.find(name).balancer.states
        found[f"@{name}"] = {
            "type": definition.kind,
            "role": definition.role,
            "source": definition.source,
            # repr() of a member has neither its user nor its password.
            "members": {
                repr(each.member)[8:-1]: f"{each.in_flight} in flight, {each.failures} failures" for each in states
            },
        }
    return found


def _connections() -> dict[str, Any]:
    engine = _engine.current()
    pools = [*engine.pools.items(), *engine.databases.items()]
    return {str(where): repr(pool) for where, pool in sorted(pools, key=lambda each: str(each[0]))}


def _rcache() -> dict[str, Any]:
    return {"results": len(_cache.results), "at most": _cache.results.capacity}


def _settings() -> dict[str, Any]:
    from skitai.was._context import wasc  # which is made of what this is a part of

    return dict(getattr(wasc, "config", {}))


def _registered() -> dict[str, Any]:
    """Names and types only: what an app keeps there is its own business."""
    from skitai.was import _context

    return {f"was.{name}": type(thing).__name__ for name, thing in sorted(_context._registered.items())}


def _request(exchange: Any) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "path": exchange.raw_path,
        "version": exchange.version,
        "scheme": exchange.scheme,
        "client": exchange.peer,
        "server": exchange.server_address,
        "fields": dict(exchange.fields),
    }
