"""Values of a statement that ``sqlite3`` cannot write: a UUID becomes its text, dicts and lists become JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any
from uuid import UUID

#: Types of values that are given to sqlite3 as they are.
_NEEDS_NOTHING = frozenset({str, int, float, bytes, type(None)})


def adapted(args: Any) -> Any:
    """Return the values of a statement with those that ``sqlite3`` does not know made into text.

    What an app taught ``sqlite3`` itself, by ``register_adapter()``, goes before.

    Args:
        args: a sequence or a mapping of values.

    Raises:
        TypeError, ValueError: a dict or a list holds what is no JSON.
    """
    if isinstance(args, Mapping):
        if _NEEDS_NOTHING.issuperset(map(type, args.values())):
            return args
        return {name: _adapted(value) for name, value in args.items()}
    if not isinstance(args, (tuple, list)) or _NEEDS_NOTHING.issuperset(map(type, args)):
        return args
    return tuple([_adapted(value) for value in args])


def _adapted(value: Any) -> Any:
    if not isinstance(value, (UUID, dict, list)) or (type(value), sqlite3.PrepareProtocol) in sqlite3.adapters:
        return value
    return str(value) if isinstance(value, UUID) else json.dumps(value, ensure_ascii=False)
