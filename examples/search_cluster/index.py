"""Full-text search over documents, by SQLite's FTS5, in memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from corpus import Document

# More words than this are not looked for: each one costs a pass over its list of documents.
MAX_TERMS = 16
SNIPPET_WORDS = 28
# Characters that are in no text, around the words that were found in a snippet.
_OPEN, _CLOSE = "\x02", "\x03"

_SEARCH = f"""
    SELECT name, kind, bm25(documents, 5.0, 1.0, 1.0), snippet(documents, 2, ?, ?, ' … ', {SNIPPET_WORDS})
    FROM documents WHERE documents MATCH ? ORDER BY bm25(documents, 5.0, 1.0, 1.0), name LIMIT ?
"""


class Index:
    """The documents of one shard.

    Args:
        documents: to be found.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute(
            "CREATE VIRTUAL TABLE documents USING fts5(name, kind UNINDEXED, text, tokenize='unicode61')"
        )
        self._database.executemany("INSERT INTO documents VALUES (?, ?, ?)", documents)

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM documents").fetchone()
        return int(count)

    def search(self, query: str, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """Find the documents that have all words of a query.

        Args:
            query: as a user typed it; it has no syntax.
            limit: the most documents to return.

        Returns:
            How many there are, and the best of them: ``name``, ``kind``, ``rank`` (less is better) and ``snippet``, a
            list of (text, whether that is a word of the query).
        """
        expression = match_expression(query)
        if not expression:
            return 0, []
        count = self._database.execute("SELECT count(*) FROM documents WHERE documents MATCH ?", [expression])
        rows = self._database.execute(_SEARCH, [_OPEN, _CLOSE, expression, limit])
        hits = [
            {"name": name, "kind": kind, "rank": rank, "snippet": split_snippet(snippet)}
            for name, kind, rank, snippet in rows
        ]
        return count.fetchone()[0], hits

    def read(self, name: str) -> Document | None:
        """One whole document, or None when this shard does not have it."""
        row = self._database.execute("SELECT name, kind, text FROM documents WHERE name = ?", [name]).fetchone()
        return Document(*row) if row else None


def match_expression(query: str) -> str:
    """The FTS5 expression for texts that have, for each word of a query, a word that begins so.

    What users type goes into quotes word by word, and only letters, digits and ``_`` are part of a word: so no operator
    of FTS5, and no syntax error, can come from outside.
    """
    return " ".join(f'"{word}"*' for word in re.findall(r"\w+", query)[:MAX_TERMS])


def split_snippet(snippet: str) -> list[tuple[str, bool]]:
    """Split a marked snippet into (text, whether it was marked)."""
    parts = re.split(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}", snippet)
    return [(text, bool(position % 2)) for position, text in enumerate(parts) if text]
