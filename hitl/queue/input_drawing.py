"""Rules that compare: which inputs are drawn, and which of the responses to them are put side by side.

An input is eligible once enough different answers to it exist that different models, or versions of one, gave, and the
rule's condition fits one of them. It then draws once for each rule, by a keyed hash of the rule and the input's hash,
and that is kept whether it was drawn or not. It has nothing to do with how likely a response was to be drawn by itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.capture.words import essence_of
from hitl.core import clock
from hitl.core.database import insert_into
from hitl.core.errors import Conflict
from hitl.core.ids import new_id
from hitl.core.secrets import keys_of
from hitl.queue.comparisons import add_comparisons
from hitl.queue.fitting import Fitting, end_slow_rules
from hitl.queue.items import Wish, ensure_reviewable
from hitl.queue.models import InputSelection, Rule, RuleVersion
from hitl.queue.rules import comparing_of, condition_of, draw

# Of an input that was answered more often (a greeting may be, a million times) so many responses are looked at, and
# those that just came in.
LOOKED_AT = 500

Drawn = tuple[Rule, RuleVersion, str, list[UUID]]  # the responses to compare


def draw_inputs(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> int:
    """See which inputs of these responses are eligible for rules that compare, draw, and make comparisons.

    An input draws once for each rule, so this is safe to repeat, also at the same moment. Returns how many were drawn.
    """
    inputs = _shared_inputs(db, project, response_ids)
    known = _already_eligible(db, inputs)
    eligible: list[Drawn] = []
    for input_hash in sorted(inputs):
        waiting = [(rule, version) for rule, version in rules if (rule.id, input_hash) not in known]
        if waiting:
            eligible += _eligible(db, project, waiting, input_hash, inputs[input_hash])
    return _keep(db, project, [one for one in eligible if _can_be_judged(db, project, one)])


def _shared_inputs(db: Session, project: Project, response_ids: Collection[UUID]) -> dict[str, set[UUID]]:
    """Return by hash the inputs that somebody else answered too, and which of these responses answer each."""
    other = aliased(Response)
    is_shared = (
        select(other.id)
        .where(other.project_id == project.id, other.input_hash == Response.input_hash, other.id != Response.id)
        .exists()
    )
    found = db.execute(
        select(Response.input_hash, Response.id).where(
            Response.id.in_(response_ids), Response.project_id == project.id, is_shared
        )
    )
    inputs: dict[str, set[UUID]] = defaultdict(set)
    for input_hash, response_id in found:
        inputs[input_hash].add(response_id)
    return inputs


def _already_eligible(db: Session, input_hashes: Iterable[str]) -> set[tuple[UUID, str]]:
    draws = select(InputSelection.rule_id, InputSelection.input_hash)
    return {(rule_id, name) for rule_id, name in db.execute(draws.where(InputSelection.input_hash.in_(input_hashes)))}


def _eligible(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], input_hash: str, new_ids: set[UUID]
) -> Iterable[Drawn]:
    answers = _answers_to(db, project, input_hash, new_ids)
    conditions = [condition_of(version) for _, version in rules]
    look = Fitting(db, answers, conditions)
    for (rule, version), condition in zip(rules, conditions, strict=True):
        fitting = {row.id for row in answers if look.fits(condition, row)}
        chosen = _to_compare(db, rule, version, answers, fitting)
        if chosen:
            yield rule, version, input_hash, chosen
    if look.overruns:
        end_slow_rules(
            db,
            project,
            [(rule, condition) for (rule, _), condition in zip(rules, conditions, strict=True)],
            look.overruns,
        )


def _answers_to(db: Session, project: Project, input_hash: str, new_ids: set[UUID]) -> list[Any]:
    columns = (
        Response.id,
        Response.client_id,
        Response.model,
        Response.model_version,
        Response.conversation_id,
        Response.output,
    )
    alike = select(*columns).where(Response.project_id == project.id, Response.input_hash == input_hash)
    rows = {row.id: row for row in db.execute(alike.limit(LOOKED_AT))}
    missing = new_ids - rows.keys()
    if missing:
        rows |= {row.id: row for row in db.execute(alike.where(Response.id.in_(missing)))}
    return list(rows.values())


def _to_compare(
    db: Session, rule: Rule, version: RuleVersion, answers: Sequence[Any], fitting: set[UUID]
) -> list[UUID]:
    """Return which answers are compared, by chance but always the same; none where there are too few.

    One of each model and version, all of them different, and one that the rule's condition fits among them.
    """
    comparing = comparing_of(version)
    if comparing is None or not fitting:
        return []
    key = keys_of(db).sampling
    by_chance = sorted(answers, key=lambda row: draw(key, rule.id, f"compare {row.client_id or row.id}"))
    said = [_Said(row.id, (row.model, row.model_version), orjson.dumps(essence_of(row.output))) for row in by_chance]
    if min(len({one.source for one in said}), len({one.words for one in said})) < comparing.at_least:
        return []  # as for most inputs that are asked again and again: one model answers them all
    for first in said:
        if first.id in fitting:
            chosen = _different(first, said, comparing.at_most)
            if len(chosen) >= comparing.at_least:
                return chosen
    return []


@dataclass(frozen=True)
class _Said:
    """An answer, by what makes it differ from others."""

    id: UUID
    source: tuple[str | None, str | None]  # model and version
    words: bytes


def _different(first: _Said, answers: Sequence[_Said], at_most: int) -> list[UUID]:
    """Return this answer and others in their order, no two of one source or with the same words."""
    chosen: list[UUID] = []
    sources: set[tuple[str | None, str | None]] = set()
    words: set[bytes] = set()
    for one in (first, *answers):
        if one.source not in sources and one.words not in words and len(chosen) < at_most:
            chosen.append(one.id)
            sources.add(one.source)
            words.add(one.words)
    return chosen


def _can_be_judged(db: Session, project: Project, drawn: Drawn) -> bool:
    """Whether the rubric in use compares so many responses. Until one does, the input is not eligible."""
    try:
        ensure_reviewable(db, project, "comparison", len(drawn[3]))
    except Conflict:
        return False
    return True


def _keep(db: Session, project: Project, eligible: Sequence[Drawn]) -> int:
    """Keep the draws, and make the comparisons of those whose draw nobody else kept at the same moment."""
    # All who do this insert in the same order, so that two of them never wait for each other in a circle.
    eligible = sorted(eligible, key=lambda one: (one[0].id, one[2]))
    key = keys_of(db).sampling
    drawn: dict[tuple[UUID, str], tuple[RuleVersion, list[UUID]]] = {}
    for rule, version, input_hash, response_ids in eligible:
        is_drawn = draw(key, rule.id, input_hash) < version.rate
        if _is_first(db, rule, version, input_hash, is_drawn) and is_drawn:
            drawn[rule.id, input_hash] = (version, response_ids)
    wishes = [(ids, Wish(version.reviews_wanted, version.priority)) for version, ids in drawn.values()]
    items = add_comparisons(db, project, wishes)
    for (rule_id, input_hash), item in zip(drawn, items, strict=True):
        is_it = (InputSelection.rule_id == rule_id) & (InputSelection.input_hash == input_hash)
        db.execute(update(InputSelection).where(is_it).values(item_id=item.id))
    return len(drawn)


def _is_first(db: Session, rule: Rule, version: RuleVersion, input_hash: str, is_drawn: bool) -> bool:
    row = insert_into(db, InputSelection).values(
        id=new_id(),
        rule_id=rule.id,
        input_hash=input_hash,
        rule_version_id=version.id,
        rate=version.rate,
        is_drawn=is_drawn,
        at=clock.now(),
    )
    return db.scalar(row.on_conflict_do_nothing().returning(InputSelection.id)) is not None
