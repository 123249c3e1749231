"""`hitl queue` and `hitl rule`: what waits, and why."""

from typing import Any

import click
import orjson
from pydantic import ValidationError

from hitl.accounts.projects import project_of_slug
from hitl.core.instance import open_ready_instance
from hitl.queue import picking
from hitl.queue.comparisons import add_comparisons
from hitl.queue.conversations import add_conversations
from hitl.queue.errors import UnknownRule
from hitl.queue.items import Wish
from hitl.queue.models import MAX_COMPARED, Rule
from hitl.queue.queries import counts_by_state, lease_counts, rule_of_name, rule_tallies, running_rules, stuck_count
from hitl.queue.reasons import answers_in_words, in_words, share_in_words
from hitl.queue.rules import (
    MAX_PRIORITY_DAYS,
    MAX_REVIEWS_WANTED,
    AllCondition,
    AnyCondition,
    Comparing,
    ExpressionCondition,
    FeedbackCondition,
    ModelCondition,
    Terms,
    create_rule,
    end_rule,
    terms_of,
)

in_project = click.option("--project", "slug", required=True, metavar="SLUG", help="The project that is meant.")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def queue() -> None:
    """Look at what waits for review."""


@queue.command()
@in_project
@as_json_option
def status(slug: str, as_json: bool) -> None:
    """Say how much waits, and how many are at it."""
    with open_ready_instance().database.reading() as db:
        project = project_of_slug(db, slug)
        is_open, is_waiting, is_partly_done, is_closed = db.execute(counts_by_state(project)).one()
        leases, people = db.execute(lease_counts(project)).one()
        stuck = db.execute(stuck_count(project)).scalar_one()
    told = {
        "open": is_open,
        "waiting": is_waiting,
        "partly_done": is_partly_done,
        "closed": is_closed,
        "stuck": stuck,
        "leases": leases,
        "reviewers_at_work": people,
    }
    _tell(told, as_json, [f"{name.replace('_', ' '):<18}{number:>9,}" for name, number in told.items()])


reviews_option = click.option(
    "--reviews", type=click.IntRange(1, MAX_REVIEWS_WANTED), default=1, show_default=True, help="Reviews wanted."
)
priority_option = click.option(
    "--priority",
    type=click.IntRange(-MAX_PRIORITY_DAYS, MAX_PRIORITY_DAYS),
    default=0,
    show_default=True,
    help="Each step counts like a day of waiting.",
)


@queue.command()
@click.argument("client_ids", nargs=-1, required=True, metavar="CLIENT_ID...")
@in_project
@reviews_option
@priority_option
@as_json_option
def compare(client_ids: tuple[str, ...], slug: str, reviews: int, priority: int, as_json: bool) -> None:
    """Let two to nine responses to the same input be compared, given by the client's ids."""
    with open_ready_instance().database.writing() as db:
        project = project_of_slug(db, slug)
        ids = picking.responses(db, project, [], client_ids)
        (item,) = add_comparisons(db, project, [(ids, Wish(reviews, priority))])
        told = {"id": str(item.id), "kind": item.kind, "responses": len(ids), "reviews_wanted": item.reviews_wanted}
    _tell(told, as_json, [f"{len(ids)} responses wait to be compared, {_reviews_in_words(told['reviews_wanted'])}."])


@queue.command()
@click.argument("client_id")
@in_project
@reviews_option
@priority_option
@as_json_option
def conversation(client_id: str, slug: str, reviews: int, priority: int, as_json: bool) -> None:
    """Let a conversation be reviewed as a whole, as it stands now, given by the client's id."""
    with open_ready_instance().database.writing() as db:
        project = project_of_slug(db, slug)
        ids = picking.conversations(db, project, [], [client_id])
        (item,) = add_conversations(db, project, ids, Wish(reviews, priority))
        told = {"id": str(item.id), "kind": item.kind, "reviews_wanted": item.reviews_wanted}
    _tell(told, as_json, [f"“{client_id}” waits for review, {_reviews_in_words(told['reviews_wanted'])}."])


@click.group()
def rule() -> None:
    """Decide which responses are reviewed, and which are compared."""


