"""An import only goes down the layers, and no modules import each other in a circle.

The rules are read from the syntax tree, so an import inside a function counts as one for the layers. For circles only
imports at the top of a module count: an import inside a function runs after both modules exist.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The floor of each module or package; the longest matching prefix counts. Floors with equal numbers but different
# names (hub and saddle) never import each other.
FLOORS: dict[str, int] = {
    "skitai": 5,
    "skitai.hub": 4,
    "skitai.saddle": 4,
    "skitai.was": 3,
    "skitai.net": 2,
    "skitai.wire": 1,
    "skitai.lib": 1,
    "skitai.errors": 0,
    "skitai.settings": 0,
    "skitai.constants": 0,
    "skitai.patches": -1,
}
# Who may import skitai.patches: the launcher, which applies it.
PATCHING = {"skitai"}

# What the sans-I/O floor must not touch, by top-level module.
IMPURE = {
    "asyncio", "fcntl", "gevent", "greenlet", "io", "multiprocessing", "os", "pathlib", "select", "selectors",
    "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
# Pure helpers that live in modules named above.
PURE_PARTS = {("io", "BytesIO"), ("io", "StringIO")}


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    importer: str
    imported: str
    line: int
    is_at_top: bool
    part: str = ""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}{'.' + self.part if self.part else ''}"


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of the project by its import name."""
    found = {}
    for base, directory in (("skitai", root / "skitai"), ("skitai.patches", root / "patches")):
        for path in sorted(directory.rglob("*.py")):
            parts = [base, *path.relative_to(directory).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, is_at_top: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node with whether it runs when the module is imported; blocks for type checkers are skipped."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        yield child, is_at_top
        inner_is_at_top = is_at_top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from walk(child, inner_is_at_top)


def imports_of(name: str, source: str, is_package: bool, known: set[str]) -> Iterator[Import]:
    for node, is_at_top in walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, is_at_top)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if is_package else name.split(".")[:-1]
                package = package[: len(package) - (node.level - 1)]
                base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                if submodule in known:
                    yield Import(name, submodule, node.lineno, is_at_top)
                else:
                    yield Import(name, base, node.lineno, is_at_top, alias.name)


def all_imports(root: Path) -> list[Import]:
    modules = modules_of(root)
    return [
        found
        for name, path in modules.items()
        for found in imports_of(name, path.read_text(encoding="utf-8"), path.name == "__init__.py", set(modules))
    ]


def package_of(module: str) -> str:
    """The row of FLOORS that a module belongs to."""
    parts = module.split(".")
    return next(prefix for end in range(len(parts), 0, -1) if (prefix := ".".join(parts[:end])) in FLOORS)


def is_ours(module: str) -> bool:
    return module == "skitai" or module.startswith("skitai.")


def upward(imports: list[Import]) -> list[str]:
    """Imports that go up, or across between packages of one floor."""
    wrong = []
    for found in imports:
        if not is_ours(found.imported):
            continue
        source, target = package_of(found.importer), package_of(found.imported)
        if target == "skitai.patches" and source != target and source not in PATCHING:
            wrong.append(f"{found}: only the launcher applies patches")
        elif source != target and FLOORS[target] >= FLOORS[source]:
            wrong.append(f"{found}: floor {FLOORS[source]} must not import floor {FLOORS[target]}")
    return wrong


def impure(imports: list[Import]) -> list[str]:
    """Imports of the sans-I/O floor that touch sockets, clocks, files or greenlets."""
    return [
        str(found)
        for found in imports
        if package_of(found.importer) == "skitai.wire"
        and found.imported.partition(".")[0] in IMPURE
        and (found.imported, found.part) not in PURE_PARTS
    ]


def circles(imports: list[Import]) -> list[str]:
    """Groups of modules that import each other while they are being imported."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.is_at_top and is_ours(found.imported) and found.imported != found.importer:
            graph.setdefault(found.importer, set()).add(found.imported)
    done: set[str] = set()
    wrong = []

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            wrong.append(" -> ".join([*trail[trail.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return wrong


@pytest.mark.parametrize("rule", [upward, impure, circles])
def test_the_project_keeps_its_layers(rule) -> None:
    assert rule(all_imports(ROOT)) == []


PLANTED = [
    (upward, "skitai.net.pool", "from skitai.hub import server"),
    (upward, "skitai.hub.server", "def late():\n    from ..saddle import app"),
    (upward, "skitai.was._calls", "import skitai"),
    (upward, "skitai.wire.http1", "from ..net.stream import Stream"),
    (upward, "skitai.net.tls", "from skitai import patches"),
    (upward, "skitai.patches._gevent", "from skitai import errors"),
    (impure, "skitai.wire.http1", "import socket"),
    (impure, "skitai.wire.http1", "from gevent import sleep"),
    (impure, "skitai.wire.http1", "def later():\n    import time"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "importer", "source"), PLANTED)
def test_a_planted_violation_is_found(rule, importer: str, source: str) -> None:
    known = set(modules_of(ROOT)) | {importer, "skitai.hub.server", "skitai.saddle.app", "skitai.patches"}
    assert rule(list(imports_of(importer, source, is_package=False, known=known)))


def test_a_planted_circle_is_found() -> None:
    known = {"skitai.hub", "skitai.hub.a", "skitai.hub.b"}
    imports = [
        *imports_of("skitai.hub.a", "from skitai.hub import b", False, known),
        *imports_of("skitai.hub.b", "from .a import name", False, known),
    ]
    assert circles(imports) == ["skitai.hub.a -> skitai.hub.b -> skitai.hub.a"]


def test_what_is_allowed_is_not_reported() -> None:
    known = set(modules_of(ROOT)) | {"skitai.hub.server"}
    source = "from io import BytesIO\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import socket\n"
    assert impure(list(imports_of("skitai.wire.http1", source, False, known))) == []
    down = "from skitai import errors\nfrom ..net import pool\nfrom . import site"
    assert upward(list(imports_of("skitai.hub.server", down, False, known))) == []
