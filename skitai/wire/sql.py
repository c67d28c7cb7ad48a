"""What can be told of an SQL text without a database: what it begins with, whether it writes, where statements end."""

from __future__ import annotations

import re

# Blanks and comments in front of the first word; an unfinished comment is not skipped.
_LEADING = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")

_READING = frozenset({"select", "values", "table", "show"})
# "select ... into t" makes a table.
_INTO = re.compile(r"\binto\b", re.IGNORECASE)

# What matters to the end of a statement. A doubled quote ends one text and begins the next, which comes to the same.
_PIECE = re.compile(
    r"""'[^']*'? | "[^"]*"? | `[^`]*`? | \[[^]]*\]? | --[^\n]* | /\*.*?(?:\*/|\Z) | \w+ | [^\w\s]""",
    re.DOTALL | re.VERBOSE,
)
_QUOTES = frozenset("'\"`[")
# Words that tell whether a statement creates a trigger, however much stands between "explain" and "trigger".
_HEAD = 6

# What changes data, and what else waits in SQLite until nobody writes.
_CHANGING = frozenset({"insert", "update", "delete", "replace"})
_WRITING = _CHANGING | {"create", "drop", "alter", "reindex", "analyze", "vacuum"}
_CHANGING_WORD = re.compile(r"\b(?:insert|update|delete|replace)\b", re.IGNORECASE)
_BEGIN_WRITING = re.compile(r"begin\s+(?:immediate|exclusive)\b", re.IGNORECASE)
_OF_TRANSACTIONS = frozenset({"begin", "commit", "end", "rollback"})
# What stays with the connection: other files, temporary tables, settings. And pragmas that only ask.
_LEAVING = re.compile(r"\b(?:attach|temp|temporary|pragma)\b", re.IGNORECASE)
_ASKING = re.compile(r"\s*pragma\s+(?:[\w.]*(?:info|list|check)\s*\([^;=]*|[\w.]+\s*);?\s*", re.IGNORECASE)


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


def may_be_several(sql: str) -> bool:
    """Whether ``sql`` has a semicolon before its end. Quick, and true also for one inside a text."""
    return ";" in sql.rstrip().removesuffix(";")


def split(sql: str) -> list[str]:
    """Return the statements of ``sql``, as SQLite tells where one ends; what holds comments only is left out.

    A semicolon in a text, a quoted name or a comment ends nothing, nor does one inside a ``create trigger``, which ends
    at ``; end;``. Takes time in proportion to the length.
    """
    found: list[str] = []
    start = 0
    head: list[str] = []
    before = last = ""
    for match in _PIECE.finditer(sql):
        piece = match[0]
        if piece[:2] in ("--", "/*"):
            continue
        if piece == ";" and (not _is_trigger(head) or (before, last) == (";", "end")):
            if head:
                found.append(sql[start : match.start()].strip())
            start, head, last = match.end(), [], ""
            continue
        before, last = last, "'" if piece[0] in _QUOTES else piece.lower()
        if len(head) < _HEAD:
            head.append(last)
    if head:
        found.append(sql[start:].strip())
    return found


def _is_trigger(head: list[str]) -> bool:
    words = [word for word in head if word not in ("explain", "query", "plan", "temp", "temporary")]
    return words[:2] == ["create", "trigger"]


def handles_transactions(statements: list[str]) -> bool:
    """Whether one of some statements begins or ends a transaction."""
    return any(first_word(each) in _OF_TRANSACTIONS for each in statements)


def is_writing(sql: str) -> bool:
    """Whether SQLite will want to be the only one that writes, for ``sql`` of one or several statements.

    Of a single statement that is told by its first word; several of them write, unless the first is a select.
    """
    word = first_word(sql)
    if word in _WRITING:
        return True
    if word == "with":
        return _CHANGING_WORD.search(sql) is not None
    if word == "begin" and not may_be_several(sql):
        return _BEGIN_WRITING.search(sql) is not None
    return word not in _READING and may_be_several(sql)


def leaves_traces(sql: str) -> bool:
    """Whether a connection to SQLite may be another one after ``sql``: a setting, an attached file, a temporary table.

    A word that only stands in a text of a script counts too: then a connection is replaced without need.
    """
    if first_word(sql) in _READING or (first_word(sql) in _CHANGING and not may_be_several(sql)):
        return False
    return _LEAVING.search(sql) is not None and _ASKING.fullmatch(sql) is None
