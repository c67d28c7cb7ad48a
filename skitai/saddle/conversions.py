"""Annotations of arguments, and how text of a request becomes what they ask for.

``def add(was, a: int, b: float = 0.5, on: bool = False, ids: list[int] = ())``: text that is none of it is a 400 with
the reason. An argument without annotation stays what it was.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

Convert = Callable[[Any], Any]

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f", ""})
#: Digits of a number; Python's own limit is 4300, and converting many of them takes quadratic time.
_MOST_DIGITS = 400


def _to_int(value: Any) -> int:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and (len(text) > _MOST_DIGITS or not text.isascii() or "_" in text):
        raise ValueError("is not a whole number")
    if isinstance(value, float) and not value.is_integer():  # int() would cut it
        raise ValueError("is not a whole number")
    try:
        return int(text)
    except (TypeError, ValueError):
        raise ValueError("is not a whole number") from None


def _to_float(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("is not a number") from None
    if not math.isfinite(number) or (isinstance(value, str) and "_" in value):
        raise ValueError("is not a finite number")
    return number


def _to_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("is neither true nor false (true, yes, on, 1, false, no, off, 0)")


def _to_decimal(value: Any) -> Decimal:
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError("is not a decimal number") from None
    if not number.is_finite():
        raise ValueError("is not a finite number")
    if max(len(number.as_tuple().digits), abs(number.adjusted())) > _MOST_DIGITS:
        raise ValueError("is a number with too many digits")  # int() of 1e999999999 takes the memory of a machine
    return number


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _reader(read: Callable[[str], Any], what: str, kind: type | None = None) -> Convert:
    def convert(value: Any) -> Any:
        if kind is not None and isinstance(value, kind):  # XML-RPC has times that are not text
            return value
        try:
            return read(value)
        except (TypeError, ValueError, AttributeError):
            raise ValueError(f"is not {what}") from None

    return convert


_SINGLE: dict[Any, Convert] = {
    str: _to_text,
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    Decimal: _to_decimal,
    UUID: _reader(UUID, "a UUID"),
    date: _reader(date.fromisoformat, "a date like 2026-01-31"),
    datetime: _reader(datetime.fromisoformat, "a time like 2026-01-31T12:00:00", datetime),
    time: _reader(time.fromisoformat, "a time of day like 12:00:00"),
}
_MANY = {list: list, tuple: tuple, set: set, frozenset: frozenset}


def converter(annotation: Any) -> Convert | None:
    """Return what converts a value of a request for an annotation, ``None`` when values stay as they are.

    The converter takes a str, a list of them when the name came several times, or an object such as a file; it raises
    ValueError with the reason, a sentence without its subject.
    """
    many = _MANY.get(typing.get_origin(annotation) or annotation)
    if many is not None:
        return _many(many, typing.get_args(annotation))
    single = _single(annotation)
    return None if single is None else _only_once(single)


def _single(annotation: Any) -> Convert | None:
    known = _SINGLE.get(annotation) if isinstance(annotation, typing.Hashable) else None
    if known is not None:
        return known
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _member(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return _literal(typing.get_args(annotation))
    if origin is typing.Annotated:
        return _single(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(annotation))
    return None


def _union(members: tuple[Any, ...]) -> Convert | None:
    """``int | None`` reads an empty text as None; of several types the first one that takes the value counts."""
    has_none = type(None) in members
    converts = [_single(member) for member in members if member is not type(None)]
    if any(each is None for each in converts):
        return None

    def convert(value: Any) -> Any:
        if has_none and value in ("", None):
            return None
        reason = "has no value"
        for each in converts:
            try:
                return each(value)  # type: ignore[misc]
            except ValueError as error:
                reason = str(error)
        raise ValueError(reason)

    return convert


def _literal(values: tuple[Any, ...]) -> Convert:
    read = _one_of({str(value): value for value in values}, map(str, values))
    return lambda value: value if value in values else read(value)


def _member(enum: type[Enum]) -> Convert:
    by_text = {str(member.value): member for member in enum} | {member.name: member for member in enum}
    read = _one_of(by_text, (str(member.value) for member in enum))
    return lambda value: value if isinstance(value, enum) else read(value)


def _one_of(by_text: Mapping[str, Any], shown: Iterable[str]) -> Convert:
    reason = f"is not one of {', '.join(shown)}"

    def convert(value: Any) -> Any:
        if not isinstance(value, str) or value not in by_text:  # XML-RPC has values that are no key at all
            raise ValueError(reason)
        return by_text[value]

    return convert


def _only_once(convert: Convert) -> Convert:
    def only(value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError("is given more than once")
        return convert(value)

    return only


def _many(collect: Callable[[list[Any]], Any], arguments: tuple[Any, ...]) -> Convert:
    single = _single(arguments[0]) if arguments else None

    def convert(value: Any) -> Any:
        values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
        return collect(values if single is None else [single(each) for each in values])

    return convert
