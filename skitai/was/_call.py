"""What a caller asked for, once and for all: it is never changed on its way through cache, cluster, pool and client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from skitai.wire.auth import Credentials

if TYPE_CHECKING:
    from skitai.was._bodies import StreamedBody
    from skitai.was._result import Result

#: Methods that may be sent again when it is not known whether the first one arrived (RFC 9110 section 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Call(NamedTuple):
    """One call of a service, whether it goes to one server or to all members of a cluster.

    Attributes:
        protocol: key of the client in ``_clients``.
        method: of HTTP, or the operation of a database.
        uri: a URL, or ``@alias/path``.
        is_map: send it to all members of the alias.
        body: of the request. lines: header lines of the request, without Host and those that differ per attempt.
        auth: credentials. verify: of TLS; ``None`` is as the alias or the process says.
        timeout: seconds the connection may be silent.
        meta, use_cache, filter, callback: as the caller gave them.
        result: class of the result.
        name: how the service was called, for the logs.
        http2: speak it without TLS as well (True), never (False), or as the alias or the process says.
    """

    protocol: str
    method: str
    uri: str
    is_map: bool
    body: bytes | StreamedBody
    lines: str
    auth: Credentials | None
    verify: bool | str | None
    timeout: float
    meta: dict[str, Any] | None
    use_cache: bool
    filter: Callable[[Result], object] | None
    callback: Any
    result: type[Result]
    name: str
    http2: bool | None = None

    @property
    def key(self) -> tuple[object, ...] | None:
        """What makes two calls the same for the result cache; ``None`` when a body cannot be compared.

        Headers and credentials are part of it, so that users do not get each other's private data.
        """
        if not isinstance(self.body, bytes):
            return None
        return (self.is_map, self.protocol, self.method, self.uri, self.body, self.lines, self.auth, self.verify)

    def __repr__(self) -> str:
        # Not the fields: credentials may be among the headers too.
        return f"<Call {self.name}{'.map' if self.is_map else ''} {self.uri}>"

    @property
    def can_repeat(self) -> bool:
        """Whether the request may be sent again after it went out without an answer."""
        return self.method in IDEMPOTENT and (isinstance(self.body, bytes) or self.body.can_repeat)
