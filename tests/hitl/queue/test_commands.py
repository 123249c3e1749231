"""`hitl queue` and `hitl rule`."""

import json

import pytest

from hitl import cli
from tests.hitl import factories


@pytest.fixture
def project(committed):
    project = factories.Project()
    committed.commit()
    return project


@pytest.fixture
def run(shared_database, monkeypatch, capsys):
    """A function that runs the command line on the test database and returns exit code, output and errors."""
    monkeypatch.setenv("HITL_DATABASE_URL", shared_database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("HITL_SECRET", "s" * 32)

    def run(*arguments):
        code = cli._run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


class TestQueueStatus:
    def test_it_counts_what_waits(self, run, project, committed):
        factories.Item(project=project)
        committed.commit()

        code, out, _ = run("queue", "status", "--project", project.slug, "--json")

        assert code == 0
        assert json.loads(out) == {
            "open": 1,
            "waiting": 1,
            "partly_done": 0,
            "closed": 0,
            "stuck": 1,
            "leases": 0,
            "reviewers_at_work": 0,
        }
        assert "stuck" in run("queue", "status", "--project", project.slug)[1]

    def test_it_names_a_project_that_is_not_there(self, run):
        code, _, err = run("queue", "status", "--project", "nowhere")
        assert (code, err) == (1, "hitl: There is no project with this short name.\n")


class TestRule:
    def test_it_is_added_listed_and_ended(self, run, project):
        here = ("--project", project.slug)
        code, out, _ = run("rule", "add", "Desk", *here, "--model", "desk", "--rate", "0.05", "--reviews", "2")
        assert (code, out) == (0, "“Desk” is on: 5 in 100 of responses of desk, 2 reviews each, priority 0.\n")

        (rule,) = json.loads(run("rule", "list", *here, "--json")[1])["rules"]
        assert (rule["name"], rule["rate"], rule["eligible"], rule["drawn"]) == ("Desk", 0.05, 0, 0)
        assert run("rule", "end", "Desk", *here)[0] == 0
        assert run("rule", "list", *here)[1] == "No rule is on.\n"

    def test_it_takes_an_expression_and_names_what_is_wrong_with_it(self, run, project):
        here = ("--project", project.slug)
        code, out, _ = run("rule", "add", "Refusals", *here, "--when", "signals.refusal > 0")
        assert (code, out) == (
            0,
            "“Refusals” is on: 100 in 100 of responses with signals.refusal > 0, 1 review each, priority 0.\n",
        )

        code, _, err = run("rule", "add", "Wrong", *here, "--when", "signals.refusal >")
        assert (code, err) == (1, "hitl: Character 18: it ends too early.\n")

    @pytest.mark.parametrize(
        "options",
        [
            ["--rate", "0"],
            ["--rate", "2"],
            ["--rate", "nan"],
            ["--priority", "9999"],
            ["--model", ""],
            ["--model", "a", "--negative"],
            ["--model-version", "2"],
            ["--when", "true", "--model", "a"],
        ],
    )
    def test_it_refuses_wrong_usage(self, run, project, options):
        assert run("rule", "add", "Desk", "--project", project.slug, *options)[0] == 2

    def test_it_refuses_a_name_that_is_taken_or_unknown(self, run, project):
        here = ("--project", project.slug)
        run("rule", "add", "Desk", *here)
        assert run("rule", "add", "Desk", *here)[0] == 1
        assert run("rule", "end", "Shop", *here)[0] == 1
