"""The lowest versions: each package has one, and the job of ``make test-lowest`` installs exactly those."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

TOOL: dict[str, Any] = runpy.run_path(str(Path(__file__).parent.parent / "tools" / "lowest.py"))


def test_every_requirement_has_a_lowest_version() -> None:
    lowest = TOOL["lowest"](TOOL["read_requirements"](TOOL["SETUP"]))
    assert {"gevent", "cryptography", "h2", "pytest", "flask", "redis"} <= set(lowest)
    # What users install is what was tried: the tests must not ask for more than the package itself.
    given: dict[str, Any] = {}
    for text in TOOL["read_requirements"](TOOL["SETUP"]):
        name = text.partition(">=")[0]
        given.setdefault(name, set()).add(text)
    assert not {name: texts for name, texts in given.items() if len(texts) > 1}


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (["a>=1.2"], {"a": "1.2"}),
        (["a>=1.2,<2"], {"a": "1.2"}),
        (["a<2,>=1.9", "a>=1.10"], {"a": "1.10"}),
        (["a[x]~=3.1", "b==2"], {"a": "3.1", "b": "2"}),
    ],
)
def test_bounds(requirements: list[str], expected: dict[str, str]) -> None:
    assert TOOL["lowest"](requirements) == expected


@pytest.mark.parametrize("requirement", ["a", "a<2", "a!=1.1"])
def test_without_a_lower_bound_nobody_knows_what_was_tried(requirement: str) -> None:
    with pytest.raises(ValueError, match=r"no lower bound: write a>=VERSION"):
        TOOL["lowest"]([requirement])
