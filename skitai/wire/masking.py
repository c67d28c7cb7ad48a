"""What nobody may read in a log, an error text or a repr: userinfo of URLs, passwords of DSNs, credentials in fields.

:func:`mask` is the one function for texts, whoever made them: ours, those of an app and those of a driver.
"""

from __future__ import annotations

import re
from typing import Final

from skitai.wire.fields import Fields

#: Stands for what is hidden.
MASK: Final = "********"

#: The end of the name of a value that is secret, in a DSN (``password=``, ``sslpassword=``), in a query
#: (``?access_token=``) or in the repr of a mapping (``'passphrase': ``).
_NAME = (
    r"[A-Za-z0-9_.\-]*?(?:passw(?:or)?d|passwd|passphrase|pwd|secret|secret_?key|api_?key|access_?key|(?<![A-Za-z])token"
    r"|(?<![A-Za-z])pass(?=\s*=)|(?:access|refresh|auth|id|bearer|session|csrf)_?token|credentials?)"
)
_SECRET_VALUE = re.compile(
    rf"""(?P<name>(?P<before>[?&]?)(?<![A-Za-z0-9_.\-]){_NAME}(?P<quote>["']?)(?P<equals>\s*(?:=|(?<=["'])\s*:)\s*))"""
    # Between quotes: libpq escapes by a backslash, others by a second quote; an open end hides the rest.
    r"""(?P<value>b?'(?:[^'\\]|\\.|'')*(?:'|\Z)|b?"(?:[^"\\]|\\.|"")*(?:"|\Z)|[^\s'"][^\s]*)""",
    re.IGNORECASE | re.DOTALL,
)
#: ``Authorization: Basic ...`` and its like where a head is quoted; up to the end of the line or of the quoted text.
_FIELD = re.compile(
    r"""(?P<name>\b(?:proxy-)?authorization(?:["']\s*,|["']?\s*[:=])\s*b?|\b(?:set-)?cookie2?(?:["']\s*,|["']?\s*[:=])\s*b?["']?(?=[^\s:=,;]+=))"""
    r"""(?P<value>"[^"\r\n]*"?|'[^'\r\n]*'?|[^\r\n"']+)""",
    re.IGNORECASE,
)
_tokens = re.compile(r"\S+").finditer
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z").search
_authority_end = re.compile(r"[/?#]|\Z").search
_HOST = r"(?:\[[^\]\s]*\]|[^\s:@,/?#\\\[\]]*)(?::[0-9]*)?"
#: What stands before the path when there is no userinfo: one host with a port, or several.
_are_hosts = re.compile(rf"{_HOST}(?:,{_HOST})*").fullmatch
#: What follows the ``@`` of ``user:password@host:5432/name``; a host alone only where the text ends with it.
_is_server = re.compile(r"[A-Za-z0-9_.\-]*(?:\[[0-9A-Fa-f:.]*\])?(?::[0-9]+|/)").match
_is_host = re.compile(r"[A-Za-z0-9_.\-]+[\"')\]}.,;:]*").fullmatch
#: What may stand in front of a name and is no part of it.
_OPENING: Final = "\"'([{=,<"
_WEB: Final = frozenset({"http", "https", "ws", "wss", "ftp", "file", "git", "ssh"})
#: URLs inside each other that are looked at.
_DEEPEST: Final = 8

_FIELDS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "set-cookie2", "x-api-key"})
#: Most texts have none of these, and looking for a word takes a hundredth of the time of the searches above.
_NAMES: Final = ("pass", "pwd", "secret", "key", "token", "credential")
_FIELD_NAMES: Final = ("authorization", "cookie")


