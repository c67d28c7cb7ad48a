"""The request for a response that is pushed before the client asks for it (RFC 9113 section 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from skitai.wire.http2.coders import Raw, raw_field
from skitai.wire.http2.heads import raw_fields
from skitai.wire.target import split_host

if TYPE_CHECKING:
    from skitai.hub.http2_exchange import Http2Exchange

#: What :func:`quote` leaves as it is in a path or query that may be quoted already.
_IN_URLS = "%/:=&?~+!$,;'@()*"
#: Fields of a request that one for a pushed response has as well.
_FORWARDED = ("accept-encoding", "accept-language", "cookie", "user-agent")


def path_of(exchange: Http2Exchange, uri: str) -> str | None:
    """Return path and query of ``uri``, seen from the page that is answered; ``None``: this server cannot answer it."""
    host = exchange.head.host
    url = urlsplit(urljoin(_base(exchange), uri))
    if url.scheme != exchange.scheme or split_host(url.netloc) != split_host(host):
        return None
    return quote(url.path or "/", safe=_IN_URLS) + ("?" + quote(url.query, safe=_IN_URLS) if url.query else "")


def request_for(exchange: Http2Exchange, path: str) -> list[Raw]:
    """Return the fields of a GET of ``path`` by the same client."""
    host = exchange.head.host.encode("latin-1")
    raw: list[Raw] = [(b":method", b"GET"), (b":scheme", exchange.scheme.encode("latin-1")), (b":authority", host)]
    raw.append(raw_field(b":path", path.encode("ascii")))
    fields = [(name, value) for name in _FORWARDED if (value := exchange.header(name)) is not None]
    return raw + raw_fields([*fields, ("referer", _base(exchange))])


def _base(exchange: Http2Exchange) -> str:
    return f"{exchange.scheme}://{exchange.head.host}{exchange.target}"
