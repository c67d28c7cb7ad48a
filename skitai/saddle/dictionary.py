"""The dictionary methods that ``was.cookie`` and ``was.session`` share, of both generations of names.

They are no :class:`dict`: an item that is missing is ``None``, and removing one that is missing is no error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any


class Dictionary(ABC):
    """See the module. A subclass says what there is, and how an item is set and removed."""

    __slots__ = ()

    @abstractmethod
    def _read(self) -> dict[str, Any]:
        """Return what there is by name."""

    @abstractmethod
    def set(self, key: str, val: Any) -> None:
        """Set an item."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove an item; a missing one is ignored."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return an item, ``default`` when there is none."""
        return self._read().get(key, default)

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._read())

    def values(self) -> list[Any]:
        """Return the values."""
        return list(self._read().values())

    def items(self) -> list[tuple[str, Any]]:
        """Return the (name, value) pairs."""
        return list(self._read().items())

    def has_key(self, key: str) -> bool:
        """Tell whether there is such an item."""
        return key in self._read()

    def iterkeys(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self.keys())

    def itervalues(self) -> Iterator[Any]:
        """Yield the values."""
        return iter(self.values())

    def iteritems(self) -> Iterator[tuple[str, Any]]:
        """Yield the (name, value) pairs."""
        return iter(self.items())

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __setitem__(self, key: str, val: Any) -> None:
        self.set(key, val)

    def __delitem__(self, key: str) -> None:
        self.remove(key)

    def __contains__(self, key: object) -> bool:
        return key in self._read()

    def __iter__(self) -> Iterator[str]:
        return self.iterkeys()

    def __len__(self) -> int:
        return len(self._read())
