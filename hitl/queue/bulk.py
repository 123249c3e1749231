"""What a lead does with several items at once: in one transaction, and each that it cannot be done with says why."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Membership, Project, User
from hitl.core.errors import Conflict, NotFound
from hitl.queue import items, leases
from hitl.queue.errors import ItemClosed, NobodyHasIt
from hitl.queue.models import Assignment, Item, Lease
from hitl.queue.slots import lock_items, lock_reviewer

MAX_CHOSEN = 100


@dataclass
class Outcome:
    """How many items it was done with, and why not with the others: how many of them for each reason, as a sentence."""

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def assign_all(db: Session, project: Project, item_ids: Collection[UUID], reviewer: User, by: User) -> Outcome:
    """Reserve an open slot of each item for a person. Raises NotFound, NotAReviewer."""
    lock_reviewer(db, reviewer.id, project.id)
    return _with_each(db, _locked(db, project, item_ids), lambda item: items.assign(db, item, reviewer, by))


def close_all(db: Session, project: Project, item_ids: Collection[UUID], by: User) -> Outcome:
    """Let each item want no more reviews than it has. Raises NotFound."""
    return _with_each(db, _locked(db, project, item_ids), lambda item: items.close_by_hand(db, item, by))


def put_back_all(db: Session, project: Project, item_ids: Collection[UUID], by: User) -> Outcome:
    """Take each item from whoever holds it or has it reserved, so that anybody may review it. Raises NotFound.

    What they filled in is kept as their draft.
    """
    people = _lock_those_who_have(db, project, item_ids)
    return _with_each(db, _locked(db, project, item_ids), lambda item: _put_back(db, item, people, by))


def _put_back(db: Session, item: Item, people: Collection[UUID], by: User) -> None:
    """Take an item from these people. Who took it just now, and is not locked, keeps it."""
    if item.closed_at is not None:
        raise ItemClosed
    running = db.scalars(_running_on([item.id]).where(Lease.reviewer_id.in_(people))).all()
    for lease in running:
        leases.take_away(db, lease, by)
    standing = db.scalars(_standing_on([item.id]).where(Assignment.reviewer_id.in_(people))).all()
    for assignment in standing:
        items.unassign(db, assignment, by)
    if not running and not standing:
        raise NobodyHasIt


def _running_on(item_ids: Collection[UUID]) -> Select[Lease]:
    return select(Lease).where(Lease.item_id.in_(item_ids), Lease.ended_as.is_(None))


def _standing_on(item_ids: Collection[UUID]) -> Select[Assignment]:
    return select(Assignment).where(Assignment.item_id.in_(item_ids), Assignment.ended_at.is_(None))


def _with_each(db: Session, chosen: Collection[Item], act: Callable[[Item], object]) -> Outcome:
    outcome = Outcome()
    for item in chosen:
        try:
            with db.begin_nested():
                act(item)
        except Conflict as refusal:
            outcome.refused[refusal.message] += 1
        else:
            outcome.done += 1
    return outcome


def _locked(db: Session, project: Project, item_ids: Collection[UUID]) -> list[Item]:
    """Lock items of this project. Raises NotFound if one of them is not."""
    chosen = lock_items(db, item_ids)
    if len(chosen) < len(set(item_ids)) or any(item.project_id != project.id for item in chosen):
        raise NotFound
    return chosen


def _lock_those_who_have(db: Session, project: Project, item_ids: Collection[UUID]) -> set[UUID]:
    """Lock people before items, as in hitl/queue/slots.py."""
    found = (*db.scalars(_running_on(item_ids)), *db.scalars(_standing_on(item_ids)))
    people = {one.reviewer_id for one in found}
    theirs = select(Membership.id).where(Membership.project_id == project.id, Membership.user_id.in_(people))
    db.scalars(theirs.order_by(Membership.id).with_for_update(key_share=True)).all()
    return people
