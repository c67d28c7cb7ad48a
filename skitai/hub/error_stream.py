"""``wsgi.errors`` (PEP 3333): what apps print there goes to the app log."""

from __future__ import annotations

import io
from collections.abc import Callable

#: Characters of a line that are held back until it ends: an app may never end one.
_LONGEST_LINE = 8192


class ErrorStream(io.TextIOBase):
    """A text stream whose lines go to the app log.

    Args:
        log: takes a line and its category.
    """

    def __init__(self, log: Callable[[str, str], object]) -> None:
        super().__init__()
        self._log = log
        self._line = ""

    def writable(self) -> bool:
        """See :class:`io.TextIOBase`."""
        return True

    def write(self, text: str, /) -> int:
        """Log every complete line of ``text``."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log(line, "error")
        if len(self._line) > _LONGEST_LINE:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Log a line that has not ended."""
        if self._line:
            line, self._line = self._line, ""
            self._log(line, "error")
