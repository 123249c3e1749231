import os
import urllib.parse

import psycopg
import pytest
from playwright.sync_api import Browser

from tests.machine import postgresql as machine_postgresql
from tests.machine.chromium import Browsing
from tests.machine.postgresql import postgresql_server

pytest_plugins = ["pytester"]


class TestDatabases:
    def test_it_gives_each_worker_one_database_of_each_kind(self, database_urls: dict[str, str]) -> None:
        assert database_urls["sqlite"].startswith("sqlite:///")
        assert database_urls["sqlite"] == database_urls["sqlite"]
        with psycopg.connect(database_urls["postgresql"]) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)

    def test_it_makes_an_empty_database_for_one_test(self, database_url: str, database_urls: dict[str, str]) -> None:
        assert database_url not in database_urls.values()

    def test_it_starts_a_server_of_its_own_when_none_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TEST_PG_URL", raising=False)
        monkeypatch.setattr(machine_postgresql, "RUNNING", "postgresql://postgres@127.0.0.1:1/postgres")

        with postgresql_server() as server:
            url = server.create_database("hitl_test_own")
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)

        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=3)


class TestMissingParts:
    TEST = """
        from tests.machine.missing import missing

        def test_page():
            missing("Chromium", "Install it")
    """

    @pytest.fixture(autouse=True)
    def suite(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
        monkeypatch.setenv("PYTHONPATH", os.fspath(request.config.rootpath))
        pytester.makeconftest("from tests.conftest import pytest_terminal_summary")
        pytester.makepyfile(self.TEST)

    def test_it_names_what_was_not_tested_at_the_end(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CI", raising=False)

        result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

        assert result.ret == 0
        result.stdout.fnmatch_lines(["NOT TESTED: Chromium. Install it (1 tests)"])

    def test_it_fails_on_ci(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")

        assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret == pytest.ExitCode.TESTS_FAILED


class TestBrowsing:
    def test_it_opens_pages_as_different_people(self, browsing: Browsing) -> None:
        phone = browsing.open("data:text/html,<title>one</title>", width=390, height=844, dark=True)
        desk = browsing.open("data:text/html,<title>two</title>")

        assert phone.evaluate("innerWidth") == 390
        assert phone.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        assert desk.title() == "two"
        assert phone.context != desk.context

    def test_it_hears_what_the_page_complains_about(self, browser: Browser) -> None:
        browsing = Browsing(browser)
        page = urllib.parse.quote(
            "<script>setTimeout(() => { throw new Error('lost') }); console.error('odd')</script>"
        )
        browsing.open(f"data:text/html,{page}").wait_for_timeout(200)
        browsing.close()

        assert sorted(browsing.complaints) == ["lost", "odd"]
