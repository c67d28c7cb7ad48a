"""Whether this process is cooperative, and starting it anew when it is not.

gevent can only patch a process before its modules are imported, but scripts import Flask and drivers first and Skitai
last. So ``skitai.run()`` in an unpatched process replaces it by ``python -m skitai`` with the same script and
arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from skitai.configuration import is_true
from skitai.errors import ConfigurationError

# Serve without patching: for debuggers that patching would break.
NO_PATCH = "SKITAI_NO_PATCH"
# Set while a process is replaced, so that one that stays unpatched cannot replace itself for ever.
_REPLACED = "SKITAI_REPLACED"

# Letters of interpreter options that take a value, which may be glued to them.
_WITH_VALUE = "WX"
_LONG_WITH_VALUE = {"--check-hash-based-pycs"}


def is_final() -> bool:
    """Whether this process is the one that will serve: it is patched, or shall not be."""
    return is_true(NO_PATCH) or is_patched()


def is_patched() -> bool:
    """Whether gevent patched this process."""
    if "gevent.monkey" not in sys.modules:
        return False
    from skitai.patches import is_applied

    return bool(is_applied())


def forget_replacement() -> None:
    """Called by ``python -m skitai``: programs that the script starts have nothing to do with our own start."""
    os.environ.pop(_REPLACED, None)


def replace() -> NoReturn:
    """Replace this process by one that patches first and then runs the same script.

    Raises:
        ConfigurationError: there is no script to run again, or running it that way did not patch.
    """
    if is_true(_REPLACED):
        raise ConfigurationError("this process could not be made cooperative: start the script as python -m skitai")
    command = command_line(sys.orig_argv, _script())
    os.environ[_REPLACED] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, command)


def command_line(original: Sequence[str], script: str | None) -> list[str]:
    """The command line that runs the same program under ``-m skitai``.

    Args:
        original: of the interpreter, as in ``sys.orig_argv``.
        script: the absolute path of the script, because the program may have changed its directory since; None when
            it is not a file.

    Raises:
        ConfigurationError: the program was typed in or piped in.
    """
    options, program = split_command_line(original)
    if not program or program[0] == "-":
        raise ConfigurationError("skitai.run() needs a script: write it to a file and run python -m skitai file.py")
    if script is not None and program[0] not in ("-m", "-c"):
        program = [script, *program[1:]]
    return [sys.executable, *options, "-m", "skitai", *program]


def split_command_line(original: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the interpreter's command line into its options, and the program (``-m``, ``-c``, script) with arguments.

    See https://docs.python.org/3/using/cmdline.html.
    """
    options: list[str] = []
    rest = list(original[1:])
    while rest and rest[0].startswith("-") and rest[0] != "-":
        argument = rest.pop(0)
        if argument in _LONG_WITH_VALUE:
            options += [argument, rest.pop(0)]
        elif argument.startswith("--"):
            options.append(argument)
        else:
            ended = _take_letters(argument, rest, options)
            if ended is not None:
                return options, ended
    return options, rest


def _take_letters(argument: str, rest: list[str], options: list[str]) -> list[str] | None:
    """Read a cluster such as ``-uWerror``; return the program when it ends with ``-m`` or ``-c``."""
    for position, letter in enumerate(argument[1:], 1):
        if letter in "mc":
            if position > 1:
                options.append(argument[:position])
            glued = argument[position + 1 :]
            return [f"-{letter}", *([glued] if glued else []), *rest]
        if letter in _WITH_VALUE:
            options.append(argument)
            if position == len(argument) - 1:
                options.append(rest.pop(0))
            return None
    options.append(argument)
    return None


def _script() -> str | None:
    main: Any = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return os.path.abspath(path) if path else None
