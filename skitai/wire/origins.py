"""Who asks across origins (Fetch, "CORS protocol"; RFC 6454): the value of Origin beside that of Host."""

from __future__ import annotations

import re

_PORTS = {"http": "80", "https": "443"}
#: Matches the serialization of an origin, in lower case, as (scheme, authority).
read_origin = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s,]+)").fullmatch


def is_same_host(origin: str, host: str, fetch_site: str | None) -> bool:
    """Tell whether a page comes from the host that it asks.

    The scheme does not count: behind a proxy that ends TLS only that one knows it.

    Args:
        origin: the value of Origin. host: of Host. fetch_site: of Sec-Fetch-Site.
    """
    match = read_origin(origin.lower())
    if match is None:
        # A page that hides its address says "null" even to its own host, but a browser also says this (and nothing
        # that a script does can say it for the browser).
        return origin == "null" and fetch_site == "same-origin"
    port = _PORTS.get(match[1], "")
    return _with_port(match[2], port) == _with_port(host.lower(), port)


def _with_port(authority: str, port: str) -> str:
    has_port = ":" in authority.rpartition("]")[2]
    return authority if has_port else f"{authority}:{port}"
