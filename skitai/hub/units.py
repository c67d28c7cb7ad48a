"""What is reloaded together: the file of an app, the modules in its package directories, and those of its parts.

When one of the files changes, all of these modules are taken out of ``sys.modules`` and the app file is executed anew,
which imports them again. So none of them keeps a function or class of another one's former version, in whatever order
they import each other. When that fails, the former modules are put back as if nothing had been tried.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from skitai.errors import ConfigurationError
from skitai.hub.watch import Watch

#: Directories beside an app file whose modules are watched without being named by the app.
PACKAGES: Final = ("package", "contrib", "appack")
#: Seconds between two looks at the files.
INTERVAL: Final = 1.0


class Unit:
    """An app file with what is reloaded along with it. Apps of one file share it.

    Args:
        path: the app file.
        execute: executes it as a module that is not in ``sys.modules``, and returns that.
        clock: monotonic seconds.

    Attributes:
        module: of the file as it was last executed, ``None`` before :meth:`load`.
        version: grows by one with every execution that worked.
    """

    def __init__(self, path: Path, execute: Callable[[], ModuleType], clock: Callable[[], float] = time.monotonic):
        self.path = path
        self.module: ModuleType | None = None
        self.version = 0
        self._execute = execute
        self._clock = clock
        self._watch = Watch()
        self._directories: set[str] = set()
        self._files: set[str] = set()
        # While the file cannot be executed: files that the error names; else None.
        self._suspects: set[str] | None = None
        self._next_look = 0.0
        self._add_directories(PACKAGES)

    def __repr__(self) -> str:
        return f"<Unit {self.path} version {self.version}{'' if self._suspects is None else ' broken'}>"

    # Loading

    def load(self) -> ModuleType:
        """The module, executed now when it never was.

        Raises:
            BaseException: whatever the file raises.
        """
        if self.module is None:
            self._watch.note([str(self.path)])
            self.module = self._attempt()
        return self.module

    def adopt(self, module: ModuleType) -> None:
        """Start from a module that was executed by somebody else."""
        if self.module is None:
            self._watch.note([str(self.path)])
            self.module = module

    # Reloading

    def watch(self, names: Iterable[str], modules: Iterable[ModuleType]) -> None:
        """Reload more along with the file.

        Args:
            names: of directories beside it.
            modules: one that is a package counts with all below it.
        """
        self._add_directories(names)
        for module in modules:
            file = _file_of(module)
            if file is None:
                continue
            self._files.add(file)
            if hasattr(module, "__path__"):
                self._directories.add(os.path.dirname(file) + os.sep)
        self._watch.settle(self._watched_files())

    def _add_directories(self, names: Iterable[str]) -> None:
        self._directories.update(str(self.path.parent / name) + os.sep for name in names)

    @property
    def is_due(self) -> bool:
        """Whether the files were not looked at for a second."""
        return self._clock() >= self._next_look

    def refresh(self) -> list[str]:
        """Execute the file again when it, or something watched, changed.

        Returns:
            The files that changed; none when nothing was done.

        Raises:
            BaseException: whatever the file raises; then :attr:`module` stays, and the next change is waited for.
        """
        if not self.is_due:
            return []
        try:
            changed = self._watch.changed(self._watched_files(), self._suspects is not None)
            if changed:
                self._replace(changed)
            return changed
        finally:
            self._next_look = self._clock() + INTERVAL

    def _replace(self, changed: list[str]) -> None:
        for file in changed:
            _forget_bytecode(file)
        importlib.invalidate_caches()
        former = self._modules()
        _take_out(former)
        try:
            self.module = self._attempt()
        except BaseException:
            _take_out(self._modules())
            _put_back(former)
            raise

    def _attempt(self) -> ModuleType:
        try:
            module = self._execute()
        except BaseException as error:
            self._suspects = set(_files_of_error(error, self.path.parent))
            self._watch.note(self._watched_files())
            raise
        self._suspects = None
        self.version += 1
        return module

    # What belongs to it

    def _modules(self) -> dict[str, ModuleType]:
        """All modules that are reloaded, by name, that of the file included."""
        return {name: module for name, module in list(sys.modules.items()) if self._has(name, module)}

    def _has(self, name: str, module: ModuleType) -> bool:
        # The script is what the process runs, and we are what reloads.
        if name == "__main__" or name.partition(".")[0] == "skitai":
            return module is self.module and name != "__main__"
        if module is self.module:
            return True
        file = _file_of(module)
        return file is not None and (file in self._files or file.startswith(tuple(self._directories)))

    def _watched_files(self) -> set[str]:
        files = {_file_of(module) for module in self._modules().values()}
        found = {file for file in files if file is not None and file.endswith(".py")} | {str(self.path)}
        if self._suspects is not None:
            # What is to be mended may be a module that could not be imported, or one that is missing.
            found.update(self._suspects, _files_below(self._directories))
        return found


@dataclass(frozen=True)
class Home:
    """Where an app is: a variable of the module of a unit."""

    unit: Unit
    variable: str

    def pick(self) -> Any:
        """The app of the module as it was last executed; executed now when it never was.

        Raises:
            ConfigurationError: the module has no such variable.
            Exception: whatever the file raises.
        """
        module = self.unit.load()
        try:
            return getattr(module, self.variable)
        except AttributeError:
            raise ConfigurationError(
                f"{self.unit.path} has no variable {self.variable!r}: name the app of the file, "
                "skitai.mount(mount_point, path, app_name)"
            ) from None


def _file_of(module: object) -> str | None:
    """The file of a module, or the directory of a package without ``__init__.py``, with its slash."""
    # Not getattr(): modules that import lazily would begin to do so.
    names = getattr(module, "__dict__", {})
    file = names.get("__file__")
    if isinstance(file, str):
        return os.path.abspath(file)
    try:
        directory = next(iter(names.get("__path__") or ()), None)
    except Exception:  # a path that is computed may fail, and says nothing then
        return None
    return os.path.join(os.path.abspath(directory), "") if isinstance(directory, str) else None


def _take_out(modules: dict[str, ModuleType]) -> None:
    for name, module in modules.items():
        sys.modules.pop(name, None)
        parent, child = _place(name)
        # "from . import part" takes the attribute of the package before it looks for a module.
        if parent is not None and vars(parent).get(child) is module:
            delattr(parent, child)


def _put_back(modules: dict[str, ModuleType]) -> None:
    sys.modules.update(modules)
    for name, module in modules.items():
        parent, child = _place(name)
        if parent is not None:
            setattr(parent, child, module)


def _place(name: str) -> tuple[ModuleType | None, str]:
    outer, _, child = name.rpartition(".")
    return sys.modules.get(outer), child


def _forget_bytecode(file: str) -> None:
    """Python takes a cached file for current when date (in seconds) and size agree, as after two quick edits."""
    with suppress(OSError, NotImplementedError):
        os.unlink(importlib.util.cache_from_source(file))


def _files_below(directories: Iterable[str]) -> Iterator[str]:
    for directory in directories:
        yield from map(str, Path(directory).rglob("*.py"))


def _files_of_error(error: BaseException, home: Path) -> Iterator[str]:
    """Files of the app that are named by an error."""
    found = [getattr(error, "filename", None)]
    trace = error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    for file in found:
        if isinstance(file, str) and file.endswith(".py") and Path(file).is_relative_to(home):
            yield file
