"""Print the lowest versions that ``setup.py`` allows, as constraints for pip: what ``make test-lowest`` installs.

    python tools/lowest.py > constraints.txt
    pip install --constraint constraints.txt -e '.[test]'
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import setuptools
from packaging.requirements import Requirement
from packaging.version import Version

SETUP = Path(__file__).resolve().parent.parent / "setup.py"


def read_requirements(setup: Path) -> list[str]:
    """Everything that an installation with the extra ``test`` takes, by what ``setup.py`` gives to setuptools."""
    given: dict[str, Any] = {}
    original, setuptools.setup = setuptools.setup, lambda **settings: given.update(settings)
    try:
        runpy.run_path(str(setup))
    finally:
        setuptools.setup = original
    return [*given["install_requires"], *given["extras_require"]["test"]]


def lowest(requirements: list[str]) -> dict[str, str]:
    """The lowest version of each package; of two bounds for one package the higher.

    Raises:
        ValueError: one has no lower bound, so nobody knows which version was tried.
    """
    found: dict[str, str] = {}
    for text in requirements:
        requirement = Requirement(text)
        bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
        if not bounds:
            raise ValueError(f"{text} in setup.py has no lower bound: write {requirement.name}>=VERSION")
        versions = [*bounds, found.get(requirement.name, bounds[0])]
        found[requirement.name] = max(versions, key=Version)
    return found


def main() -> int:
    """Print one constraint per line."""
    for name, version in sorted(lowest(read_requirements(SETUP)).items(), key=lambda each: each[0].lower()):
        sys.stdout.write(f"{name}=={version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
