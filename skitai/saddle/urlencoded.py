"""``application/x-www-form-urlencoded``: query strings and forms, read strictly (WHATWG URL, section 5).

What browsers and every client library send is read; percent-encoding that is none and bytes that are no UTF-8 are
refused, because whatever an app made of them would not be what the client meant.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from skitai.saddle.errors import BadRequest

#: Fields of one query or form; more are refused. Django allows 1000 by default as well.
MOST_FIELDS = 1000
#: Characters of a name. No input of a form has such a name, and a dict of them is cheap to fill.
MOST_NAME = 4096

_has_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search


def decode_component(text: str, plus: bool = True) -> str:
    """Undo the percent-encoding of a piece of a URL.

    Args:
        plus: whether ``+`` is a blank, as in forms.

    Raises:
        BadRequest: an escape is not complete, or the bytes are no UTF-8.
    """
    if plus and "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if _has_bad_escape(text):
        raise BadRequest("the percent-encoding of the URL or form is not valid")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the URL or form has bytes that are no UTF-8") from None


def parse_pairs(text: str, most: int = MOST_FIELDS) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a query or a form, in order. A name without ``=`` has the value ``""``.

    Args:
        most: pairs that there may be.

    Raises:
        BadRequest: the encoding is not valid, there are more pairs, or a name is very long.
    """
    parts = text.split("&")
    if len(parts) > most:
        raise BadRequest(f"the request has more than {most} fields")
    is_plain = "%" not in text and "+" not in text
    pairs = []
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            pairs.append((name, value) if is_plain else (decode_component(name), decode_component(value)))
    if len(text) > MOST_NAME and any(len(name) > MOST_NAME for name, _ in pairs):
        raise BadRequest("the name of a field is too long")
    return pairs


def parse_form(body: bytes, most: int = MOST_FIELDS) -> list[tuple[str, str]]:
    """Return the pairs of a form in a request body. Errors as :func:`parse_pairs`."""
    try:
        return parse_pairs(body.decode("utf-8"), most)
    except UnicodeDecodeError:
        raise BadRequest("the URL or form has bytes that are no UTF-8") from None
