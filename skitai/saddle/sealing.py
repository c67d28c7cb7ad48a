"""Values that a client keeps but can neither read nor change: AES-256-GCM, with keys derived from ``securekey``.

A sealed value is base64url, without padding, of

    format (1 octet) | end of its life (8 octets, seconds since the epoch) | nonce (12 octets) | ciphertext and tag

The first two and the name of the cookie are authenticated with it: a value cannot be moved to another cookie or made
to live longer. The key is HKDF-SHA256 (RFC 5869) of the securekey for the day on which the life ends, so that one key
never seals so many values that random nonces could meet (NIST SP 800-38D section 8.3 allows 2^32).
"""

from __future__ import annotations

import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from skitai.saddle.errors import SetupError

_HEAD = struct.Struct(">BQ")
_FORMAT = 1
_NONCE = 12
_TAG = 16
_DAY = 24 * 3600


class NotSealed(Exception):
    """A value was not sealed here for this cookie, was changed, or is over; the text says which."""


def keys_of(securekey: object) -> tuple[bytes, ...]:
    """Return the keys that a ``securekey`` setting means: the first one seals, all unseal; none for ``None``.

    Args:
        securekey: a str, bytes, or a list of those.

    Raises:
        SetupError: it is something else, or a key is empty.
    """
    if securekey is None:
        return ()
    if securekey.__class__ is str and securekey:  # nearly always, once per request
        return (securekey.encode(),)
    each = securekey if isinstance(securekey, (list, tuple)) else (securekey,)
    keys = tuple(key.encode() if isinstance(key, str) else key for key in each)
    if not keys or not all(isinstance(key, bytes) and key for key in keys):
        raise SetupError("securekey is a random str or bytes, or a list of those of which none is empty")
    return keys


def seal(plain: bytes, name: str, end: int, keys: Sequence[bytes]) -> str:
    """Seal a value.

    Args:
        name: of its cookie. end: of its life, seconds since the epoch. keys: of which the first one seals.
    """
    head = _HEAD.pack(_FORMAT, end)
    nonce = os.urandom(_NONCE)
    sealed = _cipher(keys[0], end // _DAY).encrypt(nonce, plain, head + name.encode())
    return _encode(head + nonce + sealed)


def unseal(text: str, name: str, now: float, longest: float, keys: Sequence[bytes]) -> tuple[bytes, int]:
    """Return what was sealed, and the end of its life.

    Args:
        name: of the cookie that it came in. now: seconds since the epoch. longest: life in seconds from now that it may
            have left. keys: any of which may have sealed it.

    Raises:
        NotSealed: the value is to be ignored.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise NotSealed("it is no sealed value") from None
    # The decoder skips what is no base64, so only one of many spellings is the one that was sealed.
    if len(raw) < _HEAD.size + _NONCE + _TAG or raw[0] != _FORMAT or _encode(raw) != text:
        raise NotSealed("it is no sealed value")
    head, nonce, sealed = raw[: _HEAD.size], raw[_HEAD.size : _HEAD.size + _NONCE], raw[_HEAD.size + _NONCE :]
    end: int = _HEAD.unpack(head)[1]
    # Both before a key is derived, so that nobody can make us derive one for any day.
    if end <= now:
        raise NotSealed("it has expired")
    if end > now + longest:
        raise NotSealed("it would live longer than it may")
    return _try_keys(keys, end // _DAY, nonce, sealed, head + name.encode()), end


def _try_keys(keys: Sequence[bytes], day: int, nonce: bytes, sealed: bytes, context: bytes) -> bytes:
    for key in keys:
        try:
            return _cipher(key, day).decrypt(nonce, sealed, context)
        except InvalidTag:
            continue
    raise NotSealed("it was changed, or sealed for another cookie or with another securekey")


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@lru_cache(256)
def _cipher(key: bytes, day: int) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"skitai sealed cookie %d" % day).derive(key))
