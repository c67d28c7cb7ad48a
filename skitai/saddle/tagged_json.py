"""JSON that gives back what was put in, also bytes, dates and tuples: for values that are kept at a client.

What JSON has no word for becomes an object of one member whose name begins with ``$``, as ``{"$date": "2026-01-31"}``.
Nothing is ever made of a value but these plain types, whatever the document says.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any

_PLAIN = frozenset({str, int, float, bool, type(None)})


def dumps(value: Any) -> bytes:
    """Return a value as JSON.

    Raises:
        TypeError: it has something that is none of dict with str keys, list, tuple, str, bytes, int, float, bool, None,
            date, datetime; the text says what.
        ValueError: it is nested too deeply, or contains itself.
    """
    try:
        text = _ENCODER.encode(_pack(value))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return text.encode("utf-8", "surrogatepass")  # JSON allows lone surrogates, and so may a request have them


def loads(document: bytes) -> Any:
    """Return the value of a document that :func:`dumps` made.

    Raises:
        ValueError: it is none.
    """
    try:
        text = document.decode("utf-8", "surrogatepass")
        value, end = _DECODER.raw_decode(text)  # decode() looks for blanks around it besides, which takes as long
    except (RecursionError, TypeError, AttributeError) as error:
        raise ValueError("this is no document of ours") from error
    if end != len(text):
        raise ValueError("this is no document of ours")
    return value


def _pack(value: Any) -> Any:
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return _pack_dict(value)
    for base, pack in _PACKERS:
        if isinstance(value, base):
            return pack(value)
    raise TypeError(f"{kind.__name__} is no type that JSON can keep")


def _pack_dict(value: dict[Any, Any]) -> dict[str, Any]:
    packed = {}
    for key, each in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a dict with the key {key!r}: JSON has only str keys")
        try:
            packed[key] = each if each.__class__ in _PLAIN else _pack(each)
        except TypeError as error:
            raise TypeError(f"{key}: {error}") from None
    if len(packed) == 1:
        ((key, inner),) = packed.items()
        if key.startswith("$"):  # it looks as if it were tagged; a second "$" says that it is not
            return {"$" + key: inner}
    return packed


def _pack_list(value: Any) -> list[Any]:
    return [_pack(each) for each in value]


# In this order: a datetime is a date as well.
_PACKERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (list, _pack_list),
    (tuple, lambda value: {"$tuple": _pack_list(value)}),
    ((str, int, float), lambda value: value),  # subclasses: the encoder writes them as what they are based on
    ((bytes, bytearray), lambda value: {"$bytes": b64encode(value).decode()}),
    (datetime, lambda value: {"$datetime": value.isoformat()}),
    (date, lambda value: {"$date": value.isoformat()}),
)

_UNPACKERS: dict[str, Callable[[Any], Any]] = {
    "$tuple": tuple,
    "$bytes": partial(b64decode, validate=True),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
}


def _unpack(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key in _UNPACKERS:
            return _UNPACKERS[key](inner)
        if key.startswith("$$"):
            return {key[1:]: inner}
    return value


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_DECODER = json.JSONDecoder(object_hook=_unpack)
