import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from hitl.core import secrets
from hitl.core.database import Database
from hitl.core.secrets import Keys, SecretDiffers, SecretMissing, SecretTooShort, ensure_same_secret, load_keys
from hitl.core.settings import Settings


class TestLoadKeys:
    def test_it_makes_a_secret_once_and_keeps_it_for_the_owner_only(self, tmp_path: Path) -> None:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/hitl.sqlite3")

        first, second = load_keys(settings), load_keys(settings)

        assert first == second
        kept = tmp_path / "hitl.sqlite3.secret"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [kept]

    def test_it_gives_two_processes_that_start_at_once_the_same_secret(self, tmp_path: Path) -> None:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/hitl.sqlite3")
        found: list[Keys] = []
        starts = [threading.Thread(target=lambda: found.append(load_keys(settings))) for _ in range(8)]
        for start in starts:
            start.start()
        for start in starts:
            start.join()

        assert len(set(found)) == 1

    def test_it_asks_for_a_secret_on_postgresql(self) -> None:
        with pytest.raises(SecretMissing):
            load_keys(Settings(database_url="postgresql://localhost/hitl", secret=None))

    def test_it_refuses_a_short_secret(self) -> None:
        with pytest.raises(SecretTooShort):
            load_keys(Settings(secret=SecretStr("short")))

    def test_it_derives_a_different_key_for_each_purpose(self) -> None:
        keys = Keys.derive("a" * 32)

        assert len({keys.sessions, keys.pseudonyms, keys.sampling}) == 3


class TestEnsureSameSecret:
    def test_it_refuses_another_secret_than_the_database_knows(self, shared_database: Database) -> None:
        ensure_same_secret(shared_database, Keys.derive("a" * 32))
        ensure_same_secret(shared_database, Keys.derive("a" * 32))

        with pytest.raises(SecretDiffers):
            ensure_same_secret(shared_database, Keys.derive("b" * 32))

    def test_it_lets_many_processes_start_at_once_on_a_new_database(self, shared_database: Database) -> None:
        def start(number: int) -> bool:
            try:
                ensure_same_secret(shared_database, Keys.derive(str(number % 2) * 32))
            except SecretDiffers:
                return False
            return True

        with ThreadPoolExecutor(8) as processes:
            welcome = list(processes.map(start, range(8)))

        assert welcome in ([True, False] * 4, [False, True] * 4)


def test_a_tokens_digest_does_not_contain_the_token() -> None:
    assert "hitl_abc" not in secrets.token_digest("hitl_abc")