@rule.command()
@click.argument("name")
@in_project
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Share drawn.")
@click.option("--model", help="Only responses of this model.")
@click.option("--model-version", help="Only this version of the model.")
@click.option("--feedback", metavar="KIND", help="Only responses with such feedback, as in thumbs; any: “any”.")
@click.option("--negative", is_flag=True, help="Only responses that end users complained about.")
@click.option("--when", metavar="EXPRESSION", help="Only responses that it fits, as in signals.refusal > 0.")
@click.option(
    "--compare",
    "at_most",
    type=click.IntRange(2, MAX_COMPARED),
    help="Compare up to so many different answers to one input instead.",
)
@click.option(
    "--compare-from",
    "at_least",
    type=click.IntRange(2, MAX_COMPARED),
    help="As soon as there are so many.  [default: 2]",
)
@priority_option
@reviews_option
@click.option("--include-earlier", is_flag=True, help="Draw from what was captured before, too.")
@as_json_option
def add(
    name: str,
    slug: str,
    rate: float,
    model: str | None,
    model_version: str | None,
    feedback: str | None,
    negative: bool,
    when: str | None,
    at_most: int | None,
    at_least: int | None,
    priority: int,
    reviews: int,
    include_earlier: bool,
    as_json: bool,
) -> None:
    """Switch on the rule NAME for what comes in from now on; --include-earlier also for what is there."""
    try:
        condition = _condition(model, model_version, feedback, negative, when)
        compare = _comparing(at_least, at_most)
        terms = Terms(condition=condition, compare=compare, rate=rate, priority=priority, reviews_wanted=reviews)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"]) from error
    with open_ready_instance().database.writing() as db:
        made = create_rule(db, project_of_slug(db, slug), name, terms, include_earlier=include_earlier)
        told = _told(made, 1, terms)
    _tell(told, as_json, [f"“{made.name}” is on: {_in_words(terms)}."])


@rule.command("list")
@in_project
@as_json_option
def list_rules(slug: str, as_json: bool) -> None:
    """List the rules that are switched on, and how many responses each has drawn."""
    rules: list[dict[str, Any]] = []
    lines = []
    with open_ready_instance().database.reading() as db:
        project = project_of_slug(db, slug)
        tallies = {rule_id: counts for rule_id, *counts in db.execute(rule_tallies(project))}
        for found, version in db.execute(running_rules(project.id)):
            terms = terms_of(version)
            eligible, drawn = tallies[found.id]
            rules.append({**_told(found, version.number, terms), "eligible": eligible, "drawn": drawn})
            lines.append(f"“{found.name}”: {_in_words(terms)}; {drawn:,} of {eligible:,} drawn")
    _tell({"rules": rules}, as_json, lines or ["No rule is on."])


@rule.command()
@click.argument("name")
@in_project
def end(name: str, slug: str) -> None:
    """Switch the rule NAME off. What it drew stays."""
    with open_ready_instance().database.writing() as db:
        found = db.scalar(rule_of_name(project_of_slug(db, slug), name))
        if found is None:
            raise UnknownRule
        end_rule(db, found)
    click.echo(f"“{name}” is off.")


def _condition(
    model: str | None, model_version: str | None, feedback: str | None, negative: bool, when: str | None
) -> AnyCondition:
    about_feedback = feedback is not None or negative
    if when is not None:
        if model is not None or about_feedback:
            raise click.UsageError("--when says it all: leave out --model, --feedback and --negative.")
        return ExpressionCondition(expression=when)
    if model is not None and about_feedback:
        raise click.UsageError("A rule is about a model or about feedback, not both.")
    if model_version is not None and model is None:
        raise click.UsageError("--model-version needs --model.")
    if model is not None:
        return ModelCondition(name=model, version=model_version)
    if about_feedback:
        return FeedbackCondition(feedback_kind=None if feedback == "any" else feedback, negative_only=negative)
    return AllCondition()


def _comparing(at_least: int | None, at_most: int | None) -> Comparing | None:
    if at_most is None:
        if at_least is not None:
            raise click.UsageError("--compare-from needs --compare.")
        return None
    return Comparing(at_least=2 if at_least is None else at_least, at_most=at_most)


def _told(found: Rule, version: int, terms: Terms) -> dict[str, Any]:
    return {"id": str(found.id), "name": found.name, "version": version, **terms.model_dump(mode="json")}


def _in_words(terms: Terms) -> str:
    whom = in_words(terms.condition)
    if terms.compare is not None:
        whom = f"inputs with {answers_in_words(terms.compare)} different answers, taken from {whom}"
    reviews = _reviews_in_words(terms.reviews_wanted)
    return f"{share_in_words(terms.rate)} of {whom}, {reviews} each, priority {terms.priority}"


def _reviews_in_words(count: Any) -> str:
    return "1 review" if count == 1 else f"{count} reviews"


def _tell(told: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    click.echo(orjson.dumps(told).decode() if as_json else "\n".join(lines))
