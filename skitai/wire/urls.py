"""URLs of calls: taken apart once, kept, and safe to put into a request line."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

# RFC 3986: what may stand in a path and a query. "%" stays, because URLs come in quoted already.
_SAFE = "%/:?#[]@!$&'()*+,;=-._~|^`{}\"<>\\"
_QUOTED = str.maketrans({c: f"%{ord(c):02X}" for c in '"<>\\^`{}|'})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

#: Schemes of calls.
HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")


class Url(NamedTuple):
    """A URL ready to be asked for.

    Attributes:
        scheme: in lower case. host: name or address, an IPv6 one without brackets. port: the number.
        target: path and query as they go into the request line (origin-form, RFC 9112 section 3.2.1).
        authority: value of the Host field; a default port is left out.
        userinfo: (user, password) that stood in the URL, else ``None``.
    """

    scheme: str
    host: str
    port: int
    target: str
    authority: str
    userinfo: tuple[str, str] | None


#: Characters of a URL that is remembered. Both memories are keyed by all that their function is given, and what it
#: returns depends on nothing else and cannot be changed. Callers may make URLs of what their users send: hence a bound.
_LONGEST_KEPT = 1024


def parse_url(url: str, schemes: tuple[str, ...] = HTTP) -> Url:
    """Return the parts of an absolute URL of one of ``schemes``; blanks and non-ASCII characters get quoted.

    Raises:
        ValueError: it is none.
    """
    return (_parse_url if len(url) <= _LONGEST_KEPT else _parse_url.__wrapped__)(url, schemes)


@lru_cache(maxsize=2048)
def _parse_url(url: str, schemes: tuple[str, ...]) -> Url:
    if any(c < " " or c == "\x7f" for c in url):
        raise ValueError(f"a URL must not have control characters: {url!r}")
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected an absolute {' or '.join(schemes)} URL, or '@alias/path', not {url!r}")
    host = _ascii_host(parts.hostname)
    port = parts.port or _PORTS[scheme]
    target = quote_target(parts.path + ("?" + parts.query if parts.query else ""))
    userinfo = None
    if parts.username is not None:
        userinfo = (unquote(parts.username), unquote(parts.password or ""))
    return Url(scheme, host, port, target, authority(scheme, host, port), userinfo)


def quote_target(path: str) -> str:
    """Return ``path``, which may have a query, as origin-form: with a leading slash and RFC 3986 characters only."""
    return (_quote_target if len(path) <= _LONGEST_KEPT else _quote_target.__wrapped__)(path)


@lru_cache(maxsize=2048)
def _quote_target(path: str) -> str:
    path = path.partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path
    return quote(path, safe=_SAFE).translate(_QUOTED)


def authority(scheme: str, host: str, port: int) -> str:
    """Return the value of the Host field (RFC 9110 section 7.2)."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == _PORTS.get(scheme) else f"{shown}:{port}"


def add_query(url: str, data: object) -> str:
    """Return ``url`` with ``data`` in its query string.

    Args:
        data: a mapping or pairs (values are ``str()``-converted and percent-encoded, lists repeat their name), or a
            ready query string as str or bytes. Nothing is added when it is empty.

    Raises:
        TypeError: it is something else.
    """
    if not data:
        return url
    query = data.decode("utf-8") if isinstance(data, bytes) else data
    if not isinstance(query, str):
        query = encode_pairs(query)
    url, hash_sign, fragment = url.partition("#")
    return f"{url}{'&' if '?' in url else '?'}{query}{hash_sign}{fragment}"


def encode_pairs(data: object) -> str:
    """Return a mapping, or (name, value) pairs, as ``application/x-www-form-urlencoded``."""
    return urlencode(data, doseq=True)  # type: ignore[arg-type]


def _ascii_host(host: str) -> str:
    if host.isascii():
        if " " in host or "%" in host:
            raise ValueError(f"not a host name: {host!r}")
        return host
    return host.encode("idna").decode("ascii")
