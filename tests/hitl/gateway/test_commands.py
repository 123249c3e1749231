import io
import json

import pytest

from hitl.cli import main


class TestGatewayCommands:
    def test_a_project_is_connected_from_the_command_line(self, run, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("sk-secret-word-1234\n"))
        run("gateway", "add-upstream", "main", "https://models.example/v1", "--project", "desk", "--key-stdin")
        run("gateway", "set", "--project", "desk", "--mode", "gate", "--cache-seconds", "5")
        run("gateway", "add-budget", "--project", "desk", "--tokens", "1000")
        told = json.loads(run("gateway", "show", "--project", "desk", "--json"))

        assert told["settings"]["mode"] == "gate"
        assert told["upstreams"] == [
            {"name": "main", "base_url": "https://models.example/v1", "has_key": True, "is_on": True}
        ]
        assert told["budgets"][0]["max_tokens"] == 1000
        assert "0 of 1,000 tokens" in run("gateway", "show", "--project", "desk")

    def test_another_host_loses_the_key(self, run, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("sk-secret-word-1234\n"))
        run("gateway", "add-upstream", "main", "https://models.example/v1", "--project", "desk", "--key-stdin")

        said = run("gateway", "change-upstream", "main", "--project", "desk", "--url", "https://other.example/v1")
        assert "without a key" in said
        run("gateway", "remove-upstream", "main", "--project", "desk")

    def test_it_says_no_with_a_reason(self, run):
        assert "begins with http" in run("gateway", "add-upstream", "x", "nowhere", "--project", "desk", code=1)
        assert "no such upstream" in run("gateway", "remove-upstream", "x", "--project", "desk", code=1)
        assert "hold_seconds" in run("gateway", "set", "--project", "desk", "--hold-seconds", "0", code=1)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HITL_DATABASE_URL", f"sqlite:///{tmp_path / 'hitl.sqlite3'}")

    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out + said.err

    run("db", "upgrade")
    run("user", "add", "kim@example.org", "--name", "Kim", "--owner")
    run("project", "create", "desk", "--name", "Desk")
    return run
