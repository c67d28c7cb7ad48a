"""The command line of a run script: ``python app.py [start | stop | restart] [-d] [-s] [-r] [-f] [-v]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

START, STOP, RESTART, FOREGROUND = "start", "stop", "restart", ""


@dataclass(frozen=True)
class Command:
    """What the command line asks for.

    Attributes:
        action: ``"start"`` in the background, ``"stop"``, ``"restart"``, or ``""`` to run in the foreground.
        is_fail_safe: restart the server when it crashes.
        is_verbose: log to the console as well as to ``logpath``.
    """

    action: str = FOREGROUND
    is_fail_safe: bool = False
    is_verbose: bool = False


_LETTERS: Final[dict[str, dict[str, str | bool]]] = {
    "d": {"action": START},
    "s": {"action": STOP},
    "r": {"action": RESTART},
    "f": {"is_fail_safe": True},
    "v": {"is_verbose": True},
}
_WORDS: Final = {START, STOP, RESTART}


def parse(arguments: Sequence[str]) -> Command:
    """Read the arguments of a run script.

    What is not ours is ignored, so that a script may have options of its own: a word right behind an unknown option
    is taken for its value, and everything behind ``--`` is the script's.

    Args:
        arguments: without the script's name.
    """
    command = Command()
    is_value = False
    for argument in arguments:
        if argument == "--":
            break
        letters = argument[1:] if argument.startswith("-") and not argument.startswith("--") else ""
        if letters and all(letter in _LETTERS for letter in letters):
            for letter in letters:
                command = replace(command, **_LETTERS[letter])  # type: ignore[arg-type]
            is_value = False
        elif argument in _WORDS and not is_value:
            command = replace(command, action=argument)
        else:
            is_value = argument.startswith("-") and "=" not in argument
    return command
