"""Nonces of Digest (RFC 7616 section 3.3): nobody else can make one, they expire, and each count of one is good once.

A nonce says itself when it was made, and proves by an HMAC that it was made here, so asking for one costs no memory.
Which counts were used is known to all workers of a server. A server that was started anew, or another host, knows
nothing of them: it says that the nonce is stale, and the client goes on with a new one.
"""

from __future__ import annotations

import hmac
import secrets
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from skitai.net import once
from skitai.net.once import Once

#: Seconds for which a nonce is good. Apache has the same.
LIFETIME = 300.0

_SIGNATURE = 16
_LENGTH = 8 + 16 + _SIGNATURE


class Nonces:
    """All nonces of this server.

    Args:
        clock: monotonic seconds, the same in all of its processes. uses: which counts were used.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, uses: Once | None = None) -> None:
        self._clock = clock
        self._given = uses

    def make(self, realm: str) -> str:
        """Return a new nonce for a realm."""
        head = struct.pack(">d", self._clock()) + secrets.token_bytes(16)
        return urlsafe_b64encode(head + self._signature(head, realm)).decode("ascii")

    def use(self, nonce: str, realm: str, count: int) -> bool:
        """Use a nonce, and tell whether that was allowed. Call this only for a client that has proved itself.

        Counts may come in any order: requests of several connections overtake each other.

        Returns:
            False: it is not one of ours or not for this realm, it has expired, or the count was used before. The
            client is to be told that the nonce is stale.
        """
        made = self._time_of(nonce, realm)
        if made is None or not 0 <= self._clock() - made < LIFETIME or count <= 0:
            return False
        return self._uses.is_first(f"{nonce} {count}".encode(), int(made // LIFETIME) + 1)

    @property
    def _uses(self) -> Once:
        # Not made when this module is imported: then a program that only imports it would hold the memory.
        return self._given or once.prepare()

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
        # What it is for is part of it: the same key serves for nothing that could be passed off as this.
        signed = b"nonce" + head + realm.encode("utf-8", "surrogatepass")
        return hmac.digest(self._uses.key, signed, "sha256")[:_SIGNATURE]

    def __repr__(self) -> str:
        return f"<Nonces good for {LIFETIME:g} s>"
