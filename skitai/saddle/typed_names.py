"""Typed names of a query, ``?int:num=3&list:a=1,2&json:x={}&bit:f=yes&float:y=1.5``, which convert their values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skitai.saddle.conversions import converter
from skitai.saddle.errors import BadRequest
from skitai.saddle.urlencoded import parse_pairs


def _read_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


_READERS: dict[str, Callable[[Any], Any] | None] = {
    "int": converter(int),
    "float": converter(float),
    "bit": converter(bool),
    "str": str,
    "list": _read_list,
    "json": json.loads,
}


def query_fields(query: str, most: int) -> list[tuple[str, Any]]:
    """Return the (name, value) pairs of a query. Errors as :func:`~skitai.saddle.urlencoded.parse_pairs`.

    Args:
        most: pairs that there may be.
    """
    if not query:
        return []
    pairs: list[tuple[str, Any]] = parse_pairs(query, most)
    # A name with a colon says of which type its value is; a colon may also have come percent-encoded.
    if ":" in query or "%3" in query:
        return [read_typed(*pair) if ":" in pair[0] else pair for pair in pairs]
    return pairs


def read_typed(name: str, value: str) -> tuple[str, Any]:
    """Return name and value of a query field, converted when the name says so; other names with a colon stay.

    Raises:
        BadRequest: the value is not of its type.
    """
    kind, _, bare = name.partition(":")
    read = _READERS.get(kind)
    if read is None or not bare:
        return name, value
    try:
        return bare, read(value)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"argument {bare!r} {error if kind != 'json' else 'is no JSON'}") from None
