"""``python -m skitai script.py``: make the process cooperative, then run the script as ``__main__``."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType

from skitai import process
from skitai.configuration import is_true, store
from skitai.constants import NAME
from skitai.errors import ConfigurationError

USAGE = """\
usage: python -m skitai script.py [arguments]
       python -m skitai -m module [arguments]
       python -m skitai routes script.py [arguments]

Runs a script that calls skitai.run(), or any other program, in a cooperative process.
Arguments that skitai.run() reads: start, stop, restart (or -d, -s, -r), -f (restart after a crash),
-v (log to the console as well as to files).
"routes" lists what the script serves, and serves nothing. "skitai" is short for "python -m skitai".
Environment: SKITAI_NO_PATCH=1 serves without patching.
"""


def main() -> int:
    """Run the program that the command line names.

    Returns:
        0, or 2 when nothing can be run; the program itself ends with ``sys.exit()``.
    """
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(USAGE)
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        sys.stdout.write(f"{NAME}\n")
        return 0
    process.forget_replacement()
    if not is_true(process.NO_PATCH):
        from skitai.patches import LatePatching, apply

        try:
            apply()
        except LatePatching as error:
            return _complain(str(error))
    try:
        _program(arguments)()
    except ConfigurationError as error:
        return _complain(f"{_where(error)}{error}")
    return 0


def _program(arguments: Sequence[str]) -> Callable[[], object]:
    first, *rest = arguments
    if first in ("-m", "-c") and not rest:
        raise ConfigurationError(f"{first} needs a value: see python -m skitai --help")
    if first == "routes":
        return _listing(rest)
    if first == "-m":
        return lambda: _run_module(rest[0], rest)
    if first == "-c":
        return lambda: _run_text(rest[0], ["-c", *rest[1:]])
    return lambda: _run_script(first, list(arguments))


def _listing(arguments: list[str]) -> Callable[[], object]:
    if not arguments:
        raise ConfigurationError("routes needs a script: skitai routes app.py")
    from skitai.route_listing import write_listing

    return lambda: write_listing(lambda: _run_script(arguments[0], arguments), arguments[0])


def _run_script(path: str, argv: list[str]) -> None:
    if os.path.isdir(path):
        # A directory or an archive with a __main__.py.
        _enter(argv)
        runpy.run_path(path, run_name="__main__")
        return
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ConfigurationError(f"cannot run {path}: {error.strerror}") from error
    _enter(argv)
    _replace_path(os.path.dirname(os.path.realpath(path)))
    loader = importlib.machinery.SourceFileLoader("__main__", os.path.abspath(path))
    # The script has its own opinion on postponed annotations, not that of this file.
    _execute(compile(source, os.path.abspath(path), "exec", dont_inherit=True), os.path.abspath(path), loader)


def _run_module(name: str, argv: list[str]) -> None:
    _replace_path(os.getcwd())
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"there is no module {name} that can be run")
    _enter([spec.origin, *argv[1:]])
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_text(text: str, argv: list[str]) -> None:
    _enter(argv)
    _replace_path("")
    _execute(compile(text, "<string>", "exec", dont_inherit=True), None, None)


def _enter(argv: list[str]) -> None:
    sys.argv[:] = argv
    store.set_script("" if argv[0] == "-c" else argv[0])


def _replace_path(directory: str) -> None:
    """Put the script's directory where the interpreter puts it, in place of our own start directory."""
    if not sys.flags.safe_path:
        sys.path[0] = directory


def _execute(code: object, path: str | None, loader: importlib.machinery.SourceFileLoader | None) -> None:
    """Run code in a new ``__main__`` that stays, so that pickle, Flask and others find it."""
    main_module = ModuleType("__main__")
    main_module.__loader__ = loader
    main_module.__dict__["__builtins__"] = __builtins__
    if path is not None:
        main_module.__file__ = path
    sys.modules["__main__"] = main_module
    exec(code, main_module.__dict__)  # type: ignore[arg-type]  # noqa: S102


def _where(error: ConfigurationError) -> str:
    """The line of the script that the error came from."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


def _complain(text: str) -> int:
    sys.stderr.write(f"skitai: {text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
