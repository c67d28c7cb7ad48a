"""Run a function right after a module was imported, without importing it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType


def after(name: str, function: Callable[[], None]) -> None:
    """Call ``function`` once, when ``name`` has been imported and before its importer goes on.

    Args:
        name: a module's full name.
        function: what to run; an exception of it fails the import.
    """
    sys.meta_path.insert(0, _Watch(name, function))


class _Watch(importlib.abc.MetaPathFinder):
    """Finds nothing itself: for one name it wraps the loader that the other finders return."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self._name = name
        self._function = function

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        # Out of the way first: find_spec() below asks every finder, this one too.
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            return None
        spec.loader = _Loader(spec.loader, self._function)
        return spec


class _Loader(importlib.abc.Loader):
    """Executes a module by its own loader, then runs the function."""

    def __init__(self, loader: importlib.abc.Loader, function: Callable[[], None]) -> None:
        self._loader = loader
        self._function = function

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Hidden again before the module runs, so that pkgutil, inspect and resources see the real loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._function()
