"""``skitai routes app.py``."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.scripts import PATIENCE, Workplace, clean_environment

APP = """
from skitai.saddle import Saddle

app = Saddle(__name__)

@app.route("/add/<int:a>", methods=["POST", "GET"])
def add(was, a, b: float = 0.5):
    return ""

@app.route("/rpc", content_types=["text/xml"])
def rpc(was):
    return ""
"""


def listing(workplace: Workplace, name: str = "app.py", *arguments: str, code: int = 0) -> str:
    """What the command prints; with another exit code than 0 what it complains of."""
    done = subprocess.run(
        [sys.executable, "-m", "skitai", "routes", str(workplace.directory / name), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=clean_environment(),
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize("is_guarded", [True, False])
def test_what_a_run_script_mounts(workplace, is_guarded: bool) -> None:
    workplace.file(
        "pages.py",
        """
        from flask import Flask
        app = Flask(__name__)

        @app.route("/hello/<name>")
        def hello(name):
            return ""
        """,
    )
    workplace.file("admin/app.py", APP + "from . import helper\n")
    workplace.file("admin/helper.py")
    workplace.file("static/x.txt")
    run = """
    import skitai, sys

    def plain(env, start_response):
        return []

    skitai.alias("@members", skitai.PROTO_HTTP, "127.0.0.1:1")
    skitai.mount("/math", app)
    skitai.mount("/flask", "pages.py")
    skitai.vmount("www.example.com", "/admin", "admin/app.py")
    skitai.mount("/plain", plain)
    skitai.mount("/", "static")
    skitai.mount("/members", "@members")
    skitai.run(port=0)
    sys.exit("run() came back")
    """
    run = textwrap.dedent(run)
    if is_guarded:
        run = "if __name__ == '__main__':\n" + textwrap.indent(run, "    ")
    workplace.file("app.py", APP + run)
    lines = listing(workplace).splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["METHODS", "GET, POST", "*"]
    assert [" ".join(line.split()) for line in lines] == [
        "METHODS RULE FUNCTION",
        "GET, POST /math/add/<int:a> add(a, b: float = 0.5)",
        "* /math/rpc rpc() of text/xml",
        "GET, HEAD, OPTIONS /flask/static/<path:filename> static",
        "GET, HEAD, OPTIONS /flask/hello/<name> hello",
        "GET, POST www.example.com/admin/add/<int:a> app.add(a, b: float = 0.5)",
        "* www.example.com/admin/rpc app.rpc() of text/xml",
        "* /plain/ plain, a WSGI app",
        f"GET, HEAD / files of {workplace.directory}/static",
        "* /members/ @members",
    ]


@pytest.mark.parametrize("more", ["", "from . import part\napp.mount('/part', part)\n"])
def test_an_app_file_by_itself(workplace, more: str) -> None:
    workplace.file("app.py", APP + more)
    part = "from skitai.saddle import Saddlery\npart = Saddlery()\n@part.route('/x')\ndef page(was): return ''\n"
    workplace.file("part.py", part)
    found = listing(workplace)
    assert "/add/<int:a>" in found
    assert ("/part/x" in found) == bool(more)


def test_arguments_are_the_script_s(workplace) -> None:
    workplace.file("app.py", "import sys\nassert sys.argv[1:] == ['--devel', 'stop'], sys.argv\n" + APP)
    assert "/rpc" in listing(workplace, "app.py", "--devel", "stop")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("x = 1", 2, "neither calls skitai.run() nor has an app whose routes can be listed"),
        ("import skitai\nskitai.mount('/', 'broken.py')\nskitai.run()", 2, "broken.py:app cannot be loaded"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import nothing_of_that_name", 1, "ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_listed(workplace, text: str, code: int, reason: str) -> None:
    workplace.file("broken.py", "1 / 0")
    workplace.file("app.py", text)
    assert reason in listing(workplace, code=code)


def test_a_script_that_is_not_there(workplace) -> None:
    assert "cannot run" in listing(workplace, code=2)


def test_without_a_script() -> None:
    done = subprocess.run([sys.executable, "-m", "skitai", "routes"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert "routes needs a script: skitai routes app.py" in done.stderr
