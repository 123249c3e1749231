"""What every test may ask for: empty databases of both kinds, a browser."""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser

from tests.machine.chromium import Browsing, chromium
from tests.machine.missing import reasons_in
from tests.machine.postgresql import PostgreSQL, postgresql_server

pytest_plugins = ["tests.product"]

MakeDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server: TEST_PG_URL, the one at 127.0.0.1:5432, or one of our own."""
    with postgresql_server() as server:
        yield server
        server.drop_databases()


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeDatabase:
    """A function from "sqlite" or "postgresql" to the URL of a new, empty database, dropped when the run ends."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    numbers = count()

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'hitl.sqlite3'}"
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.create_database(f"hitl_test_{os.getpid()}_{worker}_{next(numbers)}")

    return make


class DatabaseUrls(dict[str, str]):
    """By kind, the URL of a database made when first asked for: SQLite is tested where PostgreSQL is missing."""

    def __init__(self, make: MakeDatabase) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, kind: str) -> str:
        self[kind] = self._make(kind)
        return self[kind]


@pytest.fixture(scope="session")
def database_urls(make_database: MakeDatabase) -> dict[str, str]:
    """`database_urls["sqlite"]`, `database_urls["postgresql"]`: one of each kind for this worker's whole run."""
    return DatabaseUrls(make_database)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """The URL of an empty database of one's own; the test runs once on each kind."""
    return make_database(request.param)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def browsing(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Browsing]:
    """Opens pages: `browsing.open(url, width=390, dark=True)`, each as a person of its own. Pages must not complain."""
    if "address" in request.fixturenames:
        request.getfixturevalue(
            "address"
        )  # the server outlives the pages: one that still loads something would complain
    browsing = Browsing(browser)
    yield browsing
    browsing.close()
    assert not browsing.complaints, "the browser complained"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what opens a browser, so that `-m "not browser"` leaves it out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the end what this machine could not test."""
    for what, number in reasons_in(terminalreporter.stats.get("skipped", [])).items():
        terminalreporter.write_line(f"NOT TESTED: {what} ({number} tests)", red=True, bold=True)
