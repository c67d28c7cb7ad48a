"""What clients do wrong, said in the server log a bounded number of times: a flood must not become one of log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skitai.net.timers import sweep

if TYPE_CHECKING:
    from skitai.net.logs import Logger

#: Lines of one kind at once, and again per second.
MOST: Final = 20
PER_SECOND: Final = 1.0


class Complaints:
    """Lines about clients, for the server log.

    Args:
        log: the server log.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._left: dict[str, float] = {}  # lines that may be written
        self._omitted: dict[str, int] = {}
        self._since = sweep.now

    def __call__(self, kind: str, text: str, category: str = "warn") -> None:
        """Write a line, or count it.

        Args:
            kind: one of a few words: lines of the same kind are counted together. category: of the line.
        """
        left = self._left.get(kind, MOST)
        if left < 1:
            self._omitted[kind] = self._omitted.get(kind, 0) + 1
            return
        self._left[kind] = left - 1
        self._log.log(text, category)

    def tick(self) -> None:
        """Say how many were left out, when the flood is over; call this about once a second."""
        refill = max(0.0, sweep.now - self._since) * PER_SECOND
        self._since = sweep.now
        self._left = {kind: left + refill for kind, left in self._left.items() if left + refill < MOST}
        for kind, count in list(self._omitted.items()):
            if self._left.get(kind, MOST) >= MOST / 2:
                self._say_rest(kind, count)

    def close(self) -> None:
        """Say what was not said yet."""
        for kind, count in list(self._omitted.items()):
            self._say_rest(kind, count)

    def _say_rest(self, kind: str, count: int) -> None:
        del self._omitted[kind]
        self._log.log(f"{count} more lines about clients were left out: {kind}", "warn")

    def __repr__(self) -> str:
        return f"<Complaints {sum(self._omitted.values())} left out>"
