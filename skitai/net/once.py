"""What may happen only once, whichever worker it comes to: memory that is shared by all processes of a server.

The processes are forks of one, so it is enough that :func:`prepare` is called before the first fork. Nothing that is
stored names anything: it is one bit in a large field, found by a keyed hash. Two things may share a bit, and then the
second one passes for a repetition; with 80,000 of them in one period that happens to one in a hundred.
"""

from __future__ import annotations

import fcntl
import hmac
import mmap
import os
import secrets
import struct
import tempfile

#: Bits for the things of one period.
_BITS = 1 << 23
_PERIOD = struct.Struct(">Q")
_SLOT = _PERIOD.size + _BITS // 8


class Once:
    """The shared memory. Two periods are kept, the present one and the one before.

    Attributes:
        key: a secret of these processes.
    """

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)
        self._descriptor = _anonymous_file(2 * _SLOT)
        self._memory = mmap.mmap(self._descriptor, 2 * _SLOT)

    def is_first(self, what: bytes, period: int) -> bool:
        """Note that something happened, and tell whether it is the first time.

        Args:
            what: names it. period: the number of the period that it belongs to, 1 or more. What belongs to an earlier
                one than the two latest is never the first.
        """
        bit = int.from_bytes(hmac.digest(self.key, what, "sha256")[:8]) % _BITS
        start = period % 2 * _SLOT
        # Another worker must not look at the bit between our look and our note. A lock of this kind is let go when its
        # process dies, so nobody waits for a dead one.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            return self._take(start, bit, period)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _take(self, start: int, bit: int, period: int) -> bool:
        memory = self._memory
        (latest,) = _PERIOD.unpack_from(memory, start)
        if period < latest:
            return False
        if period > latest:
            memory[start : start + _SLOT] = _PERIOD.pack(period) + bytes(_BITS // 8)
        position, mask = start + _PERIOD.size + bit // 8, 1 << bit % 8
        if memory[position] & mask:
            return False
        memory[position] |= mask
        return True

    def close(self) -> None:
        """Give the memory back in this process."""
        self._memory.close()
        os.close(self._descriptor)


_shared: Once | None = None


def prepare() -> Once:
    """Return the memory of this process and of those that are forked from it from now on; made by the first call."""
    global _shared
    if _shared is None:
        _shared = Once()
    return _shared


def _anonymous_file(size: int) -> int:
    """Return the descriptor of a file without a name, for memory and its lock; no page of it is used yet."""
    if hasattr(os, "memfd_create"):
        descriptor: int = os.memfd_create("skitai-once")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
