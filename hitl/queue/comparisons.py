"""Comparisons: items about several responses to the same input."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, delete, exists, select
from sqlalchemy.orm import Session, aliased

from hitl.accounts.models import Project, User
from hitl.capture.models import Response
from hitl.capture.words import essence_of
from hitl.core.database import insert_into
from hitl.queue.errors import (
    DifferentInputs,
    SameAnswers,
    SameResponseTwice,
    UnknownResponses,
    WrongNumberToCompare,
)
from hitl.queue.items import Target, Wish, ensure_reviewable, insert_items, raise_items
from hitl.queue.models import MAX_COMPARED, ComparedSet, Item, ItemTarget


def add_comparisons(
    db: Session,
    project: Project,
    wishes: Sequence[tuple[Sequence[UUID], Wish]],
    *,
    added_by: User | None = None,
    at: str = "",
) -> list[Item]:
    """Put comparisons into the queue, and return their items in the same order.

    wishes: by our ids, the responses to compare, and how many reviews that should get and how soon. The same responses
        are compared in one item only, whatever their order: one that is there gets the more reviews and the higher
        priority of both wishes.
    at: JSON pointer of the list of wishes, for the `param` of errors.
    Raises WrongNumberToCompare, SameResponseTwice, UnknownResponses, DifferentInputs, SameAnswers; NoRubric, and what
    review says where the rubric in use compares no so many responses.
    """
    responses = _responses(db, project, {response_id for ids, _ in wishes for response_id in ids})
    for place, (ids, _) in enumerate(wishes):
        _ensure_comparable(db, project, ids, responses, f"{at}/{place}")
    hashes = [_hash_of(ids) for ids, _ in wishes]
    wanted: dict[str, tuple[Sequence[UUID], Wish]] = {}
    for name, (ids, wish) in zip(hashes, wishes, strict=True):
        wanted[name] = (ids, wanted[name][1].joined_with(wish) if name in wanted else wish)
    known = _known(db, wanted)
    fresh = {name: wanted[name] for name in sorted(wanted) if name not in known}
    made = _make(db, project, fresh, added_by) if fresh else {}
    known = _known(db, wanted)
    raise_items(db, {item_id: wanted[name][1] for name, item_id in known.items() if made.get(name) != item_id})
    return [db.get_one(Item, known[name]) for name in hashes]


def may_name_models(db: Session, item: Item) -> bool:
    """Whether it may be told which model wrote what a comparison compares."""
    return db.scalar(select(Item.id).where(Item.id == item.id, models_may_be_named())) is not None


def models_may_be_named() -> ColumnElement[bool]:
    """The same as a condition on items.

    Only when it is closed, and no other comparison of any of these responses is open: its reviewers would know them by
    their words.
    """
    here, there, other = aliased(ItemTarget), aliased(ItemTarget), aliased(Item)
    is_compared_elsewhere = exists().where(
        here.item_id == Item.id,
        there.response_id == here.response_id,
        other.id == there.item_id,
        other.kind == "comparison",
        other.closed_at.is_(None),
    )
    return and_(Item.closed_at.is_not(None), ~is_compared_elsewhere)


def _responses(db: Session, project: Project, response_ids: Iterable[UUID]) -> dict[UUID, Any]:
    theirs = select(Response.id, Response.input_hash, Response.output).where(
        Response.id.in_(response_ids), Response.project_id == project.id
    )
    return {row.id: row for row in db.execute(theirs)}


def _ensure_comparable(db: Session, project: Project, ids: Sequence[UUID], responses: dict[UUID, Any], at: str) -> None:
    if not 2 <= len(ids) <= MAX_COMPARED:
        raise WrongNumberToCompare(param=at)
    if len(set(ids)) < len(ids):
        raise SameResponseTwice(param=at)
    if any(response_id not in responses for response_id in ids):
        raise UnknownResponses(param=at)
    compared = [responses[response_id] for response_id in ids]
    if len({response.input_hash for response in compared}) > 1:
        raise DifferentInputs(param=at)
    if len({orjson.dumps(essence_of(response.output)) for response in compared}) == 1:
        raise SameAnswers(param=at)
    ensure_reviewable(db, project, "comparison", len(ids))


def _hash_of(response_ids: Iterable[UUID]) -> str:
    return hashlib.sha256(b"".join(sorted(response_id.bytes for response_id in response_ids))).hexdigest()


def _known(db: Session, hashes: Iterable[str]) -> dict[str, UUID]:
    sets = select(ComparedSet.responses_hash, ComparedSet.item_id).where(ComparedSet.responses_hash.in_(list(hashes)))
    return {row.responses_hash: row.item_id for row in db.execute(sets)}


def _make(
    db: Session, project: Project, wanted: dict[str, tuple[Sequence[UUID], Wish]], added_by: User | None
) -> dict[str, UUID]:
    """Make the items of these sets, by hash; not of those that somebody else made at the same moment."""
    targets = [([Target(response_id) for response_id in ids], wish) for ids, wish in wanted.values()]
    item_ids = dict(zip(wanted, insert_items(db, project, targets, "comparison", added_by), strict=True))
    rows = [{"responses_hash": name, "item_id": item_id} for name, item_id in item_ids.items()]
    stored = insert_into(db, ComparedSet).values(rows).on_conflict_do_nothing().returning(ComparedSet.responses_hash)
    kept = set(db.scalars(stored))
    lost = [item_id for name, item_id in item_ids.items() if name not in kept]
    if lost:
        db.execute(delete(Item).where(Item.id.in_(lost)))
    return {name: item_ids[name] for name in kept}
