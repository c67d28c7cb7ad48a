"""What can be told of an SQL statement without a database: whether it only reads, and how it begins."""

from __future__ import annotations

import re

# Blanks and comments in front of the first word; an unfinished comment is not skipped.
_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")

_READING = frozenset({"select", "values", "table", "show"})
# "select ... into t" makes a table.
_INTO = re.compile(r"\binto\b", re.IGNORECASE)


def first_word(sql: str) -> str:
    """Return the first word of a statement in lower case, ``""`` when there is none."""
    leading = _LEADING.match(sql)
    word = _WORD.match(sql, leading.end() if leading else 0)
    return word[0].lower() if word else ""


def is_read_only(sql: str) -> bool:
    """Whether ``sql`` may be sent again when it is not known whether the first one arrived.

    That holds for one statement that reads, by its first word; a function that it calls may write all the same, as a
    GET may. Whatever is not sure, such as ``with`` (it may hold an ``insert``), counts as a write.
    """
    return first_word(sql) in _READING and ";" not in sql.rstrip().removesuffix(";") and not _INTO.search(sql)
