"""`hitl gateway`: where a project's calls go, and what they may cost."""

import sys
from typing import Any

import click
import orjson
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.accounts.projects import project_of_slug
from hitl.core.instance import open_ready_instance
from hitl.gateway import budgets
from hitl.gateway.errors import UnknownUpstream
from hitl.gateway.models import MODES, PERIODS, WHEN_NOBODY, Upstream
from hitl.gateway.settings import change_handling, handling_of
from hitl.gateway.upstreams import add_upstream, change_upstream, remove_upstream, upstreams_of

in_project = click.option("--project", "slug", required=True, metavar="SLUG", help="The project that is meant.")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
key_option = click.option(
    "--key-stdin",
    is_flag=True,
    help="Read the upstream's key from standard input: an argument would be seen by others.",
)


@click.group()
def gateway() -> None:
    """Say where a project's calls go, and what they may cost."""


@gateway.command()
@in_project
@as_json_option
def show(slug: str, as_json: bool) -> None:
    """Show how calls are handled, the upstreams in the order in which they are asked, and the budgets."""
    with open_ready_instance().database.reading() as db:
        project = project_of_slug(db, slug)
        handling = handling_of(db, project)
        found = list(db.scalars(upstreams_of(project)))
        limits = budgets.limits_of(db, project)
    told = {
        "settings": handling.model_dump(),
        "upstreams": [
            {"name": one.name, "base_url": one.base_url, "has_key": one.sealed_key is not None, "is_on": one.is_on}
            for one in found
        ],
        "budgets": [
            {"period": limit.period, "model": limit.model, "api_key_id": limit.api_key_id}
            | {"max_tokens": limit.max_tokens, "max_usd": limit.max_usd, "tokens": limit.tokens, "usd": limit.usd}
            for limit in limits
        ],
    }
    lines = [f"mode {handling.mode}, answers kept for {handling.cache_seconds} s"]
    lines += [f"upstream {one.name}: {one.base_url}{'' if one.is_on else ' (off)'}" for one in found]
    lines += [
        f"budget a {limit.period}{f' for {limit.model}' if limit.model else ''}: "
        f"{limit.tokens:,} of {_or_any(limit.max_tokens)} tokens, ${limit.usd:,.2f} of {_or_any(limit.max_usd)}"
        for limit in limits
    ]
    _tell(told, as_json, lines)


@gateway.command("set")
@in_project
@click.option("--mode", type=click.Choice(MODES), help="Who answers: the model, after a look of the policy, a person.")
@click.option("--hold-seconds", type=int, help="The longest that a request waits for a person.")
@click.option("--when-nobody", type=click.Choice(WHEN_NOBODY), help="Person mode: when nobody comes in time.")
@click.option("--when-database-down", type=click.Choice(WHEN_NOBODY), help="Gate and person modes.")
@click.option("--safe-reply", help="What is said instead of an answer.")
@click.option("--cache-seconds", type=int, help="How long an answer serves the very same request; 0: never.")
@as_json_option
def change(slug: str, as_json: bool, **changes: Any) -> None:
    """Change how calls are handled; what is left out stays."""
    with open_ready_instance().database.writing() as db:
        said = {name: value for name, value in changes.items() if value is not None}
        handling = change_handling(db, project_of_slug(db, slug), said)
    _tell(handling.model_dump(), as_json, [f"{slug} is in the mode {handling.mode}."])


@gateway.command("add-upstream")
@click.argument("name")
@click.argument("base_url")
@in_project
@click.option("--model", "models", multiple=True, help="One that it serves; without, all.")
@click.option("--position", type=int, default=0, show_default=True, help="The lowest is asked first.")
@click.option("--weight", type=int, default=1, show_default=True, help="Its share among those of one position.")
@click.option("--retries", type=int, default=1, show_default=True, help="After the first try.")
@key_option
@as_json_option
def add(
    name: str, base_url: str, slug: str, models: tuple[str, ...], key_stdin: bool, as_json: bool, **terms: int
) -> None:
    """Add a server that answers, such as: openai https://api.openai.com/v1"""
    key = sys.stdin.readline().strip() if key_stdin else None
    with open_ready_instance().database.writing() as db:
        said = {"name": name, "base_url": base_url, "models": list(models), **terms}
        upstream = add_upstream(db, project_of_slug(db, slug), said, key)
    _tell({"id": upstream.id, "name": name}, as_json, [f"Calls of {slug} go to {upstream.base_url}."])


@gateway.command("change-upstream")
@click.argument("name")
@in_project
@click.option("--url", "base_url", help="Another address. Another host does not get the key of the old one.")
@click.option("--position", type=int)
@click.option("--weight", type=int)
@click.option("--retries", type=int)
@click.option("--on/--off", "is_on", default=None, help="Whether it is asked.")
@key_option
def change_one(name: str, slug: str, key_stdin: bool, **changes: Any) -> None:
    """Change what is said of a server; what is left out stays."""
    key = sys.stdin.readline().strip() if key_stdin else None
    with open_ready_instance().database.writing() as db:
        project = project_of_slug(db, slug)
        said = {what: value for what, value in changes.items() if value is not None}
        upstream = change_upstream(db, project, _upstream(db, project, name), said, key)
    click.echo(f"{name}: {upstream.base_url}, {'with' if upstream.sealed_key else 'without'} a key.")


@gateway.command("remove-upstream")
@click.argument("name")
@in_project
def remove(name: str, slug: str) -> None:
    """Ask a server no more, and forget its key."""
    with open_ready_instance().database.writing() as db:
        project = project_of_slug(db, slug)
        remove_upstream(db, project, _upstream(db, project, name))
    click.echo(f"{name} is not asked any more.")


@gateway.command("add-budget")
@in_project
@click.option("--period", type=click.Choice(PERIODS), default="day", show_default=True, help="By UTC.")
@click.option("--tokens", "max_tokens", type=int)
@click.option("--usd", "max_usd", type=float)
@click.option("--model", help="Only of this model.")
def limit_use(slug: str, period: str, max_tokens: int | None, max_usd: float | None, model: str | None) -> None:
    """Limit what is used in a day or a month. The API limits single keys, too."""
    with open_ready_instance().database.writing() as db:
        project = project_of_slug(db, slug)
        budgets.add_budget(db, project, period=period, max_tokens=max_tokens, max_usd=max_usd, model=model)
    click.echo("The budget counts from now on, what was used before in this period included.")


def _upstream(db: Session, project: Project, name: str) -> Upstream:
    upstream = db.scalar(upstreams_of(project).where(Upstream.name == name))
    if upstream is None:
        raise UnknownUpstream
    return upstream


def _or_any(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:,}"


def _tell(told: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    click.echo(orjson.dumps(told).decode() if as_json else "\n".join(lines))
