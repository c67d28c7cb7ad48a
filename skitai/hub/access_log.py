"""The request log: one line per response, formatted when the batch is written, not while the client waits.

    2016.12.30 18:05:06 [info] 127.0.0.1:1778 127.0.0.1:5000 GET / HTTP/1.1 200 0 32970
    GTID-C3-R8 1000 - - "Mozilla/5.0" 4ms 3ms

It is one line. The columns: time, category, client, host, method, target, version, status, bytes in, bytes out, global
and local transaction id, user, token, user agent, milliseconds of processing and of sending.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from skitai.wire.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from skitai.hub.exchange import Exchange


class Sink(Protocol):
    """Where the lines go: :class:`skitai.net.logs.LogFile`."""

    def add(self, record: Any, formatter: Callable[[Any], str], /) -> None:
        """Keep a record to be formatted later."""


class AccessLog:
    """Records exchanges that ended.

    Args:
        sink: takes the records.
    """

    def __init__(self, sink: Sink) -> None:
        self._add = sink.add

    def record(self, exchange: Exchange) -> None:
        """Note that an exchange ended."""
        self._add((time.time(), exchange), format_record)

    def record_nameless(self, peer: tuple[str, int], status: int, size: int) -> None:
        """Note a response that was sent to ``peer`` before its request could be read."""
        self._add((time.time(), peer, status, size), format_nameless)


_last_second = 0
_last_text = ""


def stamp(when: float) -> str:
    """Return a time as the logs spell it, ``2016.12.30 18:05:06``, in local time."""
    global _last_second, _last_text
    second = int(when)
    if second != _last_second:
        _last_second, _last_text = second, time.strftime("%Y.%m.%d %H:%M:%S", time.localtime(second))
    return _last_text


def format_record(record: tuple[float, Exchange]) -> str:
    """Return the line of one exchange. What a client sent is escaped: it cannot end a line or a quoted column."""
    when, exchange = record
    head = exchange.head
    transaction = exchange.transaction
    peer = exchange.peer
    agent = _shown(head.environ.get("HTTP_USER_AGENT") or "-")
    method = "PUSH" if exchange.is_pushed else head.method
    return (
        f"{stamp(when)} [info] {peer[0]}:{peer[1]} {head.host or '-'} {method} {_shown(head.target)}"
        f" HTTP/{exchange.version} {exchange.status or '-'} {exchange.bytes_in} {exchange.bytes_out}"
        f" {transaction.gtxnid} {transaction.received} {_quoted(exchange.user)} {_bare(exchange.token)}"
        f' "{_escaped(agent)}" {exchange.seconds_processing * 1000:.0f}ms {exchange.seconds_sending * 1000:.0f}ms'
    )


def format_nameless(record: tuple[float, tuple[str, int], int, int]) -> str:
    """Return the line of a response that has no request."""
    when, peer, status, size = record
    return f'{stamp(when)} [info] {peer[0]}:{peer[1]} - - - - {status} 0 {size} - - - - "-" 0ms 0ms'


def _shown(text: str) -> str:
    """Mask userinfo and a password in a query. Most texts have neither, and looking closer takes a while."""
    return mask(text) if "@" in text or "=" in text else text


def _escaped(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(c if c.isprintable() and c not in '"\\' else f"\\x{ord(c):02x}" for c in text)


def _quoted(text: str | None) -> str:
    return f'"{_escaped(text)}"' if text else "-"


def _bare(text: str | None) -> str:
    return _escaped(text).replace(" ", "\\x20") if text else "-"
