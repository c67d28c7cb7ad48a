"""What an HTTP/2 engine gives out. ``stream`` is the number of the stream in each of them."""

from __future__ import annotations

from typing import NamedTuple

from skitai.wire.events import RequestHead, ResponseHead
from skitai.wire.fields import Fields


class RequestStarted(NamedTuple):
    """A client opened a stream. ``has_ended``: no body follows."""

    stream: int
    head: RequestHead
    has_ended: bool


class RequestRefused(NamedTuple):
    """A request that can be read but not accepted: it wants an answer with ``status``, and no app."""

    stream: int
    head: RequestHead
    status: int
    reason: str
    has_ended: bool


class InterimReceived(NamedTuple):
    """A server sent a 1xx response; the final one follows."""

    stream: int
    head: ResponseHead


class ResponseStarted(NamedTuple):
    """A server began to answer. ``has_ended``: no body follows."""

    stream: int
    head: ResponseHead
    has_ended: bool


class BodyReceived(NamedTuple):
    """A part of a body. ``size`` is what :meth:`Http2Engine.acknowledge` must be told when it was consumed."""

    stream: int
    content: bytes
    size: int
    has_ended: bool


class TrailersReceived(NamedTuple):
    """The trailer section, which ends the body."""

    stream: int
    fields: Fields


class StreamReset(NamedTuple):
    """A stream is over before its time. ``is_ours``: the peer broke a rule, ``reason``; else it gave the stream up."""

    stream: int
    code: int
    is_ours: bool
    reason: str = ""


class WindowOpened(NamedTuple):
    """The peer takes more of a stream, of all of them when it is 0."""

    stream: int


class SettingsReceived(NamedTuple):
    """The peer told its settings; look at the properties of the engine."""


class PingAcknowledged(NamedTuple):
    """The peer answered a PING."""

    data: bytes


class GoAwayReceived(NamedTuple):
    """The peer takes no new streams. Those above ``last`` were not and will not be looked at."""

    last: int
    code: int


class ConnectionBroken(NamedTuple):
    """The peer broke a rule and was told so: send what there is to send, then close."""

    code: int
    reason: str


Event = (
    RequestStarted
    | RequestRefused
    | InterimReceived
    | ResponseStarted
    | BodyReceived
    | TrailersReceived
    | StreamReset
    | WindowOpened
    | SettingsReceived
    | PingAcknowledged
    | GoAwayReceived
    | ConnectionBroken
)
