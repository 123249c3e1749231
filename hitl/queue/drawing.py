"""Applying the rules: seeing which of them responses are eligible for, drawing, and filling the queue."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.bulk import Column, Same, insert_missing
from hitl.capture.models import Response
from hitl.core import clock
from hitl.core.id_lists import with_ids
from hitl.core.ids import first_id_at, new_id
from hitl.core.secrets import keys_of
from hitl.queue.fitting import Fitting, end_slow_rules
from hitl.queue.input_drawing import draw_inputs
from hitl.queue.items import Wish, want_reviews
from hitl.queue.models import Rule, RuleVersion, Selection
from hitl.queue.queries import running_rules
from hitl.queue.rules import ExpressionCondition, condition_of, draw, hears_feedback


def apply_rules(db: Session, project: Project, response_ids: Collection[UUID]) -> int:
    """See which rules these new responses are eligible for, draw, and put what was drawn into the queue.

    A response draws once for each rule, so this is safe to repeat. Returns how many items that came to.
    """
    return _apply(db, project, db.execute(running_rules(project.id)).all(), response_ids)


def apply_feedback_rules(db: Session, project: Project, response_ids: Collection[UUID]) -> int:
    """Do the same for responses that got feedback, new or old, with the rules that are about feedback.

    The other rules drew when the response came in. One that is younger must not draw now: of the older responses it
    would get only those that somebody said something about, and its sample would no longer be one of all.
    """
    rules = db.execute(running_rules(project.id)).all()
    of_feedback = [(rule, version) for rule, version in rules if condition_of(version).kind == "feedback"]
    items = _apply(db, project, of_feedback, response_ids)
    for rule, version in rules:
        condition = condition_of(version)
        if isinstance(condition, ExpressionCondition) and hears_feedback(condition):
            younger = [one for one in response_ids if one >= first_id_at(rule.created_at)]
            items += _apply(db, project, [(rule, version)], younger)
    return items


def apply_rule(db: Session, project: Project, rule: Rule, response_ids: Collection[UUID]) -> int:
    """Do the same for responses that came in before a rule, with that rule alone; nothing once it is switched off."""
    rules = db.execute(running_rules(project.id)).all()
    return _apply(db, project, [(each, version) for each, version in rules if each.id == rule.id], response_ids)


def _apply(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> int:
    if not rules or not response_ids:
        return 0
    single = [(rule, version) for rule, version in rules if version.compare is None]
    wishes = _draw_responses(db, project, single, response_ids) if single else {}
    if wishes:
        want_reviews(db, project, wishes)
    comparing = [(rule, version) for rule, version in rules if version.compare is not None]
    return len(wishes) + (draw_inputs(db, project, comparing, response_ids) if comparing else 0)


def _draw_responses(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> dict[UUID, Wish]:
    draws = _draws(db, project, rules, response_ids)
    if draws:
        # Nobody else draws for these responses, which are locked: all go in.
        columns: dict[str, Column] = dict(zip(Draw._fields, map(list, zip(*draws, strict=True)), strict=True))
        columns |= {"id": [new_id() for _ in draws], "at": Same(clock.now())}
        insert_missing(db, Selection, columns, len(draws))
    return _wishes({version.id: version for _, version in rules}, draws)


class Draw(NamedTuple):
    """That a response was eligible for a rule, and what came of it."""

    response_id: UUID
    rule_id: UUID
    rule_version_id: UUID
    rate: float
    is_drawn: bool


def _draws(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> list[Draw]:
    db.flush()
    connection, asked = db.connection(), {"ids": sorted(set(response_ids)), "project": project.id}
    rows = [Candidate(*row) for row in _CANDIDATES[connection.dialect.name].all(connection, asked)]
    known = set(_KNOWN[connection.dialect.name].all(connection, asked))
    terms = [(rule.id, version.id, version.rate, condition_of(version)) for rule, version in rules]
    fitting = Fitting(db, rows, (condition for *_, condition in terms))
    key = keys_of(db).sampling
    draws = [
        Draw(row.id, rule_id, version_id, rate, draw(key, rule_id, row.client_id or str(row.id)) < rate)
        for row in sorted(rows, key=_age)
        for rule_id, version_id, rate, condition in terms
        if (row.id, rule_id) not in known and fitting.fits(condition, row)
    ]
    if fitting.overruns:
        end_slow_rules(db, project, [(rule, condition_of(version)) for rule, version in rules], fitting.overruns)
    return draws


class Candidate(NamedTuple):
    """What rules look at in a response."""

    id: UUID
    client_id: str | None
    model: str | None
    model_version: str | None
    conversation_id: UUID | None


def _age(response: Candidate) -> int:
    """The older first; and quicker to compare than the identifier."""
    return response.id.int


_responses: Table = Response.__table__  # type: ignore[assignment]
_selections: Table = Selection.__table__  # type: ignore[assignment]
_CANDIDATES = with_ids(
    select(*(_responses.c[name] for name in Candidate._fields))
    .where(_responses.c.project_id == bindparam("project"))
    # Two applications to one response follow one another, so that it draws once for each rule.
    .with_for_update(key_share=True),
    _responses.c.id,
)
_KNOWN = with_ids(select(_selections.c.response_id, _selections.c.rule_id), _selections.c.response_id)


def _wishes(versions: dict[UUID, RuleVersion], draws: Sequence[Draw]) -> dict[UUID, Wish]:
    wishes: dict[UUID, Wish] = {}
    for one in draws:
        if one.is_drawn:
            version = versions[one.rule_version_id]
            wish = Wish(version.reviews_wanted, version.priority)
            earlier = wishes.get(one.response_id)
            wishes[one.response_id] = wish if earlier is None else earlier.joined_with(wish)
    return wishes
