"""Tests run in a cooperative process, as apps do: patched before anything else is imported."""

from skitai import patches

patches.apply()

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from skitai.was._context import preserved  # noqa: E402
from tests import parallel, servers  # noqa: E402
from tests.scripts import Workplace  # noqa: E402

parallel.prepare()

# The suite asks the same of the same code each time; --hypothesis-profile=random looks for what nobody thought of.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("random", derandomize=False, deadline=None)
settings.load_profile("suite")


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """A PostgreSQL server of our own, which a test may restart."""
    server = servers.Postgres()
    yield server
    server.stop()


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> servers.Address:
    """A PostgreSQL database: of the server that ``SKITAI_TEST_PG`` names, or of our own."""
    given = servers.from_environment("SKITAI_TEST_PG")
    return given or request.getfixturevalue("postgres_server").address  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """A Redis server of our own, which a test may restart."""
    server = servers.Redis()
    yield server
    server.stop()


@pytest.fixture
def redis_address(request: pytest.FixtureRequest) -> servers.Address:
    """A Redis server: the one that ``SKITAI_TEST_REDIS`` names, or our own."""
    given = servers.from_environment("SKITAI_TEST_REDIS")
    return given or request.getfixturevalue("redis_server").address  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[servers.Mongo]:
    """The double of a MongoDB server, which a test may restart."""
    server = servers.Mongo()
    yield server
    server.stop()


@pytest.fixture
def mongo(request: pytest.FixtureRequest) -> servers.Address:
    """A MongoDB server: the one that ``SKITAI_TEST_MONGO`` names, or our double."""
    given = servers.from_environment("SKITAI_TEST_MONGO")
    return given or request.getfixturevalue("mongo_server").address  # type: ignore[no-any-return]
