"""JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) of the types that arguments and results are annotated with.

What :mod:`skitai.saddle.conversions` reads has its schema here. A type that is not known has the schema that allows
anything.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from skitai.saddle.rules import FLOAT, INT, Kind
from skitai.saddle.uploads import UploadedFile

Schema = dict[str, Any]

_SINGLE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Decimal: {"type": "number"},
    UUID: {"type": "string", "format": "uuid"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    time: {"type": "string", "format": "time"},
    UploadedFile: {"type": "string", "contentMediaType": "application/octet-stream"},
    dict: {"type": "object"},
}
_MANY = {list: False, tuple: False, set: True, frozenset: True}

_KINDS: dict[Kind, Schema] = {INT: {"type": "integer", "minimum": 0}, FLOAT: {"type": "number", "minimum": 0}}


def schema_of(annotation: Any) -> Schema:
    """Return the schema of a type; ``{}``, which allows anything, for one that is not known."""
    if isinstance(annotation, typing.Hashable) and annotation in _SINGLE:
        return dict(_SINGLE[annotation])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [_plain(member.value) for member in annotation]}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return schema_of(arguments[0])
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _union([schema_of(each) for each in arguments])
    return _collection(origin or annotation, arguments)


def schema_of_kind(kind: Kind) -> Schema:
    """Return the schema of a variable in a rule."""
    return dict(_KINDS.get(kind, {"type": "string"}))


def with_default(schema: Schema, default: Any) -> Schema:
    """Return a schema with a default, as far as JSON can say it."""
    try:
        value = json.loads(json.dumps(default, default=_plain, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return schema
    return {**schema, "default": value}


def _union(members: list[Schema]) -> Schema:
    names = [each["type"] for each in members if list(each) == ["type"] and isinstance(each["type"], str)]
    return {"type": names} if len(names) == len(members) else {"anyOf": members}


def _collection(kind: Any, arguments: tuple[Any, ...]) -> Schema:
    if kind in _MANY:
        schema: Schema = {"type": "array"}
        # tuple[int, ...] says with its dots what list[int] says without.
        if len([each for each in arguments if each is not ...]) == 1:
            schema["items"] = schema_of(arguments[0])
        return {**schema, "uniqueItems": True} if _MANY[kind] else schema
    if kind is dict and len(arguments) == 2:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return {"type": "object"}
    return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value) if isinstance(value, UUID) else float(value)
    if isinstance(value, (str, int, float, bool, list, dict)) or value is None:
        return value
    raise TypeError(f"{value!r} cannot be said in JSON")
