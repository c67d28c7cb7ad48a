"""What ``skitai.mount()`` can be given, and how an app gets from there into a worker.

A mount is resolved in the configuring process, where ``bootstrap(pref)`` of its package runs; its app file is executed
in each worker, so that workers started by SIGHUP run what is in the file then. :mod:`skitai.hub.app_ref` has it from
there on.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from skitai.errors import ConfigurationError
from skitai.hub.app_modules import modules
from skitai.hub.app_ref import AppRef, apply_preference
from skitai.hub.units import Home
from skitai.lib.attributes import Preference

__all__ = ["AppFile", "AppObject", "AppRef", "Cluster", "Directory", "Target", "apply_preference", "resolve"]


@dataclass(frozen=True)
class Directory:
    """Static files."""

    path: Path


@dataclass(frozen=True)
class Cluster:
    """A reverse proxy to the members of an alias."""

    name: str


@dataclass(frozen=True)
class AppObject:
    """A WSGI callable of the running script, used as it is."""

    app: Any

    @property
    def name(self) -> str:
        """What logs call it."""
        return getattr(self.app, "__name__", None) or getattr(self.app, "name", None) or type(self.app).__name__

    def bootstrap(self, pref: Preference) -> None:
        """An object has no package to ask."""

    def home(self) -> Home | None:
        """Where to find the object anew when its module changed, ``None`` when no variable of a module has it."""
        found = self._find()
        if found is None:
            return None
        module, variable = found
        if module.__name__ != "__main__":
            unit = modules.imported_unit(module)
        else:
            # The script itself never runs twice: its file is executed as a module, without its __main__ block.
            unit = modules.unit(Path(os.path.abspath(module.__file__ or "")))
        unit.adopt(module)
        return Home(unit, variable)

    def load(self) -> Any:
        """The app."""
        return self.app

    def _find(self) -> tuple[ModuleType, str] | None:
        """The module and the variable that the object is in."""
        # Saddle has the name of its module as "name", Flask as "import_name", a function as "__module__".
        named = [getattr(self.app, each, None) for each in ("name", "import_name", "__module__")]
        for name in dict.fromkeys((*named, "__main__")):
            module = sys.modules.get(name) if isinstance(name, str) else None
            if module is None or not getattr(module, "__file__", None):
                continue
            for variable, value in list(vars(module).items()):
                if value is self.app:
                    return module, variable
        return None


@dataclass(frozen=True)
class AppFile:
    """An app in a file of its own.

    Attributes:
        path: the file.
        variable: the app's name in it.
        package: the name that its directory can be imported by, inside an installed package.
        copy: see :meth:`~skitai.hub.app_modules.AppModules.claim`.
    """

    path: Path
    variable: str
    package: str | None
    copy: int

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"{self.path}:{self.variable}"

    def bootstrap(self, pref: Preference) -> None:
        """Run ``bootstrap(pref)`` of the ``__init__.py`` beside the file, if there is one.

        Raises:
            Exception: whatever that raises.
        """
        if (self.path.parent / "__init__.py").is_file():
            package = modules.package(self.path.parent, self.copy, self.package)
            bootstrap = getattr(package, "bootstrap", None)
            if bootstrap is not None:
                bootstrap(pref)

    def home(self) -> Home:
        """Where to find the app anew when its file changed."""
        return Home(modules.unit(self.path, self.copy, self.package), self.variable)

    def load(self) -> Any:
        """Execute the file and return its app. Errors as :meth:`~skitai.hub.units.Home.pick`."""
        return self.home().pick()


Target = Directory | Cluster | AppObject | AppFile


def resolve(target: object, app_name: str, base: str) -> Target:
    """Tell what a mount target is.

    Args:
        target: an app object; the path of an app file with or without ``.py``, or of a directory; ``"@alias"``; a
            module that exports an app, or (module, file name); (path, app name).
        app_name: the variable of an app file.
        base: the directory that relative paths start from.

    Raises:
        ConfigurationError: it is none of these, or no such file exists.
    """
    if isinstance(target, str | os.PathLike):
        return _resolve_path(os.fspath(target), app_name, base)
    if isinstance(target, ModuleType):
        return _resolve_export(target, "app.py", app_name)
    if isinstance(target, tuple | list) and len(target) == 2:
        first, second = target
        if isinstance(first, ModuleType):
            return _resolve_export(first, str(second), app_name)
        if isinstance(first, str | os.PathLike):
            return _resolve_path(os.fspath(first), str(second), base)
    if callable(target):
        return AppObject(target)
    raise ConfigurationError(
        f"{target!r} cannot be mounted: give an app, the path of an app file or directory, '@alias', or a module"
    )


def _resolve_path(text: str, app_name: str, base: str) -> Target:
    if text.startswith("@"):
        return Cluster(text[1:])
    # abspath() also takes "..", so that one file has one name.
    path = Path(os.path.abspath(os.path.join(base, text)))
    if path.is_dir():
        return Directory(path)
    file = path if path.suffix == ".py" else path.with_name(path.name + ".py")
    if not file.is_file():
        missing = f"no file {file}" if file == path else f"neither a directory {path} nor a file {file}"
        raise ConfigurationError(f"{text!r} cannot be mounted: there is {missing}")
    return _app_file(file, app_name)


def _resolve_export(module: ModuleType, file_name: str, app_name: str) -> AppFile:
    if module.__file__ is None:
        raise ConfigurationError(f"{module.__name__} cannot be mounted: it has no __init__.py, so it has no directory")
    directory = Path(os.path.abspath(module.__file__)).parent / "export" / "skitai"
    file = directory / (file_name if file_name.endswith(".py") else file_name + ".py")
    if not file.is_file():
        raise ConfigurationError(f"module {module.__name__} cannot be mounted: it exports no app, there is no {file}")
    is_package = hasattr(module, "__path__")
    return _app_file(file, app_name, f"{module.__name__}.export.skitai" if is_package else None)


def _app_file(file: Path, variable: str, package: str | None = None) -> AppFile:
    return AppFile(file, variable, package, modules.claim(file, variable))
