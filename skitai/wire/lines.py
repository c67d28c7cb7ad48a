"""The lines of a header section as they come: which of them no further byte can mend.

A section that is complete is parsed at once by regular expressions. This is for the others: one that has not ended, so
that nobody waits for an end that cannot help, and one that is broken. Both are walked in the order of their bytes,
so an answer does not depend on how the network cut them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from skitai.errors import RemoteProtocolError
from skitai.settings import Limits
from skitai.wire.fields import FIELD_LINE, is_lenient_line, is_token

_BARE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n")


class LineChecker:
    """Checks the start of a header section each time that more of it is there.

    Args:
        limits: bounds of the section.
        check_first_line: raises when the text of a request line or status line is not valid.
        is_lenient: the lines are those of a server, of which a user agent also reads folded ones (RFC 9112 section 5.2)
            and such with a blank before the colon (section 5.1).
    """

    def __init__(self, limits: Limits, check_first_line: Callable[[str], None], is_lenient: bool = False) -> None:
        self._limits = limits
        self._check_first_line = check_first_line
        self._is_lenient = is_lenient
        self.restart()

    def restart(self) -> None:
        """Another section begins."""
        self._line = 0  # where the first line starts that was not checked
        self._count = 0  # of the lines before it
        self._seen = 0  # bytes in which no control character was found

    @property
    def seen(self) -> int:
        """Bytes that were checked."""
        return self._seen

    def check(self, data: bytes) -> None:
        """Check what is new in ``data``, which begins with the first line and may end anywhere.

        Raises:
            RemoteProtocolError: 414, 431 or 400, whatever comes first in the bytes.
        """
        while True:
            end = data.find(b"\n", max(self._line, self._seen)) + 1
            most = self._limits.header_bytes if self._count else self._limits.request_line
            refuse_bare_line_end(data, max(self._seen - 1, 0), min(end or len(data), most))
            if end > most or (not end and len(data) >= most):
                raise self._too_long()
            self._seen = end or len(data)
            if not end or (end - self._line == 2 and self._count):
                return
            self._check_line(data[self._line : end].decode("latin-1"))
            self._line = end
            self._count += 1

    def _check_line(self, line: str) -> None:
        if not self._count:
            self._check_first_line(line)
        elif self._count > self._limits.header_count:
            raise RemoteProtocolError(f"more than {self._limits.header_count} header fields", 431)
        elif not (FIELD_LINE.fullmatch(line) or self._may_be_read(line)):
            raise RemoteProtocolError(_fault_of(line))

    def _may_be_read(self, line: str) -> bool:
        # The first field line has nothing before it that it could be folded into.
        return self._is_lenient and not (self._count == 1 and line[0] in " \t") and is_lenient_line(line) is not None

    def _too_long(self) -> RemoteProtocolError:
        if not self._count:
            return RemoteProtocolError(f"the request line is longer than {self._limits.request_line} bytes", 414)
        return RemoteProtocolError(f"the header section is larger than {self._limits.header_bytes} bytes", 431)


def refuse_bare_line_end(data: bytes, start: int, end: int) -> None:
    """Refuse control characters, CR without LF and LF without CR, in ``data[start:end]``, which may end inside a line.

    Raises:
        RemoteProtocolError: one was found. Some parser before or behind us would take it for the end of a line.
    """
    if _BARE.search(data, start, end):
        raise RemoteProtocolError("a control character, a bare CR or a bare LF in a header section")


def _fault_of(line: str) -> str:
    name, colon, _ = line.partition(":")
    if line[0] in " \t":
        return "a header field line begins with a blank: folded lines are obsolete"
    if not colon:
        return "a header field line has no colon"
    if not is_token(name):
        return "the name of a header field is not a token"
    return "the value of a header field has a character that is not allowed"
