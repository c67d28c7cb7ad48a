"""The examples of the documentation run.

A block that begins with ```` ```python ```` is a script: it must end with exit code 0. ```` ```python serve ```` is a
script that calls ``skitai.run()``: it must serve ``/`` (its port is changed to a free one). ```` ```python no-run ````
is a fragment that is only compiled. ```` ```python postgresql ```` is a script that finds its server in ``MYDB``, and
```` ```python redis ```` one for 127.0.0.1:6379 with the password "secret": it gets the server of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts import Workplace

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python(?: ([a-z-]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

def blocks() -> Iterator[object]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1] or "run", match[2], id=f"{page.relative_to(ROOT)}:{line}")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.clean_up()


@pytest.mark.parametrize(("kind", "code"), list(blocks()))
def test_example(kind: str, code: str, workplace: Workplace, request: pytest.FixtureRequest) -> None:
    compile(code, "example", "exec")
    environment = {}
    if kind == "postgresql":
        kind, environment = "run", {"MYDB": request.getfixturevalue("postgres").member}
    elif kind == "redis":
        address = request.getfixturevalue("redis_address")
        kind, code = "run", code.replace("127.0.0.1:6379", address.where).replace("secret", address.password)
    if kind == "run":
        script = workplace.script(code, "example.py")
        script.start(launcher=("-m", "skitai"), cwd=workplace.directory, **environment)
        assert script.end() == 0, script.text
    elif kind == "serve":
        served = re.sub(r"\bport\s*=\s*\d+", "port=0", code)
        if served == code:
            served = re.sub(r"skitai\.run\(", "skitai.run(port=0, ", code)
        # What the example calls is not there; on such a port something else of this machine might be.
        served = re.sub(r"127\.0\.0\.1:[89]\d{3}\b", "127.0.0.1:1", served)
        script = workplace.serve(served, name="example.py")
        assert script.get("/").status < 500, script.text
        assert script.stop() == 0
    else:
        assert kind == "no-run", f"```python {kind} is not known here"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
