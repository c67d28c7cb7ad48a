"""What ``skitai.mount()`` can be given, and how an app gets from there into a worker.

A mount is resolved in the configuring process, where ``bootstrap(pref)`` of its package runs; its app file is executed
in each worker, so that workers started by SIGHUP run what is in the file then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from skitai.errors import ConfigurationError
from skitai.hub.app_modules import modules
from skitai.hub.pages import HTML, error_page
from skitai.lib.attributes import AttributeDict, Preference
from skitai.net import logs


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

    def load(self) -> Any:
        """The app."""
        return self.app


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

    def load(self) -> Any:
        """Execute the file and return its app.

        Raises:
            Exception: whatever the file raises, or ConfigurationError when it has no such variable.
        """
        module = modules.module(self.path, self.copy, self.package)
        try:
            return getattr(module, self.variable)
        except AttributeError:
            raise ConfigurationError(
                f"{self.path} has no variable {self.variable!r}: name the app of the file, "
                "skitai.mount(mount_point, path, app_name)"
            ) from None


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


class _Loadable(Protocol):
    @property
    def name(self) -> str: ...

    def load(self) -> Any: ...


StartResponse = Callable[..., Any]


class AppRef:
    """A mounted app of a worker.

    Args:
        point: where it is mounted.
        source: where it comes from.
        pref: what to set on it.

    Attributes:
        app: the WSGI callable; before :meth:`load`, and when that failed, one that answers 404.
        is_loaded: whether ``app`` is the real one.
    """

    def __init__(self, point: str, source: _Loadable, pref: Preference | None) -> None:
        self.point = point
        self.name = source.name
        self.app: Any = _answer_not_found
        self.is_loaded = False
        self._source = source
        self._pref = pref

    def __repr__(self) -> str:
        return f"<AppRef {self.name} at {self.point} {'loaded' if self.is_loaded else 'not loaded'}>"

    @property
    def debug(self) -> bool:
        """Whether the app asks for error pages with tracebacks."""
        return bool(getattr(self.app, "debug", False))

    def load(self, log: logs.Logger) -> bool:
        """Import the app and apply its preferences. A failure is logged, and the server goes on without the app.

        Args:
            log: the app log.

        Returns:
            Whether that worked.
        """
        try:
            app = self._source.load()
            if not callable(app):
                raise ConfigurationError(f"{self.name} is not callable, so it is no WSGI app")
            if self._pref is not None:
                apply_preference(app, self._pref)
        except (Exception, SystemExit) as error:
            log.traceback(error=error)
            log.log(f"application load failed: {self.name}", "error")
            return False
        self.app = app
        self.is_loaded = True
        log.log(f"application {self.point} imported.")
        return True


def apply_preference(app: Any, pref: Mapping[str, Any]) -> None:
    """Set every attribute of ``pref`` on an app, and merge ``pref.config`` into its ``config``.

    Args:
        app: any object that takes attributes.
        pref: what to override.

    Raises:
        AttributeError: the app does not take attributes.
    """
    for name, value in pref.items():
        if name != "config":
            setattr(app, name, value)
    entries = pref.get("config")
    if not entries:
        return
    config = getattr(app, "config", None)
    if config is None:
        app.config = config = AttributeDict()
    config.update(entries)


def _answer_not_found(environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    body = error_page(404)
    start_response("404 Not Found", [*HTML, ("Content-Length", str(len(body)))])
    return [body]
