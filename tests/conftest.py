"""Tests run in a cooperative process, as apps do: patched before anything else is imported."""

from skitai import patches

patches.apply()

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from skitai.was._context import preserved  # noqa: E402
from tests.scripts import Workplace  # noqa: E402


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    """A test that calls an app leaves no request behind for the next one."""
    with preserved():
        yield


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    """A directory for run scripts, and the processes that run them."""
    place = Workplace(tmp_path)
    yield place
    place.clean_up()
