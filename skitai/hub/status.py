"""What a server tells about itself in ``was.status()``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skitai.hub.server import Server
    from skitai.hub.site import Site


def describe(server: Server) -> dict[str, Any]:
    """Return counters of a server."""
    slots = server.slots
    return {
        "listens on": [f"{each.scheme}://{each.address[0]}:{each.address[1]}" for each in server.listeners],
        "worker": server.worker_index + 1,
        "workers": server.settings.workers,
        "up for seconds": round(time.monotonic() - server.began, 1) if server.began else 0,
        "is stopping": server.is_stopping,
        "requests": server.requests,
        "connections": server.connections,
        "connections at most": server.limits.connections,
        "slots": slots.count,
        "slots busy": slots.busy,
        "requests waiting for a slot": slots.waiting,
        "waiting at most": server.limits.queue,
    }


def describe_site(site: Site) -> dict[str, Any]:
    """Return what is mounted, by host and mount point."""
    found: dict[str, Any] = {}
    for name, host in site.hosts.items():
        mounts: dict[str, Any] = {point or "/": _describe_app(ref) for point, ref in host.apps}
        for point, path in host.directories:
            # A directory and an app may be at the same point.
            mounts[f"{point or '/'} (files)"] = path
        found[name] = mounts
    return found


def _describe_app(ref: Any) -> dict[str, Any]:
    app = ref.app
    return {
        "name": ref.name,
        "kind": f"{type(app).__module__}.{type(app).__qualname__}",
        "is loaded": getattr(ref, "is_loaded", True),
        "debug": bool(getattr(app, "debug", False)),
        "use_reloader": bool(getattr(app, "use_reloader", False)),
    }
