"""How an unpatched process replaces itself, and what ``python -m skitai`` runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from skitai.errors import ConfigurationError
from skitai.process import command_line, split_command_line
from tests.scripts import PATIENCE, clean_environment

LINES = [
    ("python app.py start -v", [], ["app.py", "start", "-v"]),
    ("python -u -X dev app.py", ["-u", "-X", "dev"], ["app.py"]),
    ("python -Xdev -W error -bb app.py -u", ["-Xdev", "-W", "error", "-bb"], ["app.py", "-u"]),
    ("python -uWerror app.py", ["-uWerror"], ["app.py"]),
    ("python -uW error app.py", ["-uW", "error"], ["app.py"]),
    ("python -m pkg.app a b", [], ["-m", "pkg.app", "a", "b"]),
    ("python -um pkg.app a", ["-u"], ["-m", "pkg.app", "a"]),
    ("python -mpkg.app a", [], ["-m", "pkg.app", "a"]),
    ("python -Im pkg.app", ["-I"], ["-m", "pkg.app"]),
    ("python -c pass x", [], ["-c", "pass", "x"]),
    ("python --check-hash-based-pycs never app.py", ["--check-hash-based-pycs", "never"], ["app.py"]),
    ("python -", [], ["-"]),
    ("python", [], []),
]


@pytest.mark.parametrize(("line", "options", "program"), LINES)
def test_options_of_the_interpreter_are_told_from_the_program(line, options, program) -> None:
    assert split_command_line(line.split()) == (options, program)


def test_the_script_is_named_by_its_whole_path() -> None:
    assert command_line(["python", "-u", "app.py", "x"], "/srv/app.py") == [
        sys.executable, "-u", "-m", "skitai", "/srv/app.py", "x",
    ]  # fmt: skip
    assert command_line(["python", "-m", "pkg", "x"], "/srv/pkg/__main__.py")[1:] == ["-m", "skitai", "-m", "pkg", "x"]


@pytest.mark.parametrize("line", [["python"], ["python", "-"], ["python", "-i"]])
def test_what_was_typed_in_cannot_run_again(line) -> None:
    with pytest.raises(ConfigurationError, match=r"needs a script: write it to a file"):
        command_line(line, None)


def run(*arguments: str, text: str | None = None, cwd=None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env={**clean_environment(), **env},
        check=False,
    )


SEEN = (
    "import sys, __main__, gevent.monkey\n"
    "print(sys.argv, __name__, __main__.__dict__ is globals(), globals().get('__file__'), repr(sys.path[0]),"
    " gevent.monkey.is_module_patched('socket'))\n"
)


def test_a_script_sees_what_it_sees_under_plain_python(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "app.py").write_text(SEEN)
    plain = run("sub/app.py", "a", cwd=tmp_path).stdout
    assert plain.endswith("False\n")
    assert run("-m", "skitai", "sub/app.py", "a", cwd=tmp_path).stdout == plain.replace("False\n", "True\n")


def test_a_module_sees_what_it_sees_under_plain_python(tmp_path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "__main__.py").write_text(SEEN)
    plain = run("-m", "pkg", "a", cwd=tmp_path).stdout
    assert plain.endswith("False\n")
    assert run("-m", "skitai", "-m", "pkg", "a", cwd=tmp_path).stdout == plain.replace("False\n", "True\n")


def test_a_text_runs_as_well() -> None:
    plain = run("-c", SEEN, "a").stdout
    assert run("-m", "skitai", "-c", SEEN, "a").stdout == plain.replace("False\n", "True\n")


def test_a_directory_with_a_main_runs_as_well(tmp_path) -> None:
    (tmp_path / "__main__.py").write_text("import sys\nprint('ran', sys.argv[1:])\n")
    assert run("-m", "skitai", str(tmp_path), "a").stdout == "ran ['a']\n"


def test_the_exit_code_of_a_script_is_kept(tmp_path) -> None:
    (tmp_path / "app.py").write_text("import sys\nsys.exit(7)\n")
    assert run("-m", "skitai", str(tmp_path / "app.py")).returncode == 7


def test_an_error_of_a_script_keeps_its_traceback(tmp_path) -> None:
    (tmp_path / "app.py").write_text("one = 1\none / 0\n")
    result = run("-m", "skitai", str(tmp_path / "app.py"))
    assert result.returncode == 1
    assert 'app.py", line 2, in <module>' in result.stderr
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--version"], 0, "Skitai/"),
        (["--help"], 0, "usage: python -m skitai script.py"),
        ([], 2, "usage: python -m skitai script.py"),
        (["nowhere.py"], 2, "cannot run nowhere.py: No such file or directory"),
        (["-m", "no_such_module"], 2, "there is no module no_such_module"),
        (["-m"], 2, "-m needs a value"),
    ],
)
def test_the_command_itself(arguments: list[str], code: int, text: str) -> None:
    result = run("-m", "skitai", *arguments)
    assert result.returncode == code
    assert text in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_script_that_is_piped_in_is_told_what_to_do() -> None:
    result = run("-", text="import skitai\nskitai.run()\n")
    assert result.returncode == 1
    assert "write it to a file and run python -m skitai file.py" in result.stderr


def test_a_program_that_the_script_starts_is_started_anew(tmp_path) -> None:
    """The guard against endless replacing is not inherited."""
    (tmp_path / "inner.py").write_text(
        "import skitai\nskitai.mount('/', print)\nskitai.run(address='no.such.host.invalid')\n"
    )
    (tmp_path / "outer.py").write_text(
        "import subprocess, sys, skitai\n"
        "def app(env, start_response):\n    pass\n"
        "import os\nif 'gevent.monkey' in sys.modules:\n"
        "    print(subprocess.run([sys.executable, 'inner.py'], capture_output=True, text=True).stderr)\n"
        "skitai.mount('/', app)\nskitai.run(address='no.such.host.invalid')\n"
    )
    result = run(str(tmp_path / "outer.py"), cwd=tmp_path)
    assert "'no.such.host.invalid' has no address" in result.stdout
    assert "'no.such.host.invalid' has no address" in result.stderr


def test_a_script_decides_itself_on_postponed_annotations(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def f(x: int): pass\nassert f.__annotations__ == {'x': int}, f.__annotations__\n")
    assert subprocess.run([sys.executable, "-m", "skitai", str(script)], timeout=60).returncode == 0
