"""Typed names of a query, ``?int:num=3&list:a=1,2&json:x={}&bit:f=yes&float:y=1.5``, which convert their values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skitai.saddle.conversions import converter
from skitai.saddle.errors import BadRequest


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
