from pathlib import Path

import pytest
from pydantic import ValidationError

from hitl.core.settings import Settings


class TestSettings:
    def test_it_runs_on_a_laptop_without_any_setting(self) -> None:
        assert Settings().database_url.startswith("sqlite:///")

    def test_it_prefers_the_environment_to_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "hitl.toml").write_text('web_threads = 3\nlog_format = "json"\n')
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HITL_WEB_THREADS", "5")

        assert (Settings().web_threads, Settings().log_format) == (5, "json")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("HITL_WEB_PROCESSES", "many"),
            ("HITL_WEB_PROCESSES", "0"),
            ("HITL_PUBLIC_URL", "not a url"),
            ("HITL_SQLITE_SYNCHRONOUS", "OFF"),
            ("HITL_TRUSTED_PROXIES", "-1"),
        ],
    )
    def test_it_refuses_a_setting_of_the_wrong_kind(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)

        with pytest.raises(ValidationError):
            Settings()

    def test_it_refuses_a_setting_that_does_not_exist_in_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "hitl.toml").write_text("databse_url = 'sqlite:///x'\n")
        monkeypatch.chdir(tmp_path)

        with pytest.raises(ValidationError, match="databse_url"):
            Settings()

    @pytest.fixture(autouse=True)
    def bare_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in Settings.model_fields:
            monkeypatch.delenv(f"HITL_{name.upper()}", raising=False)
