"""``skitai routes app.py``: what a script serves where, without serving it.

The script runs as always, up to its ``skitai.run()``; what is mounted then is listed. An app file that runs nothing is
listed by itself.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from skitai.configuration import Options, store
from skitai.errors import ConfigurationError
from skitai.hub.app_modules import PREFIX, modules
from skitai.hub.app_ref import AppRef, is_native
from skitai.hub.loader import Cluster, Directory
from skitai.hub.site import DEFAULT_HOST
from skitai.mounting import Mount
from skitai.net import logs
from skitai.wire.mounts import normal_point


class Line(NamedTuple):
    """One line of the listing."""

    methods: str
    rule: str
    target: str


class _Reached(BaseException):
    """The script has come to its ``skitai.run()``."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options


def write_listing(run: Callable[[], object], path: str) -> None:
    """Run a script and print what it serves.

    Args:
        run: runs it as ``__main__``. path: of it.

    Raises:
        ConfigurationError: an app cannot be loaded, or there is none.
        BaseException: whatever the script raises.
    """
    store.instead = _stop
    try:
        run()
        lines = _found_lines(sys.modules["__main__"], path)
    except _Reached as reached:
        # As skitai.run() does, for what the apps look for.
        os.chdir(store.directory or os.curdir)
        lines = [line for mount in reached.options.mount for line in _mounted(mount)]
    except ImportError as error:
        if "attempted relative import" not in str(error):
            raise
        # An app file of several modules is no script, but it can be mounted.
        lines = _found_lines(modules.module(Path(os.path.abspath(path))), path)
    finally:
        store.instead = None
    sys.stdout.write(_table(lines))


def _stop(options: Options) -> NoReturn:
    raise _Reached(options)


def _found_lines(module: ModuleType, path: str) -> list[Line]:
    apps = {id(value): value for value in vars(module).values() if _has_routes(value)}
    if not apps:
        raise ConfigurationError(f"{path} neither calls skitai.run() nor has an app whose routes can be listed")
    return [line for app in apps.values() for line in _app_lines(app, "", "")]


def _mounted(mount: Mount) -> Iterator[Line]:
    host = "" if mount.host == DEFAULT_HOST else mount.host
    point = normal_point(mount.point)
    if isinstance(mount.target, Directory):
        yield Line("GET, HEAD", f"{host}{point}/", f"files of {mount.target.path}")
    elif isinstance(mount.target, Cluster):
        yield Line("*", f"{host}{point}/", f"@{mount.target.name}")
    else:
        ref = AppRef(mount.point, mount.target, mount.pref)
        # Standard output is for the listing.
        file = logs.LogFile(sink=_to_stderr)
        is_loaded = ref.load(logs.Logger(file))
        file.flush()
        if not is_loaded:
            raise ConfigurationError(f"{ref.name} cannot be loaded: see the traceback above")
        yield from _app_lines(ref.app, host, point)


def _to_stderr(data: bytes) -> None:
    sys.stderr.write(data.decode())


def _app_lines(app: Any, host: str, point: str) -> Iterator[Line]:
    if _is_saddle(app):
        for route in app.all_routes():
            methods = ", ".join(sorted(route.methods)) or "*"
            target = f"{_module_of(route.function)}{route.name}{_arguments(route.function)}"
            if route.content_types:
                target += f" of {', '.join(sorted(route.content_types))}"
            yield Line(methods, f"{host}{point}{route.rule.text}", target)
    elif _is_flask(app):
        for rule in app.url_map.iter_rules():
            yield Line(", ".join(sorted(rule.methods or "*")), f"{host}{point}{rule.rule}", rule.endpoint)
    else:
        yield Line("*", f"{host}{point}/", f"{getattr(app, '__name__', type(app).__name__)}, a WSGI app")


def _has_routes(thing: Any) -> bool:
    return not isinstance(thing, type) and (_is_saddle(thing) or _is_flask(thing))


def _is_saddle(app: Any) -> bool:
    return is_native(app) and callable(getattr(app, "all_routes", None))


def _is_flask(app: Any) -> bool:
    return callable(getattr(getattr(app, "url_map", None), "iter_rules", None))


def _module_of(function: Any) -> str:
    """The module as the app imports it, with its dot."""
    name: str = function.__module__
    if name.startswith(PREFIX):
        name = name.partition(".")[2]
    return "" if name == "__main__" else f"{name}."


def _arguments(function: Any) -> str:
    """The arguments as they are written, without ``was``."""
    signature = inspect.signature(function)
    return str(signature.replace(parameters=list(signature.parameters.values())[1:]))


def _table(lines: Iterable[Line]) -> str:
    """Columns as wide as what is in them, the last one as it comes."""
    rows = [Line("METHODS", "RULE", "FUNCTION"), *lines]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "".join(f"{row.methods:<{widths[0]}}  {row.rule:<{widths[1]}}  {row.target}".rstrip() + "\n" for row in rows)
