"""What a reader of a WebSocket gives out beside messages, which are a plain str or bytes."""

from __future__ import annotations

from typing import NamedTuple


class Ping(NamedTuple):
    """A ping; it wants a pong with the same payload (RFC 6455 section 5.5.2)."""

    payload: bytes


class Pong(NamedTuple):
    """A pong, asked for or not (section 5.5.3)."""

    payload: bytes


class Close(NamedTuple):
    """The other end closes (section 5.5.1). Nothing follows.

    Attributes:
        code: 1005 when it gave none. reason: for a log.
    """

    code: int
    reason: str = ""


class Failure(NamedTuple):
    """The other end broke a rule (section 7.1.7): close with this code and end the connection. Nothing follows."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close | Failure
