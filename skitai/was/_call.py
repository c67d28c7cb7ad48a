"""What every call is, whatever it calls: what requests, tasks, results and the result cache ask of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from skitai.was._result import Result


class Call(Protocol):
    """What a caller asked for: it is never changed on its way through cache, cluster, pool and client.

    Attributes:
        protocol: key of the client in ``_clients``.
        method: of HTTP, or the command of a database.
        uri: what is called, or ``@alias``; without credentials.
        is_map: send it to all members of the alias.
        meta, use_cache, filter, callback: as the caller gave them.
        result: class of the result.
        name: how the service was called, for the logs.
        key: what makes two calls the same for the result cache; ``None`` for one that cannot be compared. Credentials
            are part of it, so that users do not get each other's private data.
    """

    @property
    def protocol(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def is_map(self) -> bool: ...
    @property
    def meta(self) -> dict[str, Any] | None: ...
    @property
    def use_cache(self) -> bool: ...
    @property
    def filter(self) -> Callable[[Any], object] | None: ...
    @property
    def callback(self) -> Any: ...
    @property
    def result(self) -> type[Result]: ...
    @property
    def name(self) -> str: ...
    @property
    def key(self) -> tuple[object, ...] | None: ...

    def close(self) -> None:
        """Let go of what was to be sent: all of it was, or nothing more will be."""
