"""Header fields: their grammar (RFC 9110 section 5), and their names in a CGI environment (RFC 3875 section 4.1.18)."""

from __future__ import annotations

import re

from skitai.errors import LocalProtocolError

Fields = list[tuple[str, str]]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
#: Field content: HTAB, SP, VCHAR and obs-text. No CR, LF or NUL can be in it.
VALUE = r"[\t -~\x80-\xff]*+"

is_token = re.compile(TOKEN).fullmatch
is_field_value = re.compile(VALUE).fullmatch

#: One field line at the start of a line. Each match holds exactly one CRLF, so a header section in which the number of
#: matches equals that of LF has nothing but valid lines: no obs-fold, no blank before the colon, no bare CR or LF.
FIELD_LINE = re.compile(rf"^({TOKEN}):[ \t]*+({VALUE})\r\n", re.MULTILINE)

# Names come from clients: past this many the cache takes no more, and long ones it never takes, so that nobody can fill
# the memory with it.
_MOST_NAMES = 4096
_MOST_NAME_BYTES = 64
#: Names that were converted before, for callers to whom a function call is a cost.
cgi_names: dict[str, str] = {}

# An app reads these as something else than a header field: HTTP_PROXY is taken for a setting by HTTP clients.
_NEVER_CGI = frozenset({"HTTP_PROXY"})
_WITHOUT_PREFIX = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


def parse_fields(text: str, start: int, most: int) -> Fields | None:
    """Return the fields of ``text[start:]``, a header section without its blank line; values are stripped.

    Args:
        text: bytes decoded as ISO 8859-1.
        start: where the first field line begins; this must be the start of a line.
        most: fields that there may be.

    Returns:
        ``None`` when a line is not valid or there are more fields; :mod:`skitai.wire.lines` says which.
    """
    fields = FIELD_LINE.findall(text, start)
    if len(fields) != text.count("\n", start) or len(fields) > most:
        return None
    if " \r" in text or "\t\r" in text:  # few clients do; looking is cheaper than stripping each value
        fields = [(name, value.rstrip(" \t")) for name, value in fields]
    return fields


#: A field line as a user agent reads it from a server: blanks before the colon are taken off (RFC 9112 section 5.1).
_LENIENT_LINE = re.compile(rf"^({TOKEN})[ \t]*+:[ \t]*+({VALUE})\r\n", re.MULTILINE)
_FOLD = re.compile(r"\r\n[ \t]++")


def parse_folded_fields(text: str, start: int, most: int) -> Fields | None:
    """Return the fields of a header section of a server that :func:`parse_fields` refuses, as a user agent must.

    A folded line is joined to the one before it by a blank (RFC 9112 section 5.2), a blank before a colon is taken off
    (section 5.1). Arguments and result are those of :func:`parse_fields`. Takes time in proportion to the length.
    """
    if text.count("\n", start) > most or text[start : start + 1] in (" ", "\t"):
        return None  # what would be folded into the status line is nothing that may be guessed (section 2.2)
    text = _FOLD.sub(" ", text[start:])
    fields = _LENIENT_LINE.findall(text)
    if len(fields) != text.count("\n"):
        return None
    return [(name, value.rstrip(" \t")) for name, value in fields]


#: One line of such a section, by itself.
is_lenient_line = re.compile(rf"(?:{TOKEN}[ \t]*+:|[ \t]){VALUE}\r\n").fullmatch


def cgi_name(name: str) -> str:
    """Return the name of a header field in a CGI environment, or ``""`` for a field that must not be in it.

    A name with an underscore is left out: ``X_User`` and ``X-User`` would be the same variable, and the one that a
    front proxy strips could come in as the other.
    """
    try:
        return cgi_names[name]
    except KeyError:
        pass
    key = name.upper().replace("-", "_")
    if key not in _WITHOUT_PREFIX:
        key = "HTTP_" + key
    if "_" in name or key in _NEVER_CGI:
        key = ""
    if len(cgi_names) < _MOST_NAMES and len(name) <= _MOST_NAME_BYTES:
        cgi_names[name] = key
    return key


def check_field(name: str, value: object) -> str:
    """Return the value of a field as it is sent, without the blanks around it, or refuse it.

    This is the one door: nothing that we send becomes a field but through here, whoever gave it and whatever the
    protocol. :func:`field_line` makes lines of HTTP/1 of what it lets through,
    :func:`skitai.wire.http2.heads.raw_fields` fields of HTTP/2.

    Raises:
        LocalProtocolError: the name is not a token, or the value holds CR, LF, NUL or another control character
            (RFC 9110 section 5.5), which is how one message is made to look like two; or it is no str, or has a
            character outside ISO 8859-1. The text does not have the value, which may be secret.
    """
    if not isinstance(name, str) or not is_token(name):
        raise LocalProtocolError(f"header field name is not a token: {name!r}")
    if not isinstance(value, str):
        raise LocalProtocolError(f"the value of header field {name} is not a str")
    if not is_field_value(value):
        raise LocalProtocolError(f"the value of header field {name} has CR, LF, NUL or a character outside ISO 8859-1")
    # RFC 9110 section 5.5: they are no part of the value, and HTTP/2 forbids them.
    return value.strip(" \t")


def field_line(name: str, value: object) -> str:
    """Return one field line of HTTP/1, with its CRLF. Raises as :func:`check_field`."""
    return f"{name}: {check_field(name, value)}\r\n"


def tokens(value: str) -> list[str]:
    """Return the elements of a comma separated list in lower case, empty ones left out (RFC 9110 section 5.6.1)."""
    return [part for each in value.lower().split(",") if (part := each.strip(" \t"))]


def find(fields: Fields, name: str, default: str | None = None) -> str | None:
    """Return the value of the first field called ``name`` (given in lower case), else ``default``."""
    for each, value in fields:
        if each.lower() == name:
            return value
    return default
