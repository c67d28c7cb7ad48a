"""A dict whose items are attributes as well: ``pref``, ``pref.config`` and ``app.config``."""

from __future__ import annotations

from typing import Any


class AttributeDict(dict[str, Any]):
    """``d["name"]`` and ``d.name`` are the same entry.

    A missing item is a KeyError, a missing attribute an AttributeError. An entry that has the name of a method of dict,
    such as ``items``, is reached as an item only.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"nothing is set under the name {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"nothing is set under the name {name!r}") from None

    def copy(self) -> AttributeDict:
        """A shallow copy of the same kind."""
        return type(self)(self)


class Preference(AttributeDict):
    """Attributes to set on an app when it is loaded, and in ``config`` the entries to merge into its ``app.config``."""

    def __init__(self, *args: Any, **entries: Any) -> None:
        super().__init__(*args, **entries)
        self["config"] = AttributeDict(self.get("config", {}))
