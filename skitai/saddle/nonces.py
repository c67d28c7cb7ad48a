"""Nonces of Digest (RFC 7616 section 3.3): nobody else can make one, they expire, and each count of one is good once.

A nonce says itself when it was made, and proves by an HMAC that it was here; so asking for one costs no memory, and
only clients that knew a password make us remember anything. The key is that of one process: another worker does not
know which counts were used here, so it answers that the nonce is stale, and the client goes on with a new one.
"""

from __future__ import annotations

import hmac
import os
import secrets
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

#: Seconds for which a nonce is good. Apache has the same.
LIFETIME = 300.0
#: Nonces in use at one time; more of them end the older half early.
MOST_KNOWN = 10_000
#: How far behind the highest count one may come: requests of several connections overtake each other.
WINDOW = 128

_SIGNATURE = 16
_LENGTH = 8 + 16 + _SIGNATURE


class Nonces:
    """All nonces of this process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._process = os.getpid()
        # The used counts by nonce: when the nonce was made, the highest of them, and a bit for each one below.
        self._known: dict[str, tuple[float, int, int]] = {}
        self._oldest = 0.0

    def make(self, realm: str) -> str:
        """Return a new nonce for a realm."""
        head = struct.pack(">d", self._clock()) + secrets.token_bytes(16)
        return urlsafe_b64encode(head + self._signature(head, realm)).decode("ascii")

    def use(self, nonce: str, realm: str, count: int) -> bool:
        """Use a nonce, and tell whether that was allowed. Call this only for a client that has proved itself.

        Returns:
            False: it is not one of ours or not for this realm, it has expired, or the count was used before. The
            client is to be told that the nonce is stale.
        """
        made = self._time_of(nonce, realm)
        if made is None or made <= self._oldest or not 0 <= self._clock() - made < LIFETIME:
            return False
        _, highest, below = self._known.get(nonce, (made, 0, 0))
        if count > highest:
            # Bit n is the count that is n below the highest one.
            below = ((below << min(count - highest, WINDOW)) | 1) & ((1 << WINDOW) - 1)
            highest = count
        elif count <= 0 or highest - count >= WINDOW or below >> (highest - count) & 1:
            return False
        else:
            below |= 1 << (highest - count)
        self._known[nonce] = (made, highest, below)
        if len(self._known) > MOST_KNOWN:
            self._forget()
        return True

    def _time_of(self, nonce: str, realm: str) -> float | None:
        try:
            data = urlsafe_b64decode(nonce.encode("ascii"))
        except ValueError:
            return None
        # The decoder skips what is not base64: only the spelling that we made may be known as this nonce.
        if len(data) != _LENGTH or urlsafe_b64encode(data).decode("ascii") != nonce:
            return None
        head, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if not hmac.compare_digest(signature, self._signature(head, realm)):
            return None
        made: float = struct.unpack(">d", head[:8])[0]
        return made

    def _signature(self, head: bytes, realm: str) -> bytes:
        if self._process != os.getpid():
            # A fork made before: its counts are not ours, and neither must its nonces be.
            self._process, self._key, self._known = os.getpid(), secrets.token_bytes(32), {}
        return hmac.digest(self._key, head + realm.encode("utf-8", "surrogatepass"), "sha256")[:_SIGNATURE]

    def _forget(self) -> None:
        """Drop what has expired, and the older half anyway; nothing that is dropped is good any more."""
        times = sorted(made for made, _, _ in self._known.values())
        self._oldest = max(times[len(times) // 2], self._clock() - LIFETIME)
        self._known = {nonce: use for nonce, use in self._known.items() if use[0] > self._oldest}

    def __repr__(self) -> str:
        return f"<Nonces {len(self._known)} in use>"
