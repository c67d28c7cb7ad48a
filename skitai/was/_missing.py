"""Services whose clients are not part of this version yet. Their names are taken, and say what is missing."""

from __future__ import annotations

from typing import Any, NoReturn

from skitai.errors import SkitaiError
from skitai.was import _modes


class ServiceNotAvailable(SkitaiError, NotImplementedError):
    """A service exists by name, and its client does not yet.

    Args:
        name: of the service.
        client: what is missing.
    """

    def __init__(self, name: str, client: str) -> None:
        super().__init__(name, client)
        self.name = name
        self.client = client

    def __str__(self) -> str:
        return f"was.{self.name} is not available in this version of Skitai: it has no client for {self.client} yet"


class MissingService:
    """``was.<name>`` of such a service; ``.lb`` and ``.map`` are there as well."""

    def __init__(self, name: str, client: str) -> None:
        self._name = name
        self._client = client

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise :class:`ServiceNotAvailable`."""
        raise ServiceNotAvailable(self._name, self._client)

    @property
    def lb(self) -> MissingService:
        """As for other services."""
        return self

    @property
    def map(self) -> MissingService:
        """As for other services."""
        _modes.check_map()
        return self

    def __repr__(self) -> str:
        return f"<was.{self._name}, not available>"


#: What each one would need.
SERVICES = {
    name: MissingService(name, client)
    for client, names in {
        "WebSocket": ("ws", "wss"),
        "databases": ("db",),
        "PostgreSQL": ("postgresql",),
        "SQLite": ("sqlite3",),
        "Redis": ("redis",),
        "MongoDB": ("mongodb",),
    }.items()
    for name in names
}
