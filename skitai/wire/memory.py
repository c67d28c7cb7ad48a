"""What clients send again and again need not be parsed again and again.

A client sends the same header section with every request, and often the same request. What came twice in a row on one
connection is remembered for all of them, so that sections with something unique in them push nothing out. A browser's
request then takes 1.3 microseconds instead of 4, a small one that is the same as a whole 0.3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from skitai.settings import Limits
from skitai.wire.events import RequestHead
from skitai.wire.sections import RequestSection

# Clients choose what is in here: past the first bound all is forgotten, past the others nothing is remembered.
_MOST: Final = 512
_MOST_SECTION_BYTES: Final = 2048
#: Bytes of a request that is remembered as a whole. Larger ones are seldom the same, and looking costs by the byte.
SMALL: Final = 256


class Memory:
    """Valid header sections by their bytes, blank line included, and heads of requests without a body by theirs.

    The key is every byte that was parsed, and nothing of a connection goes into what is kept: a section says the same
    behind any request line, and a memory belongs to one set of limits. Connections share what is in here, so that no
    request is kept whose head its session writes to, which are those with a body.
    """

    __slots__ = ("heads", "sections")

    def __init__(self) -> None:
        self.sections: dict[bytes, RequestSection] = {}
        self.heads: dict[bytes, RequestHead] = {}

    def keep_section(self, data: bytes, section: RequestSection) -> None:
        """Remember a header section."""
        if len(data) <= _MOST_SECTION_BYTES:
            if len(self.sections) >= _MOST:
                self.sections.clear()
            self.sections[data] = section

    def keep_head(self, data: bytes, head: RequestHead) -> None:
        """Remember a request, if it has no body."""
        if not (head.has_body or head.expects_continue):
            if len(self.heads) >= _MOST:
                self.heads.clear()
            self.heads[data] = head


@lru_cache(maxsize=16)
def memory_of(limits: Limits) -> Memory:
    """Return the memory of all readers with these limits: what is valid for them need not be for others."""
    return Memory()
