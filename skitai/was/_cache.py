"""Results that callers asked to keep, by what was called. One cache per process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skitai.was._call import Call
    from skitai.was._result import Result

Key = tuple[object, ...]


class ResultCache:
    """At most ``capacity`` entries; when full, the fifth of them that would expire first is dropped.

    Args:
        capacity: entries. 0 keeps nothing.
        clock: monotonic seconds.
    """

    def __init__(self, capacity: int = 100, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._clock = clock
        self._entries: dict[Key, tuple[float, tuple[Result, ...]]] = {}

    def find(self, call: Call) -> tuple[Result, ...] | None:
        """Return copies of the results kept for an identical call, in the order of members, or ``None``."""
        if not self._entries or not call.use_cache:
            return None
        key = call.key
        entry = self._entries.get(key) if key is not None else None
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._entries.pop(key, None)  # type: ignore[arg-type]
            return None
        return tuple(result.as_cached(call) for result in entry[1])

    def store(self, key: Key | None, results: tuple[Result, ...], timeout: float) -> None:
        """Keep ``results`` for ``timeout`` seconds, instead of what was kept; drop that when it is 0 or less.

        Args:
            key: ``None`` for a call that cannot be compared: nothing is kept.
        """
        if key is None:
            return
        self._entries.pop(key, None)
        if timeout <= 0 or self.capacity <= 0:
            return
        if len(self._entries) >= self.capacity:
            self._make_room()
        self._entries[key] = (self._clock() + timeout, tuple(result.to_keep() for result in results))

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()

    def _make_room(self) -> None:
        by_expiry = sorted(self._entries, key=lambda key: self._entries[key][0])
        surplus = len(self._entries) - self.capacity + 1
        for key in by_expiry[: max(surplus, self.capacity // 5)]:
            del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<ResultCache {len(self._entries)} of {self.capacity}>"


#: The cache of this process; ``skitai.set_max_rcache(n)`` sets its capacity.
results = ResultCache()