def mask(text: str) -> str:
    """Return ``text`` with everything that looks like a credential replaced by :data:`MASK`.

    That is: the userinfo of a URL with any scheme, with one host or several, also one that is not valid because its
    password has an ``@`` or a slash in it; ``user:password@host:port``; the value of ``password=``, ``sslpassword=``,
    ``token=`` and their like in a DSN, a query or a repr; the value of an Authorization or Cookie field. Where it is
    not clear how far a secret goes, more is masked and not less.

    Args:
        text: a URL, a DSN, an error text or a log line.
    """
    if "@" in text and ":" in text:
        text = "".join([_mask_userinfo(line) for line in text.splitlines(keepends=True)])
    lowered = text.lower()
    if any(name in lowered for name in _FIELD_NAMES):
        text = _FIELD.sub(_mask_line, text)
    if any(name in lowered for name in _NAMES):
        text = _SECRET_VALUE.sub(_mask_value, text)
    return text


def hide_in(error: BaseException, secret: str = "") -> None:
    """Mask what an exception says, in place: drivers and servers repeat what they were given.

    Args:
        secret: that it must not say in whatever form, as the password that was used.
    """
    args = [_without(each, secret) if isinstance(each, str) else each for each in error.args]
    if args != list(error.args):
        error.args = tuple(args)


def _without(text: str, secret: str) -> str:
    return mask(text.replace(secret, MASK) if secret else text)


def mask_field(name: str, value: str) -> str:
    """Return the value of a header field as it may be shown."""
    return MASK if name.lower() in _FIELDS else mask(value)


def mask_fields(fields: Fields) -> Fields:
    """Return header fields as they may be shown."""
    return [(name, mask_field(name, value)) for name, value in fields]


def _mask_userinfo(line: str) -> str:
    """Mask what stands before the hosts of URLs, with or without a scheme.

    By hand and not by one expression: clients choose some of what is logged, and this takes linear time.
    """
    last = line.rfind("@")
    end = len(line.rstrip())
    shown: list[str] = []
    done = 0
    for match in _tokens(line):
        if match.start() >= last:
            break
        shown.append(line[done : match.start()])
        masked = _mask_token(match[0], match.end() >= end)
        if masked is None:  # a blank in a password has cut the URL in two
            return "".join(shown) + MASK + line[last:]
        shown.append(masked)
        done = match.end()
    return "".join(shown) + line[done:]


def _mask_token(token: str, is_last: bool) -> str | None:
    """Mask one text without blanks; ``None`` when a secret goes on behind it."""
    shown = ""
    for _ in range(_DEEPEST):  # a URL may have another one in its query
        front, colon, rest = token.partition("://")
        if not colon or not _scheme(front):
            return shown + _mask_bare(token, is_last)
        start = len(rest) - len(rest.lstrip("/"))
        end = _authority_end(rest, start)
        assert end is not None  # the end of the text at least
        authority = rest[start : end.start()]
        at = rest.rfind("@")
        # A database has no @ behind its authority; there it is in a password that should have been percent-encoded.
        is_dsn = at >= 0 and front[_scheme(front).start() :].lower() not in _WEB  # type: ignore[union-attr]
        if is_dsn or "@" in authority or not _are_hosts(authority.rstrip("\"'.,;:)]}>") or authority):
            if at >= 0:
                return f"{shown}{front}{colon}{MASK}{rest[at:]}"
            return None if ":" in authority else shown + token
        if at < 0:
            return shown + token
        shown += front + colon + rest[: end.start()]
        token = rest[end.start() :]
    return shown + MASK + token[token.rfind("@") :]


def _mask_bare(token: str, is_last: bool) -> str:
    at = token.rfind("@")
    colon = token.find(":")
    if not -1 < colon < at or token.startswith("//", colon + 1):
        return token
    server = token[at + 1 :]
    if not _is_server(server) and not (is_last and _is_host(server)):
        return token
    start = max(token.rfind(each, 0, colon) for each in _OPENING) + 1
    return token[:start] + MASK + token[at:]


def _mask_line(match: re.Match[str]) -> str:
    return match[0] if match["value"].startswith(MASK) else match["name"] + MASK


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    if value.startswith(MASK):
        return match[0]
    rest = ""
    if match["before"]:  # in a query: the next parameter begins with &
        end = re.search(r"[&#]|\Z", value)
        assert end is not None
        rest = value[end.start() :]
        rest = _SECRET_VALUE.sub(_mask_value, rest)
    return match["name"] + MASK + rest
