"""App files as modules: each under a name of its own, with helper modules that no other app sees.

Many apps are called ``app`` in a file ``app.py``, and many have a helper package of the same name beside it. Under
their plain names the second of each would get the first one's modules. So the directory of an app file becomes a
package with a private name, its ``__path__`` the directory: ``app.py`` is a module of it, and so is every helper, which
makes ``from . import admin`` work even without an ``__init__.py``.

``import helper`` in such a module means the ``helper.py`` beside it, also inside a function and long after loading.
That is done by the modules' own ``__builtins__``, whose ``__import__`` looks in the app's directory first; code outside
the app never sees it. Where a plain import finds the very same file, as in the directory of the run script, the module
keeps its plain name, and the script and the app share it.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from skitai.errors import AlreadyRunning
from skitai.hub.units import Unit

PREFIX: Final = "skitai_app_"


class AppModules:
    """The modules of all app files that a process has mounted."""

    def __init__(self) -> None:
        self._claims: Counter[tuple[Path, str]] = Counter()
        self._packages: dict[tuple[Path, int], str] = {}
        self._units: dict[tuple[Path, int] | str, Unit] = {}

    def claim(self, path: Path, variable: str) -> int:
        """Tell which copy of a file a new mount uses.

        Different variables of a file share its module. The same variable mounted twice is two apps, because an app
        knows its mount point and has its own preferences.

        Args:
            path: the app file.
            variable: the name of the app in it.

        Returns:
            0 for the first mount of the variable, 1 for the second, and so on.
        """
        copy = self._claims[path, variable]
        self._claims[path, variable] += 1
        return copy

    def package(self, directory: Path, copy: int = 0, natural: str | None = None) -> ModuleType:
        """The package that a directory of app files is, executing its ``__init__.py`` the first time.

        Args:
            directory: where the app file is.
            copy: from :meth:`claim`.
            natural: the name that the directory can be imported by, for apps inside an installed package.

        Raises:
            Exception: whatever the ``__init__.py`` raises.
        """
        key = directory, copy
        if key not in self._packages:
            is_natural = natural is not None and copy == 0
            name = natural if natural and is_natural else f"{PREFIX}{len(self._packages) + 1}_{_slug(directory.name)}"
            if is_natural:
                importlib.import_module(name)
            else:
                _make_package(name, directory)
            self._packages[key] = name
            _append_to_path(directory)
        return sys.modules[self._packages[key]]

    def module(self, path: Path, copy: int = 0, natural: str | None = None) -> ModuleType:
        """The module of an app file, executing it the first time.

        Raises:
            Exception: whatever the file raises.
        """
        package = self.package(path.parent, copy, natural)
        name = f"{package.__name__}.{path.stem.replace('.', '_')}"
        if name not in sys.modules:
            loader = _loader_for(name, str(path))
            spec = importlib.util.spec_from_file_location(name, path, loader=loader)
            if spec is None:
                raise ImportError(f"{path} is no Python file")
            setattr(package, path.stem, _execute(spec))
        return sys.modules[name]

    def unit(self, path: Path, copy: int = 0, natural: str | None = None) -> Unit:
        """What is reloaded along with an app file; it executes the file as :meth:`module` does."""
        key = path, copy
        if key not in self._units:
            self._units[key] = Unit(path, lambda: self.module(path, copy, natural))
        return self._units[key]

    def imported_unit(self, module: ModuleType) -> Unit:
        """The same for a module that was imported by its plain name."""
        name = module.__name__
        if name not in self._units:
            path = Path(os.path.abspath(module.__file__ or ""))
            self._units[name] = Unit(path, lambda: importlib.import_module(name))
        return self._units[name]


modules: Final = AppModules()


class _AppFinder(MetaPathFinder):
    """Finds the modules below our packages as the system would, with a loader that gives them the private import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _loader_for(fullname, spec.origin)
        return spec


class _AppLoader(SourceFileLoader):
    """Executes a module with the import function of its app."""

    def __init__(self, name: str, path: str, importer: _AppImport) -> None:
        super().__init__(name, path)
        self._importer = importer

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._importer}
        super().exec_module(module)


class _AppImport:
    """``__import__`` as the modules of one app see it."""

    def __init__(self, package: str, directory: str) -> None:
        self._package = package
        self._directory = directory
        self._is_own: dict[str, bool] = {}

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not self._has(top):
            return __import__(name, globals, locals, fromlist or (), level)
        module = __import__(f"{self._package}.{name}", globals, locals, fromlist or ("__name__",), 0)
        return module if fromlist else sys.modules[f"{self._package}.{top}"]

    def _has(self, top: str) -> bool:
        is_own = self._is_own.get(top)
        if is_own is None:
            is_own = self._is_own[top] = self._look(top)
        return is_own

    def _look(self, top: str) -> bool:
        own = PathFinder.find_spec(top, [self._directory])
        if own is None:
            return False
        plain = _plain_spec(top)
        if own.loader is None:
            # A directory without __init__.py counts only when nothing else has the name, as always in Python.
            return plain is None
        return plain is None or plain.origin is None or not _is_same(plain.origin, own.origin)


_importers: dict[str, _AppImport] = {}
# Directories that we added to sys.path.
_added: set[str] = set()


def _plain_spec(top: str) -> ModuleSpec | None:
    """What a plain import of a top-level module finds, leaving out the directories that we added."""
    if top in sys.modules:
        return sys.modules[top].__spec__
    public = [entry for entry in sys.path if entry not in _added]
    for finder in sys.meta_path:
        spec = PathFinder.find_spec(top, public) if finder is PathFinder else finder.find_spec(top, None)
        if spec is not None:
            return spec
    return None


def _is_same(one: str, other: str | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)


def _append_to_path(directory: Path) -> None:
    """Let ``importlib.import_module("helper")`` find it, last, so that it shadows nothing."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
        _added.add(str(directory))


def _loader_for(name: str, path: str) -> SourceFileLoader:
    importer = _importers.get(name.partition(".")[0])
    return SourceFileLoader(name, path) if importer is None else _AppLoader(name, path, importer)


def _make_package(name: str, directory: Path) -> None:
    if not any(isinstance(finder, _AppFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AppFinder())
    _importers[name] = _AppImport(name, str(directory))
    init = directory / "__init__.py"
    loader = _loader_for(name, str(init)) if init.is_file() else None
    spec = ModuleSpec(name, loader, origin=str(init) if loader else None, is_package=True)
    spec.submodule_search_locations = [str(directory)]
    spec.has_location = loader is not None
    _execute(spec)


def _execute(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if spec.loader is not None:
        try:
            spec.loader.exec_module(module)
        except AlreadyRunning:
            # The file is a script without a __main__ block. What follows its skitai.run() would never have been run.
            return module
        except BaseException:
            del sys.modules[spec.name]
            raise
    return module


def _slug(name: str) -> str:
    return re.sub(r"\W", "_", name) or "root"
