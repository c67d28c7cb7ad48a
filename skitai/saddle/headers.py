"""The header fields of a request as a dictionary that does not care for case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from skitai.wire.fields import Fields
from skitai.wire.masking import mask_fields


class Headers(Mapping[str, str]):
    """See the module. Repeated fields are joined as RFC 9110 section 5.2 says; cookies with ``"; "``.

    Args:
        fields: as sent.
    """

    __slots__ = ("_values",)

    def __init__(self, fields: Fields) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        for name, value in fields:
            key = name.lower()
            if key in self._values:
                first, earlier = self._values[key]
                self._values[key] = (first, f"{earlier}{'; ' if key == 'cookie' else ', '}{value}")
            else:
                self._values[key] = (name, value)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers {dict(mask_fields(list(self.items())))}>"
