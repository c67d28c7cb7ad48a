"""The command line of a run script."""

import pytest

from skitai.cli import Command, parse

CASES = [
    ("", Command()),
    ("-v", Command(is_verbose=True)),
    ("start", Command("start")),
    ("-d", Command("start")),
    ("stop", Command("stop")),
    ("-s", Command("stop")),
    ("restart", Command("restart")),
    ("-r", Command("restart")),
    ("-f", Command(is_fail_safe=True)),
    ("-fv", Command(is_fail_safe=True, is_verbose=True)),
    ("-v start", Command("start", is_verbose=True)),
    ("start -f", Command("start", is_fail_safe=True)),
]
FOREIGN = [
    ("--config x.ini", Command()),
    ("--config x.ini -v", Command(is_verbose=True)),
    ("--config=x.ini start", Command("start")),
    ("--name start", Command()),
    ("-n stop", Command()),
    ("-p8080 hello", Command()),
    ("-vx", Command()),
    ("-- start -v", Command()),
    ("--verbose", Command()),
    ("-", Command()),
]


@pytest.mark.parametrize(("line", "command"), CASES)
def test_our_arguments(line: str, command: Command) -> None:
    assert parse(line.split()) == command


@pytest.mark.row("CLI-08")
@pytest.mark.parametrize(("line", "command"), FOREIGN)
def test_arguments_of_the_script_are_left_alone(line: str, command: Command) -> None:
    assert parse(line.split()) == command
