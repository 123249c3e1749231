"""What waits, and who has it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Exists,
    ScalarSelect,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from hitl.accounts.models import Membership, Project, User
from hitl.accounts.permissions import ROLES, Permission
from hitl.core.ids import first_id_at
from hitl.queue.models import Assignment, InputSelection, Item, ItemTarget, Lease, Rule, RuleVersion, Selection

# Completed and skipped bar a person from an item; given back and expired do not.
BARRING_ENDS = ("completed", "skipped")
REVIEWING_ROLES = tuple(role for role, permissions in ROLES.items() if Permission.REVIEW in permissions)
# Said with the number itself: a bound value would hide from SQLite that the index of open items serves.
HAS_OPEN_SLOT: ColumnElement[bool] = Item.open_slots > literal_column("0")
# Said with its end, though an ended assignment reserves nothing: the indices are of those that stand.
IS_RESERVING: ColumnElement[bool] = and_(Assignment.ended_at.is_(None), Assignment.is_reserving)

IdColumn: TypeAlias = InstrumentedAttribute[UUID]


def running_leases(reviewer: User, project: Project) -> Select[Lease]:
    """What a person holds in a project, oldest first. Leases whose time is over are among them until they are swept."""
    return (
        select(Lease)
        .where(Lease.reviewer_id == reviewer.id, Lease.project_id == project.id, Lease.ended_as.is_(None))
        .order_by(Lease.started_at, Lease.id)
    )


def open_items(project: Project) -> Select[Item]:
    """Items that are not closed, in the order in which they are handed out."""
    return select(Item).where(Item.project_id == project.id, Item.closed_at.is_(None)).order_by(Item.sort_key, Item.id)


def items_of_project(project: Project) -> Select[Item]:
    """All items, in no order."""
    return select(Item).where(Item.project_id == project.id)


@dataclass(frozen=True)
class SlotCounts:
    """Where an item's slots are, those aside that are open."""

    counted: int = 0
    running: int = 0
    reserved: int = 0


def slot_counts(db: Session, item_ids: Collection[UUID]) -> dict[UUID, SlotCounts]:
    """Return where the slots of several items are; an item whose slots are all open is left out."""
    held = select(
        Lease.item_id,
        func.count().filter(Lease.ended_as == "completed").label("counted"),
        func.count().filter(Lease.ended_as.is_(None)).label("running"),
        literal(0).label("reserved"),
    ).where(Lease.item_id.in_(item_ids), Lease.holds_slot)
    kept = select(Assignment.item_id, literal(0), literal(0), func.count()).where(
        Assignment.item_id.in_(item_ids), IS_RESERVING
    )
    both = union_all(held.group_by(Lease.item_id), kept.group_by(Assignment.item_id)).subquery()
    sums = select(
        both.c.item_id, func.sum(both.c.counted), func.sum(both.c.running), func.sum(both.c.reserved)
    ).group_by(both.c.item_id)
    return {item_id: SlotCounts(*map(int, counts)) for item_id, *counts in db.execute(sums)}


def items_of_responses(response_ids: Collection[UUID]) -> Select[UUID | None, Item]:
    """Response ids and the items of kind "response" about them: at most one for each."""
    return (
        select(ItemTarget.response_id, Item)
        .join(Item, Item.id == ItemTarget.item_id)
        .where(ItemTarget.response_id.in_(response_ids), Item.kind == "response")
    )


def items_open_to(reviewer: User, project: Project) -> Select[UUID]:
    """Ids of the items that have an open slot and that a person has not dealt with, in the order of the queue."""
    is_new = and_(~has_dealt_with(Item.id, reviewer.id), ~has_assignment(Item.id, reviewer.id))
    is_open_to_them = and_(Item.project_id == project.id, HAS_OPEN_SLOT, is_new)
    return select(Item.id).where(is_open_to_them).order_by(Item.sort_key, Item.id)


def items_reserved_for(reviewer: User, project: Project) -> Select[UUID]:
    """Ids of the items that keep a slot for a person."""
    mine = and_(Assignment.reviewer_id == reviewer.id, IS_RESERVING)
    return (
        select(Assignment.item_id)
        .join(Item, Item.id == Assignment.item_id)
        .where(mine, is_of_project(Item.project_id, project.id))
    )


def items_added_since(project: Project, moment: datetime) -> Select[int]:
    """How many items came into a project since a moment."""
    since = and_(Item.project_id == project.id, Item.id >= first_id_at(moment))
    return select(func.count()).select_from(Item).where(since)


def counts_by_state(project: Project) -> Select[int, int, int, int]:
    """How many items are open, wait with an open slot, are partly done, and are closed."""
    is_open = Item.closed_at.is_(None)
    is_partly_done = exists().where(Lease.item_id == Item.id, Lease.ended_as == "completed", Lease.holds_slot)
    return select(
        func.count().filter(is_open),
        func.count().filter(is_open, HAS_OPEN_SLOT),
        func.count().filter(is_open, is_partly_done),
        func.count().filter(~is_open),
    ).where(Item.project_id == project.id)


def lease_counts(project: Project) -> Select[int, int]:
    """How many leases run in a project, and how many people hold them."""
    return select(func.count(), func.count(Lease.reviewer_id.distinct())).where(
        Lease.project_id == project.id, Lease.ended_as.is_(None)
    )


