"""What responses over HTTP/2 hold while their clients do not take them, bounded for a whole process.

A client that opens no window makes each of its streams hold a body: with 1 MB each, sixteen connections held 2.5 GB.
One stream of each connection may wait as a response over HTTP/1.1 may; it is the further ones that are given up.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A connection some of whose responses wait."""

    held: int
    """Bytes of these responses."""

    @property
    def waiting(self) -> int:
        """How many of them there are."""

    def shed(self) -> None:
        """Give up all of them but one."""


class Backlog:
    """See the module.

    Args:
        most: bytes, ``Limits.http2_unsent``.

    Attributes:
        held: bytes that wait now.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._holders: dict[Holder, None] = {}
        self.held = 0

    def add(self, holder: Holder, size: int) -> None:
        """A response of ``holder`` begins to wait with ``size`` bytes."""
        holder.held += size
        self.held += size
        self._holders[holder] = None
        if self.held > self._most:
            greatest = max([each for each in self._holders if each.waiting > 1], key=_held, default=None)
            if greatest is not None:
                greatest.shed()

    def remove(self, holder: Holder, size: int) -> None:
        """It goes on, or was given up."""
        holder.held -= size
        self.held -= size
        if not holder.held:
            self._holders.pop(holder, None)

    def __repr__(self) -> str:
        return f"<Backlog {self.held} bytes of {len(self._holders)} connections>"


def _held(holder: Holder) -> int:
    return holder.held
