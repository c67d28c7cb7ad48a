"""The texts that the cluster searches: what Python says about itself, found in every Python installation.

These are the help topics of ``pydoc`` and the docstrings of the modules of the standard library. The modules are only
parsed, never imported. Every document belongs to exactly one shard, the same one on every machine.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple
from zlib import crc32

# Besides the modules that are single files. Not all: tests and demonstrations have few docstrings worth finding.
PACKAGES = (
    "asyncio", "collections", "concurrent", "email", "html", "http", "importlib", "json", "logging", "multiprocessing",
    "sqlite3", "tomllib", "unittest", "urllib", "wsgiref", "xml", "xmlrpc", "zoneinfo",
)  # fmt: skip


class Document(NamedTuple):
    """One text.

    Attributes:
        name: ``json.dumps``, or a help topic such as ``floating``.
        kind: ``topic``, ``module``, ``class`` or ``function``.
        text: all of it.
    """

    name: str
    kind: str
    text: str


def documents(shard: int = 0, shards: int = 1) -> Iterator[Document]:
    """The documents of one shard.

    Args:
        shard: which, from 0.
        shards: how many there are.
    """
    for topic, text in sorted(topics.items()):
        if _belongs(f"topic {topic}", shard, shards):
            yield Document(topic, "topic", text.strip())
    for module, path in sorted(_modules(Path(sysconfig.get_path("stdlib")))):
        if _belongs(f"module {module}", shard, shards):
            yield from _read_module(module, path)


def _belongs(unit: str, shard: int, shards: int) -> bool:
    # Not hash(), which differs from process to process.
    return crc32(unit.encode()) % shards == shard


def _modules(library: Path) -> Iterator[tuple[str, Path]]:
    for path in library.glob("*.py"):
        yield path.stem, path
    for package in PACKAGES:
        for path in (library / package).rglob("*.py"):
            name = ".".join(path.relative_to(library).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def _read_module(module: str, path: Path) -> Iterator[Document]:
    found: dict[str, Document] = {}  # a name may be defined twice, for two platforms
    for name, node in _walk(module, ast.parse(path.read_bytes())):
        text = ast.get_docstring(node)
        if text:
            found.setdefault(name, Document(name, _kind(node), text))
    yield from found.values()


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _walk(name: str, node: ast.AST) -> Iterator[tuple[str, _Documented]]:
    if isinstance(node, _Documented):
        yield name, node
    for child in ast.iter_child_nodes(node):
        is_named = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _walk(f"{name}.{child.name}" if is_named else name, child)  # type: ignore[attr-defined]


def _kind(node: _Documented) -> str:
    if isinstance(node, ast.Module):
        return "module"
    return "class" if isinstance(node, ast.ClassDef) else "function"
