"""What a client logs in with, as a server reads it: Basic (RFC 7617) and Digest (RFC 7616) in Authorization."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

#: Algorithms of Digest, the one that a client should take first.
ALGORITHMS = ("SHA-256", "MD5")

_HASHES: dict[str, Callable[..., Any]] = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
#: How long what they make is, in hex digits.
_BY_LENGTH = {64: "SHA-256", 32: "MD5"}

_next_parameter = re.compile(
    r'[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*'
)
_is_count = re.compile(r"[0-9a-fA-F]{8}").fullmatch
_is_hex = re.compile(r"[0-9a-fA-F]+").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f]").search


@dataclass(frozen=True)
class BasicLogin:
    """User and password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"<BasicLogin of {self.user!r}>"


@dataclass(frozen=True)
class DigestLogin:
    """Proof that a client knows a password.

    Attributes:
        user, realm, nonce, uri, cnonce, response: as sent. count: how often it used the nonce. algorithm: one of
            :data:`ALGORITHMS`. raw_count: the count as sent.
    """

    user: str
    realm: str
    nonce: str
    uri: str
    cnonce: str
    raw_count: str
    response: str
    algorithm: str

    @property
    def count(self) -> int:
        """How often the client used the nonce, this time included."""
        return int(self.raw_count, 16)

    def expected(self, secret: str, method: str) -> str:
        """Return the ``response`` that proves the knowledge of a password.

        Args:
            secret: :func:`account_hash` of it, by the same algorithm.
        """
        asked = _hash(self.algorithm, f"{method}:{self.uri}")
        return _hash(self.algorithm, f"{secret}:{self.nonce}:{self.raw_count}:{self.cnonce}:auth:{asked}")

    def __repr__(self) -> str:
        return f"<DigestLogin of {self.user!r} by {self.algorithm}>"


def parse_login(value: str) -> BasicLogin | DigestLogin | None:
    """Return what the value of Authorization says, ``None`` when it is neither of both or malformed.

    Args:
        value: its bytes decoded as ISO 8859-1. What is in it is UTF-8, as the challenges ask for.
    """
    scheme, _, rest = value.partition(" ")
    try:
        if scheme.lower() == "basic":
            return _parse_basic(rest.strip(" "))
        if scheme.lower() == "digest":
            return _parse_digest(rest.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return None
    return None


def account_hash(algorithm: str, user: str, realm: str, password: str) -> str:
    """Return the hash of ``user:realm:password`` in hex, which takes the place of the password in Digest."""
    return _hash(algorithm, f"{user}:{realm}:{password}")


def algorithm_of(encrypted: str) -> str | None:
    """Return by which algorithm an :func:`account_hash` was made, ``None`` when it is none."""
    return _BY_LENGTH.get(len(encrypted)) if _is_hex(encrypted) else None


def quoted(text: str) -> str:
    """Return a quoted-string (RFC 9110 section 5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hash(algorithm: str, text: str) -> str:
    return str(_HASHES[algorithm](text.encode("utf-8")).hexdigest())


def _parse_basic(rest: str) -> BasicLogin | None:
    try:
        decoded = b64decode(rest, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(":")
    return None if not colon or _has_control(decoded) else BasicLogin(user, password)


def _parse_digest(rest: str) -> DigestLogin | None:
    found = _parameters(rest)
    if found is None:
        return None
    user = _user_of(found)
    # "auth-int" would need the whole body before anyone is let in, and without qop there is no count against replays.
    is_known = found.get("qop") == "auth" and _is_count(found.get("nc", "")) is not None
    algorithm = found.get("algorithm", "MD5").upper()
    is_whole = all(found.get(name) for name in ("nonce", "uri", "cnonce", "response")) and "realm" in found
    if user is None or _has_control(user) or not is_known or not is_whole or algorithm not in ALGORITHMS:
        return None
    return DigestLogin(
        user=user,
        realm=found["realm"],
        nonce=found["nonce"],
        uri=found["uri"],
        cnonce=found["cnonce"],
        raw_count=found["nc"],
        response=found["response"],
        algorithm=algorithm,
    )


def _parameters(rest: str) -> dict[str, str] | None:
    """Return the parameters by name; ``None`` when something is between them, or one comes twice."""
    found: dict[str, str] = {}
    position = 0
    while match := _next_parameter.match(rest, position):
        name = match[1].lower()
        if name in found:
            return None
        found[name] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
        position = match.end()
        if position == len(rest):
            return found
        if rest[position] != ",":
            return None
        position += 1
    return None


def _user_of(found: dict[str, str]) -> str | None:
    """Return the user; a name that fits into no quoted-string comes in ``username*`` (RFC 7616 section 3.4)."""
    extended = found.get("username*")
    if extended is None or "username" in found:
        return found.get("username") if extended is None else None
    charset, _, rest = extended.partition("'")
    _, _, name = rest.partition("'")
    return unquote_to_bytes(name).decode("utf-8") if charset.lower() == "utf-8" else None
