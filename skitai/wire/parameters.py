"""What is in the values of some fields: parameters (RFC 9110 section 5.6.6, RFC 8187) and cookies (RFC 6265 5.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from skitai.wire.fields import TOKEN

# The name of a parameter may have a star behind it (RFC 8187). A value without quotes ends at the next semicolon.
_PARAMETER = re.compile(rf';[ \t]*+(?:({TOKEN})[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+))(?=[ \t]*+(?:;|\Z)))?+')
_PAIR = re.compile(r"\\(.)")
# charset "'" [ language ] "'" value-chars
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'((?:[^%]|%[0-9A-Fa-f]{2})*+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def read_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Return the value of a field without its parameters, and these by their names in lower case.

    Of ``filename*=UTF-8''na%C3%AFve.txt`` the name is ``filename`` and the value is decoded; it goes before a plain
    ``filename``, which is for those who do not know the other (RFC 6266 section 4.3). One that does not decode is left
    out. Of parameters of the same name the first counts.
    """
    main, semicolon, _ = value.partition(";")
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value, len(main)) if semicolon else ():
        key = name.lower()
        text = _PAIR.sub(r"\1", quoted) if quoted else bare.strip(" \t")
        if not key.endswith("*"):
            if key:
                plain.setdefault(key, text)
        elif (decoded := _decode_extended(text)) is not None:
            extended.setdefault(key[:-1], decoded)
    return main.strip(" \t"), plain | extended


def _decode_extended(text: str) -> str | None:
    match = _EXTENDED.fullmatch(text)
    if match is None:
        return None
    try:
        return unquote_to_bytes(match[2]).decode(match[1])
    except UnicodeDecodeError:
        return None


def read_set_cookie(value: str) -> tuple[str, str] | None:
    """Return (name, value) of a Set-Cookie field, as a user agent reads it (RFC 6265 section 5.2).

    The name goes up to the first ``=``, the value up to the first ``;``, quotes are a part of it, and attributes that
    nobody knows yet take nothing away.

    Returns:
        ``None`` for one that is to be ignored: without ``=`` or name, or with a control character.
    """
    if _CONTROL.search(value):
        return None
    name, equals, text = value.partition(";")[0].partition("=")
    name = name.strip(" \t")
    return (name, text.strip(" \t")) if equals and name else None
