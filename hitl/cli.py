"""The command line. Commands are imported when called, so that `hitl --help` is quick."""

import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "backup": ("hitl.backup.commands:backup", "Write everything into one file."),
    "capture": ("hitl.capture.commands:capture", "Put responses from a file into a project."),
    "dataset": ("hitl.datasets.commands:dataset", "Freeze and look at dataset versions."),
    "db": ("hitl.core.commands:db", "Bring the database schema up to date, or check it."),
    "demo": ("hitl.demo.commands:demo", "Try the product with real data on this machine."),
    "doctor": ("hitl.doctor.commands:doctor", "Say what is wrong with this installation."),
    "export": ("hitl.datasets.commands:export", "Write a dataset version in a trainer's format."),
    "gateway": ("hitl.gateway.commands:gateway", "Say where a project's calls go, and what they may cost."),
    "key": ("hitl.accounts.commands:key", "Make and revoke API keys."),
    "member": ("hitl.accounts.commands:member", "Add people to projects."),
    "project": ("hitl.accounts.commands:project", "Make projects."),
    "queue": ("hitl.queue.commands:queue", "Look at what waits for review."),
    "restore": ("hitl.backup.commands:restore_backup", "Put a backup into an empty database."),
    "rule": ("hitl.queue.commands:rule", "Decide which responses are reviewed."),
    "serve": ("hitl.server:serve", "Serve the pages and the API."),
    "user": ("hitl.accounts.commands:user", "Add people and reset passwords."),
    "worker": ("hitl.worker:worker", "Do background work."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        # A command that serves or works puts the setting's style in its place.
        importlib.import_module("hitl.core.logs").configure_logs("text")
        # What a command publishes must reach every part's listeners: a new project gets its rubric from hitl/review.
        importlib.import_module("hitl.app").import_parts()
        module, attribute = COMMANDS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup)
@click.version_option(package_name="hitl")
def cli() -> None:
    """Human-in-the-loop feedback for language-model applications."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Exit codes: 0 done, 1 refused with a reason, 2 wrong usage."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> Any:
    try:
        return cli.main(arguments, prog_name="hitl", standalone_mode=False) or 0
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 130
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        click.echo(f"hitl: {reason}", err=True)
        return 1


def _reason(error: Exception) -> str | None:
    """Return the sentence for an expected refusal; None for a bug."""
    from pydantic import ValidationError
    from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError

    from hitl.core.errors import AppError

    if isinstance(error, AppError):
        return error.message
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "a setting is wrong. " + "; ".join(map(_wrong_setting, error.errors()))
    if isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError:  # "not a database"
        return f"the database does not answer, or is locked: {error.orig}. Check HITL_DATABASE_URL and try again."
    return None


def _wrong_setting(problem: Any) -> str:
    name = f"HITL_{'_'.join(map(str, problem['loc'])).upper()}"
    if problem["type"] == "extra_forbidden":  # only hitl.toml can bring one
        return f"{name}: hitl.toml names it, but there is no such setting"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"
