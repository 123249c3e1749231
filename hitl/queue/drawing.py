"""Applying the rules: seeing which of them responses are eligible for, drawing, and filling the queue."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.bulk import Column, Same, insert_missing
from hitl.capture.models import Response
from hitl.core import clock
from hitl.core.id_lists import with_ids
from hitl.core.ids import new_id
from hitl.core.secrets import keys_of
from hitl.queue.fitting import feedback_about, fits
from hitl.queue.input_drawing import draw_inputs
from hitl.queue.items import Wish, want_reviews
from hitl.queue.models import Rule, RuleVersion, Selection
from hitl.queue.queries import running_rules
from hitl.queue.rules import condition_of, draw


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
    about_feedback = [(rule, version) for rule, version in rules if condition_of(version).kind == "feedback"]
    return _apply(db, project, about_feedback, response_ids)


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
    eligible = _newly_eligible(db, project, rules, response_ids)
    if eligible:
        # Nobody else draws for these responses, which are locked: all go in.
        columns: dict[str, Column] = {name: [one[name] for one in eligible] for name in eligible[0]}
        insert_missing(db, Selection, {**columns, "at": Same(clock.now())}, len(eligible))
    return _wishes({version.id: version for _, version in rules}, eligible)


def _newly_eligible(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> list[dict[str, Any]]:
    db.flush()
    connection, asked = db.connection(), {"ids": sorted(set(response_ids))}
    found = [Candidate(*row) for row in _CANDIDATES[connection.dialect.name].all(connection, asked)]
    rows = sorted(row for row in found if row.project_id == project.id)
    known = set(_KNOWN[connection.dialect.name].all(connection, asked))
    conditions = [(rule, version, condition_of(version)) for rule, version in rules]
    feedback = feedback_about(db, rows, (condition for _, _, condition in conditions))
    key = keys_of(db).sampling
    return [
        _selection(key, rule, version, row)
        for row in rows
        for rule, version, condition in conditions
        if (row.id, rule.id) not in known and fits(condition, row, feedback.get(row.id, ()))
    ]


class Candidate(NamedTuple):
    """What rules look at in a response."""

    id: UUID
    project_id: UUID
    client_id: str | None
    model: str | None
    model_version: str | None
    conversation_id: UUID | None


_responses: Table = Response.__table__  # type: ignore[assignment]
_selections: Table = Selection.__table__  # type: ignore[assignment]
_CANDIDATES = with_ids(
    # Two applications to one response follow one another, so that it draws once for each rule.
    select(*(_responses.c[name] for name in Candidate._fields)).with_for_update(key_share=True),
    _responses.c.id,
)
_KNOWN = with_ids(select(_selections.c.response_id, _selections.c.rule_id), _selections.c.response_id)


def _selection(key: bytes, rule: Rule, version: RuleVersion, response: Candidate) -> dict[str, Any]:
    drawn = draw(key, rule.id, response.client_id or str(response.id))
    return {
        "id": new_id(),
        "response_id": response.id,
        "rule_id": rule.id,
        "rule_version_id": version.id,
        "rate": version.rate,
        "is_drawn": drawn < version.rate,
    }


def _wishes(versions: dict[UUID, RuleVersion], eligible: Sequence[dict[str, Any]]) -> dict[UUID, Wish]:
    wishes: dict[UUID, Wish] = {}
    for selection in eligible:
        if selection["is_drawn"]:
            version = versions[selection["rule_version_id"]]
            wish = Wish(version.reviews_wanted, version.priority)
            response_id = selection["response_id"]
            wishes[response_id] = wishes[response_id].joined_with(wish) if response_id in wishes else wish
    return wishes
