"""URLs of calls: taken apart once, kept, and safe to put into a request line."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlencode

from skitai.wire.hosts import normal_host
from skitai.wire.masking import MASK, mask

# RFC 3986: what may stand in a path and a query. "%" stays, because URLs come in quoted already.
_SAFE = "%/:?#[]@!$&'()*+,;=-._~|^`{}\"<>\\"
_QUOTED = str.maketrans({c: f"%{ord(c):02X}" for c in '"<>\\^`{}|'})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_has_control = re.compile(r"[\x00-\x1f\x7f]").search
#: (scheme, authority, the rest without a fragment).
_read_url = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)").match
_is_userinfo = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*").fullmatch
#: (host, port): nothing or digits only behind a colon.
_read_where = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{0,5}))?").fullmatch

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

    def __repr__(self) -> str:
        userinfo = f"{MASK}@" if self.userinfo is not None else ""
        return f"<Url {self.scheme}://{userinfo}{self.authority}{mask(self.target)}>"


#: Characters of a URL that is remembered. Both memories are keyed by all that their function is given, and what it
#: returns depends on nothing else and cannot be changed. Callers may make URLs of what their users send: hence a bound.
_LONGEST_KEPT = 1024


def parse_url(url: str, schemes: tuple[str, ...] = HTTP) -> Url:
    """Return the parts of an absolute URL of one of ``schemes``.

    The authority must be as RFC 3986 section 3.2 has it, but for names outside ASCII (see
    :func:`skitai.wire.hosts.normal_host`): what others could read as another host is refused. Blanks and other
    characters behind it get quoted.

    Raises:
        ValueError: it is none. The text has no userinfo.
    """
    return (_parse_url if len(url) <= _LONGEST_KEPT else _parse_url.__wrapped__)(url, schemes)


@lru_cache(maxsize=2048)
def _parse_url(url: str, schemes: tuple[str, ...]) -> Url:
    if _has_control(url):
        raise ValueError(f"a URL must not have control characters: {mask(url)!r}")
    match = _read_url(url)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in schemes:
        raise ValueError(f"expected an absolute {' or '.join(schemes)} URL, or '@alias/path', not {mask(url)!r}")
    userinfo, at, where = match[2].rpartition("@")
    if at and not _is_userinfo(userinfo):
        raise ValueError(
            f"user and password in {mask(url)!r} have a character that must be percent-encoded there, as @ by %40: "
            "urllib.parse.quote(password, safe='') does"
        )
    host, port = _read_host(where, url)
    number = int(port) if port else _PORTS[scheme]
    if not 0 < number < 65536:
        raise ValueError(f"{port} in {mask(url)!r} is not a port")
    found = None
    if at:
        user, _, password = userinfo.partition(":")
        found = (_decoded(user), _decoded(password))
    return Url(scheme, host, number, quote_target(match[3]), authority(scheme, host, number), found)


def _read_host(where: str, url: str) -> tuple[str, str]:
    match = _read_where(where)
    if match is None:
        raise ValueError(f"expected host or host:port in {mask(url)!r}")
    try:
        return normal_host(match[1]), match[2] or ""
    except ValueError as error:
        raise ValueError(f"{error}, in {mask(url)!r}") from error


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("user and password of a URL are percent-encoded UTF-8") from None


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
