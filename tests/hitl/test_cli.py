from pathlib import Path

import pytest

from hitl.cli import main
from hitl.core.settings import Settings


class TestRefusals:
    """Whatever is wrong with the settings or the database: exit code 1 and one sentence that names it."""

    @pytest.mark.parametrize(
        ("setting", "value", "said"),
        [
            ("HITL_DATABASE_URL", "", "HITL_DATABASE_URL: write sqlite:///FILE or postgresql://"),
            ("HITL_DATABASE_URL", "mysql://kim:password@host/db", "HITL_DATABASE_URL: write sqlite:///FILE"),
            ("HITL_DATABASE_URL", "postgresql+psycopg2://host/db", "HITL_DATABASE_URL: write sqlite:///FILE"),
            ("HITL_DATABASE_URL", "sqlite:////no/such/folder/hitl.sqlite3", "/no/such/folder/hitl.sqlite3"),
            ("HITL_DATABASE_URL", "postgresql://127.0.0.1:1/db", "HITL_SECRET is not set"),
            ("HITL_SECRET", "short", "too short"),
            ("HITL_WEB_THREADS", "many", "HITL_WEB_THREADS"),
        ],
    )
    def test_it_names_the_setting(
        self, setting: str, value: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(setting, value)

        assert self.refusal("project", "list", capsys=capsys).count(said) == 1

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"web_threads = = 1", "hitl.toml cannot be read"),
            (b"\xff\xfe", "hitl.toml cannot be read"),
            (b"web_thread = 1", "there is no such setting"),
        ],
    )
    def test_it_names_the_settings_file(
        self, content: bytes, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "hitl.toml").write_bytes(content)

        assert said in self.refusal("project", "list", capsys=capsys)

    def test_it_says_when_the_file_is_no_database(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "hitl.sqlite3").write_bytes(b"something else " * 100)

        assert "file is not a database" in self.refusal("db", "upgrade", capsys=capsys)

    @pytest.mark.parametrize("command", [("project", "list"), ("worker", "--until-idle"), ("serve",)])
    def test_it_asks_for_the_schema(self, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        assert "Run `hitl db upgrade`" in self.refusal(*command, capsys=capsys)

    @pytest.mark.parametrize("command", [("project", "list"), ("worker", "--until-idle"), ("serve",)])
    def test_it_does_not_work_with_another_secret(
        self, command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for arguments in (["db", "upgrade"], ["project", "list"]):
            with pytest.raises(SystemExit) as ended:
                main(arguments)
            assert ended.value.code == 0
        monkeypatch.setenv("HITL_SECRET", "another secret than the one that was made")

        assert "another HITL_SECRET" in self.refusal(*command, capsys=capsys)

    def refusal(self, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert ended.value.code == 1
        assert said.out == ""
        assert len(said.err.strip().splitlines()) == 1
        return said.err

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty folder to be in, and no setting from outside."""
        monkeypatch.chdir(tmp_path)
        for name in Settings.model_fields:
            monkeypatch.delenv(f"HITL_{name.upper()}", raising=False)
        return tmp_path
