"""How long to wait before something that failed is tried again."""

from __future__ import annotations


class Backoff:
    """Delays that double with each failure in a row.

    Args:
        first: seconds after the first failure.
        ceiling: the longest delay in seconds.
    """

    def __init__(self, first: float, ceiling: float) -> None:
        self._first = first
        self._ceiling = ceiling
        self._next = first

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        delay = self._next
        self._next = min(self._next * 2, self._ceiling)
        return delay

    def reset(self) -> None:
        """Something worked: the next failure is a first one again."""
        self._next = self._first

    def __repr__(self) -> str:
        return f"<Backoff next {self._next:g} s, at most {self._ceiling:g} s>"