def holdings(project: Project) -> Select[UUID, int, int]:
    """By person: how many items of a project they hold, and how many are kept for them."""
    held = select(Lease.reviewer_id, literal(1).label("held"), literal(0).label("kept")).where(
        Lease.project_id == project.id, Lease.ended_as.is_(None)
    )
    kept = (
        select(Assignment.reviewer_id, literal(0), literal(1))
        .join(Item, Item.id == Assignment.item_id)
        .where(Item.project_id == project.id, IS_RESERVING)
    )
    both = union_all(held, kept).subquery()
    return select(both.c.reviewer_id, func.sum(both.c.held), func.sum(both.c.kept)).group_by(both.c.reviewer_id)


def stuck_items(project: Project) -> Select[Item]:
    """Items that nobody can finish: a slot is open to nobody eligible, or reserved for somebody who is no longer."""
    return open_items(project).where(is_stuck(project))


def is_stuck(project: Project) -> ColumnElement[bool]:
    """Whether nobody can finish an item."""
    return or_(_is_open_to_nobody(project), _is_reserved_in_vain(project))


def stuck_count(project: Project) -> Select[int]:
    """How many items are stuck."""
    return select(func.count()).select_from(stuck_items(project).order_by(None).subquery())


def _is_open_to_nobody(project: Project) -> ColumnElement[bool]:
    # Said which rows are meant: of an EXISTS within another, only the next one outside would be taken by itself.
    has_dealt = has_dealt_with(Item.id, Membership.user_id).correlate(Item, Membership)
    is_assigned = has_assignment(Item.id, Membership.user_id).correlate(Item, Membership)
    somebody = exists().where(*_may_review(project.id), ~has_dealt, ~is_assigned).correlate(Item)
    # Most items were never touched: they are open to whoever there is, which is found out once for all of them.
    anybody = exists().where(*_may_review(project.id)).correlate(None)
    is_touched = or_(
        exists().where(Lease.item_id == Item.id).correlate(Item),
        exists().where(Assignment.item_id == Item.id).correlate(Item),
    )
    return and_(HAS_OPEN_SLOT, or_(~anybody, is_touched), ~somebody)


def _is_reserved_in_vain(project: Project) -> ColumnElement[bool]:
    still_there = exists().where(*_may_review(project.id), Membership.user_id == Assignment.reviewer_id)
    reserved = exists().where(Assignment.item_id == Item.id, IS_RESERVING, ~still_there.correlate(Assignment))
    return reserved.correlate(Item)


def _may_review(project_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        Membership.project_id == project_id,
        Membership.role.in_(REVIEWING_ROLES),
        Membership.user_id == User.id,
        User.deactivated_at.is_(None),
    )


def reviewers(project: Project) -> Select[User]:
    """Active members who may review, by name."""
    return select(User).where(*_may_review(project.id)).order_by(User.name, User.id)


def has_dealt_with(item_id: IdColumn, reviewer_id: UUID | IdColumn) -> Exists:
    """Whether a person holds an item, or is barred from it."""
    lease = aliased(Lease)
    return exists().where(
        lease.item_id == item_id,
        lease.reviewer_id == reviewer_id,
        or_(lease.ended_as.is_(None), lease.ended_as.in_(BARRING_ENDS)),
    )


def has_assignment(item_id: IdColumn, reviewer_id: UUID | IdColumn) -> Exists:
    """Whether an item is assigned to a person."""
    assignment = aliased(Assignment)
    return exists().where(
        assignment.item_id == item_id, assignment.reviewer_id == reviewer_id, assignment.ended_at.is_(None)
    )


def is_of_project(project_id: Any, wanted: Any) -> ColumnElement[bool]:
    """Whether an item found by its id is of a project, said so that no index over projects is used for it.

    SQLite would rather read all items of the project than the few that are assigned to a person.
    """
    is_theirs: ColumnElement[bool] = case((project_id == wanted, 1)) == 1
    return is_theirs


def leases_of(item: Item) -> Select[Lease]:
    """Everyone who held an item, in order."""
    return select(Lease).where(Lease.item_id == item.id).order_by(Lease.started_at, Lease.id)


def standing_assignments(item: Item) -> Select[Assignment]:
    """Who an item is assigned to, in order."""
    return (
        select(Assignment)
        .where(Assignment.item_id == item.id, Assignment.ended_at.is_(None))
        .order_by(Assignment.created_at, Assignment.id)
    )


def running_rules(project_id: UUID) -> Select[Rule, RuleVersion]:
    """The rules that are switched on, each with its newest version, by name."""
    later = aliased(RuleVersion)
    is_newest = ~exists().where(later.rule_id == RuleVersion.rule_id, later.number > RuleVersion.number)
    return (
        select(Rule, RuleVersion)
        .join(RuleVersion, RuleVersion.rule_id == Rule.id)
        .where(Rule.project_id == project_id, Rule.ended_at.is_(None), is_newest)
        .order_by(Rule.name)
    )


def rule_of_name(project: Project, name: str) -> Select[Rule]:
    """The rule with this name, switched on or off."""
    return select(Rule).where(Rule.project_id == project.id, Rule.name == name)


def rule_tallies(project: Project) -> Select[UUID, int, int]:
    """By rule: how many responses, or inputs, were eligible for it, and how many of those were drawn."""

    def count(table: type[Selection] | type[InputSelection], *which: Any) -> ScalarSelect[int]:
        return select(func.count()).select_from(table).where(table.rule_id == Rule.id, *which).scalar_subquery()

    return select(
        Rule.id,
        count(Selection) + count(InputSelection),
        count(Selection, Selection.is_drawn) + count(InputSelection, InputSelection.is_drawn),
    ).where(Rule.project_id == project.id)


def selections_of(response_id: UUID) -> Select[Selection]:
    """The rules that a response was eligible for, in order."""
    return select(Selection).where(Selection.response_id == response_id).order_by(Selection.at, Selection.id)
