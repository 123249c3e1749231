import json

import click
import pytest
from click.testing import CliRunner

from hitl import cli
from hitl.accounts.access import program_of_token
from hitl.accounts.reset_links import link_of_token
from hitl.accounts.sign_in import begin_attempt, sign_in

SECRET = "a secret only for tests" * 2


@pytest.fixture
def run(shared_database, monkeypatch):
    """Run `hitl` with these words; returns what it says."""
    monkeypatch.setenv("HITL_DATABASE_URL", shared_database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("HITL_SECRET", SECRET)
    monkeypatch.setenv("HITL_PUBLIC_URL", "https://hitl.example.org/")

    def run(*words, exit_code=0, given=None):
        result = CliRunner().invoke(through_main, words, input=given)
        assert result.exit_code == exit_code, result.output
        return result

    return run


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def through_main(words):
    """The command line as people use it, exit codes and all."""
    cli.main(list(words))


def said(result):
    return json.loads(result.stdout)


class TestUser:
    def test_it_adds_somebody_with_a_password(self, run, shared_database):
        run("project", "create", "desk", "--name", "Desk")
        words = ["user", "add", "Kim@Example.org", "--name", "Kim", "--project", "desk", "--role", "lead", "--owner"]
        run(*words, "--password-stdin", given="correct horse battery\n")
        with shared_database.writing() as db:
            assert sign_in(db, begin_attempt(db, "kim@example.org", None), "correct horse battery")
        (kim,) = said(run("user", "list", "--json"))["users"]
        assert (kim["email"], kim["is_owner"], kim["roles"]) == ("kim@example.org", True, {"desk": "lead"})
        assert "kim@example.org" in run("user", "list").stdout

    def test_it_prints_a_link_that_sets_a_password(self, run, shared_database):
        link = said(run("user", "add", "kim@example.org", "--name", "Kim", "--json"))["link"]
        again = said(run("user", "reset-link", "KIM@example.org", "--json"))["link"]
        assert link != again
        for one in (link, again):
            assert one.startswith("https://hitl.example.org/reset/")
            with shared_database.reading() as db:
                assert link_of_token(db, one.rpartition("/")[2]).user.email == "kim@example.org"
        assert "/reset/" in run("user", "reset-link", "kim@example.org").stdout

    def test_it_closes_and_opens_an_account(self, run):
        run("user", "add", "kim@example.org", "--name", "Kim")
        run("user", "deactivate", "kim@example.org")
        assert "closed" in run("user", "list").stdout
        run("user", "reset-link", "kim@example.org", exit_code=1)
        run("user", "activate", "kim@example.org")
        assert "closed" not in run("user", "list").stdout

    def test_it_refuses_with_a_reason(self, run):
        run("user", "add", "kim@example.org", "--name", "Kim")
        for words, reason, options in [
            (["user", "add", "kim@example.org", "--name", "Kim"], "already an account", {}),
            (["user", "add", "no address", "--name", "Kim"], "not an e-mail address", {}),
            (["user", "add", "a@example.org", "--name", " "], "Give a name", {}),
            (["user", "add", "a@example.org", "--name", "A", "--project", "none"], "no project", {}),
            (
                ["user", "add", "a@example.org", "--name", "A", "--password-stdin"],
                "12 characters",
                {"given": "short\n"},
            ),
            (["user", "add", "a@example.org", "--name", "A", "--password-stdin"], "cannot be", {"given": b"\xff" * 14}),
            (["user", "reset-link", "nobody@example.org"], "no account", {}),
            (["user", "deactivate", "nobody@example.org"], "no account", {}),
        ]:
            assert reason in run(*words, exit_code=1, **options).stderr
        assert len(said(run("user", "list", "--json"))["users"]) == 1
        run("user", "add", "a@example.org", exit_code=2)
        run("user", "add", "a@example.org", "--name", "A", "--role", "king", exit_code=2)


class TestProject:
    def test_it_makes_projects_with_their_rubric_and_sets_them_up(self, run):
        made = said(run("project", "create", "desk", "--name", "Desk", "--json"))
        assert made["slug"] == "desk"
        assert "Desk" in run("project", "list").stdout
        assert said(run("project", "set", "desk", "--json"))["lease_minutes"] == 15
        run("project", "set", "desk", "lease_minutes=20", "end_user_thumbs=true", "licence=cc-by-4.0")
        assert "lease_minutes=20" in run("project", "set", "desk").stdout

    def test_it_refuses_with_a_reason(self, run):
        run("project", "create", "desk", "--name", "Desk")
        for words, reason in [
            (["project", "create", "desk", "--name", "Desk"], "already a project"),
            (["project", "create", "Desk!", "--name", "Desk"], "lower-case"),
            (["project", "create", "desk2", "--name", "Desk", "--admin", "nobody@example.org"], "no account"),
            (["project", "set", "desk", "lease_minutes=soon"], "lease_minutes"),
            (["project", "set", "desk", "lease_minutes"], "NAME=VALUE"),
            (["project", "set", "desk", "licence=CC BY"], "licence"),
            (["project", "set", "none"], "no project"),
        ]:
            assert reason in run(*words, exit_code=1).stderr


class TestMemberAndKey:
    def test_it_makes_members_and_keys_and_ends_them(self, run, shared_database):
        run("user", "add", "kim@example.org", "--name", "Kim")
        run("user", "add", "ada@example.org", "--name", "Ada")
        run("project", "create", "desk", "--name", "Desk", "--admin", "ada@example.org")
        run("member", "add", "kim@example.org", "--project", "desk")
        run("member", "add", "kim@example.org", "--project", "desk", "--role", "engineer")

        words = ["key", "create", "--project", "desk", "--maker", "kim@example.org", "--name", "Ingest"]
        token = run(*words, "--scope", "capture").stdout.strip()
        other = said(run(*words, "--scope", "capture", "--scope", "feedback", "--json"))["key"]
        with shared_database.reading() as db:
            assert program_of_token(db, token).api_key.scopes == ["capture"]
        assert "scopes" in run(*words, "--scope", "admin", exit_code=1).stderr

        hint = token[:11]
        assert hint in run("key", "list", "--project", "desk").stdout
        run("key", "revoke", hint, "--project", "desk")
        run("key", "revoke", hint, "--project", "desk", exit_code=1)
        run("member", "remove", "kim@example.org", "--project", "desk")
        run("member", "remove", "kim@example.org", "--project", "desk", exit_code=1)
        assert "only admin" in run("member", "remove", "ada@example.org", "--project", "desk", exit_code=1).stderr
        with shared_database.reading() as db:
            assert program_of_token(db, token) is None
            assert program_of_token(db, other) is None
