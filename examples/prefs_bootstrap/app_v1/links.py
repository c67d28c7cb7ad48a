"""Reads the list of links."""

from __future__ import annotations


def read(path: str) -> list[tuple[str, str]]:
    """The (name, URL) pairs of a file that has one on each line, with a tab between."""
    with open(path, encoding="utf-8") as file:
        return [(name, url) for name, _, url in (line.strip().partition("\t") for line in file) if url]
