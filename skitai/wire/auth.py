"""Credentials of a call: Basic (RFC 7617), Digest (RFC 7616) and Bearer (RFC 6750)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from skitai.errors import LocalProtocolError
from skitai.wire.fields import check_field

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_COMMA = re.compile(r"\s*,\s*")
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|$)(?!=)")

_has_control = re.compile(r"[\x00-\x1f\x7f]").search

_HASHES: dict[str, Callable[..., Any]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Credentials(NamedTuple):
    """User and password, or a token when ``user`` is ``None``."""

    user: str | None
    secret: str

    def __repr__(self) -> str:
        # Calls are shown in tracebacks and logs.
        return f"<Credentials of {self.user!r}>" if self.user is not None else "<Credentials: a token>"


class Challenge(NamedTuple):
    """One challenge of a 401 answer; ``scheme`` in lower case, names of parameters too."""

    scheme: str
    parameters: dict[str, str]


def credentials(auth: Any) -> Credentials | None:
    """Return what a caller gave as ``auth``: ``(user, password)``, ``"user:password"``, or ``(token,)`` for Bearer.

    Raises:
        ValueError: it is none of these, or user or password have a control character (RFC 7617 section 2).
        LocalProtocolError: the token does not fit into a header field.
    """
    if auth is None or auth == "" or auth == ():
        return None
    if isinstance(auth, str):
        user, colon, password = auth.partition(":")
        if colon:
            return _checked(Credentials(user, password))
    elif isinstance(auth, (tuple, list)) and all(isinstance(part, str) for part in auth):
        if len(auth) == 1:
            return _checked(Credentials(None, auth[0]))
        if len(auth) == 2:
            return _checked(Credentials(auth[0], auth[1]))
    raise ValueError("auth is (user, password), 'user:password', or (token,)")


def of_userinfo(userinfo: tuple[str, str] | None) -> Credentials | None:
    """Return the credentials in the userinfo of a URL, ``None`` when there is none. Raises as :func:`credentials`."""
    return None if userinfo is None else _checked(Credentials(*userinfo))


def _checked(found: Credentials) -> Credentials:
    """Refuse at once what cannot be sent: how a server wants it is only known when the call is under way."""
    if found.user is None:
        check_field("Authorization", bearer(found.secret))
        return found
    for text in (found.user, found.secret):
        if _has_control(text):
            raise ValueError("user and password of auth must not have control characters")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("user and password of auth must not have lone surrogates") from None
    return found


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Return the challenges in the WWW-Authenticate fields of an answer (RFC 9110 section 11.6.1)."""
    found: list[Challenge] = []
    for value in values:
        position = 0
        while match := _SCHEME.match(value, position):
            position = match.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(value, position):
                text = parameter[3] if parameter[2] is None else re.sub(r"\\(.)", r"\1", parameter[2])
                parameters[parameter[1].lower()] = text
                position = parameter.end()
                comma = _COMMA.match(value, position)
                if comma is None:
                    break
                position = comma.end()
            found.append(Challenge(match[1].lower(), parameters))
    return found


def bearer(token: str) -> str:
    """Return the value of Authorization for a token."""
    return f"Bearer {token}"


def basic(user: str, password: str) -> str:
    """Return the value of Authorization for Basic, in UTF-8 as RFC 7617 section 2.1 lets a client do.

    Raises:
        LocalProtocolError: the user has a colon, so that the server would take another one for it.
    """
    if ":" in user:
        raise LocalProtocolError("a user whose name has a colon cannot log in by Basic (RFC 7617 section 2)")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class Authorization:
    """Answers the challenges of one server: made from a 401, then good for the following requests as well."""

    def __init__(self, challenge: Challenge) -> None:
        self._challenge = challenge
        self._count = 0

    @classmethod
    def choose(cls, challenges: Iterable[Challenge]) -> Authorization | None:
        """Return how to answer the strongest challenge that we know; ``None`` when there is none."""
        known = [each for each in challenges if _strength(each)]
        return cls(max(known, key=_strength)) if known else None

    @property
    def is_basic(self) -> bool:
        """Whether passwords go over the wire as they are."""
        return self._challenge.scheme == "basic"

    def value(self, user: str, password: str, method: str, target: str, cnonce: str | None = None) -> str:
        """Return the value of Authorization for one request.

        Args:
            method, target: of the request line.
            cnonce: only tests give one.
        """
        if self.is_basic:
            return basic(user, password)
        return self._digest(user, password, method, target, cnonce or secrets.token_hex(8))

    def _digest(self, user: str, password: str, method: str, target: str, cnonce: str) -> str:
        parameters = self._challenge.parameters
        algorithm = parameters.get("algorithm", "MD5")
        name, session, _ = algorithm.upper().partition("-SESS")
        realm, nonce = parameters.get("realm", ""), parameters.get("nonce", "")
        self._count += 1
        count = f"{self._count:08x}"

        def digest(text: str) -> str:
            return str(_HASHES[name](text.encode("latin-1")).hexdigest())

        # What the server said is bytes in ISO 8859-1 here: as UTF-8 they would not be those that it hashes.
        login = b"%b:%b:%b" % (user.encode(), realm.encode("latin-1"), password.encode())
        secret = str(_HASHES[name](login).hexdigest())
        if session:
            secret = digest(f"{secret}:{nonce}:{cnonce}")
        asked = digest(f"{method}:{target}")
        known = {"realm": realm, "nonce": nonce, "uri": target}
        # RFC 7616 section 3.4.4: a quoted-string says nothing of the charset of what is outside ASCII.
        is_plain = user.isascii()
        fields = [("username", _quoted(user)) if is_plain else ("username*", f"UTF-8''{quote(user, safe='')}")]
        fields += [(key, _quoted(text)) for key, text in known.items()]
        if "qop" in parameters:
            response = digest(f"{secret}:{nonce}:{count}:{cnonce}:auth:{asked}")
            fields += [("qop", "auth"), ("nc", count), ("cnonce", _quoted(cnonce))]
        else:  # RFC 2069, which a few devices still speak
            response = digest(f"{secret}:{nonce}:{asked}")
        fields += [("response", _quoted(response)), ("algorithm", algorithm)]
        if "opaque" in parameters:
            fields.append(("opaque", _quoted(parameters["opaque"])))
        return "Digest " + ", ".join(f"{key}={value}" for key, value in fields)


def _strength(challenge: Challenge) -> int:
    if challenge.scheme == "basic":
        return 1
    if challenge.scheme != "digest" or "nonce" not in challenge.parameters:
        return 0
    offered = challenge.parameters.get("qop")
    if offered is not None and "auth" not in [each.strip().lower() for each in offered.split(",")]:
        return 0
    name = challenge.parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return {"MD5": 2, "SHA-256": 3}.get(name, 0)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
