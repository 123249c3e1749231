"""Finding items: by state, kind, rule, person, age and words, a page at a time, and how many there are of each.

A list or a count costs the same however long the queue is: it walks an index and stops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, true, tuple_
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core import clock, cursors
from hitl.queue.comparisons import models_may_be_named
from hitl.queue.models import Assignment, InputSelection, Item, ItemTarget, Lease, Selection
from hitl.queue.queries import HAS_OPEN_SLOT, IS_RESERVING, is_stuck, lease_counts
from hitl.queue.search import is_found

STATES = ("open", "held", "partly", "stuck", "closed")
COUNTED = 10_000  # counting goes this far and no further

State = Literal["open", "held", "partly", "stuck", "closed"]
Kind = Literal["response", "comparison", "conversation"]
Importance = Literal["raised", "usual", "lowered"]
Sort = Literal["next", "oldest", "newest"]


@dataclass(frozen=True)
class Wanted:
    """Which items, and in which order.

    rule_id: drawn by this rule. Comparisons are found by it once models may be named: a rule may name one.
    assigned_to: reserved for this person, or taken by them from what was reserved; "nobody": for no one.
    waiting_days: in the queue for longer than that.
    search: see hitl/queue/search.py.
    also: conditions that the queue itself does not know.
    sort: next: as they are handed out; oldest and newest: by when they came in. Of closed ones, `next` is the last
        closed first.
    """

    state: State | None = None
    kind: Kind | None = None
    rule_id: UUID | None = None
    priority: Importance | None = None
    assigned_to: UUID | Literal["nobody"] | None = None
    waiting_days: int | None = None
    search: str = ""
    sort: Sort = "next"
    also: Sequence[ColumnElement[bool]] = ()


def items_page(
    db: Session, project: Project, wanted: Wanted, *, cursor: str | None, limit: int, options: Sequence[Any] = ()
) -> cursors.Page[Item]:
    """Return one page of the items. Raises BadCursor."""
    keys, newest_first = _order(wanted)
    conditions = [Item.project_id == project.id, *_conditions(db, project, wanted)]
    if cursor is not None:
        conditions.append(_after(db, project, cursor, keys, newest_first))
    ordered = [key.desc() if newest_first else key for key in keys]
    found: list[Item] = []
    sources = _sources(project, wanted.state)
    if wanted.state == "open" and wanted.search.strip():
        sources = [Item.closed_at.is_(None)]  # what was searched for is looked up first, and only once
    for source in sources:
        items = select(Item).where(source, *conditions).order_by(*ordered).limit(limit + 1)
        found += db.scalars(items.options(*options)).unique()
    found.sort(key=lambda item: [getattr(item, key.key) for key in keys], reverse=newest_first)
    rows = found[:limit]
    return cursors.Page(rows, cursors.encode(rows[-1].id) if len(found) > limit else None)


def _order(wanted: Wanted) -> tuple[list[Any], bool]:
    """Return by what the items are ordered, and whether the highest come first."""
    if wanted.sort != "next":
        return [Item.id], wanted.sort == "newest"
    if wanted.state == "closed":
        return [Item.closed_at, Item.id], True
    return [Item.sort_key, Item.id], False


def _after(db: Session, project: Project, cursor: str, keys: Sequence[Any], newest_first: bool) -> ColumnElement[bool]:
    """The condition of what follows an item, where it stands now."""
    last = db.get(Item, cursors.decode(cursor))
    if last is None or last.project_id != project.id:
        raise cursors.BadCursor(param="/cursor")
    place = [getattr(last, key.key) for key in keys]
    if None in place:  # it was closed, and opened again since
        raise cursors.BadCursor(param="/cursor")
    here, there = tuple_(*keys), tuple_(*place)
    return here < there if newest_first else here > there


def _sources(project: Project, state: State | None) -> list[ColumnElement[bool]]:
    """Return conditions, no item of two of them, that together say which items are in a state.

    What is open is looked up in two places, so that an index serves each: items with a free slot, and the few whose
    slots are all taken.
    """
    is_taken = and_(Item.open_slots == 0, Item.closed_at.is_(None), _is_taken(project))
    match state:
        case "open":
            return [HAS_OPEN_SLOT, is_taken]
        case "held":
            return [and_(Item.closed_at.is_(None), Item.id.in_(_held(project)))]
        case "partly":
            is_begun = exists().where(Lease.item_id == Item.id, Lease.ended_as == "completed", Lease.holds_slot)
            # Read from the item first: where as many slots are open as reviews are wanted, none is in.
            return [and_(HAS_OPEN_SLOT, Item.open_slots < Item.reviews_wanted, is_begun), and_(is_taken, is_begun)]
        case "stuck":
            return [and_(HAS_OPEN_SLOT, is_stuck(project)), and_(is_taken, is_stuck(project))]
        case "closed":
            return [Item.closed_at.is_not(None)]
    return [true()]


def _held(project: Project) -> Any:
    return select(Lease.item_id).where(Lease.project_id == project.id, Lease.ended_as.is_(None))


def _is_taken(project: Project) -> ColumnElement[bool]:
    return or_(Item.id.in_(_held(project)), Item.id.in_(select(Assignment.item_id).where(IS_RESERVING)))


def _conditions(db: Session, project: Project, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = list(wanted.also)
    if wanted.kind is not None:
        conditions.append(Item.kind == wanted.kind)
    if wanted.rule_id is not None:
        conditions.append(_is_drawn_by(wanted.rule_id))
    if wanted.priority is not None:
        ranges = {"raised": Item.priority > 0, "usual": Item.priority == 0, "lowered": Item.priority < 0}
        conditions.append(ranges[wanted.priority])
    if wanted.assigned_to is not None:
        conditions.append(_is_assigned_to(wanted.assigned_to))
    if wanted.waiting_days is not None:
        conditions.append(Item.created_at < clock.now() - timedelta(days=wanted.waiting_days))
    if wanted.search.strip():
        conditions.append(is_found(db, project, wanted.search))
    return conditions


def _is_drawn_by(rule_id: UUID) -> ColumnElement[bool]:
    drew_response = exists().where(
        ItemTarget.item_id == Item.id,
        Selection.response_id == ItemTarget.response_id,
        Selection.rule_id == rule_id,
        Selection.is_drawn,
    )
    drew_input = exists().where(InputSelection.item_id == Item.id, InputSelection.rule_id == rule_id)
    return or_(
        and_(Item.kind == "response", drew_response),
        and_(Item.kind == "comparison", models_may_be_named(), drew_input),
    )


def _is_assigned_to(person: UUID | Literal["nobody"]) -> ColumnElement[bool]:
    standing = Assignment.ended_at.is_(None)
    if person == "nobody":
        return ~exists().where(Assignment.item_id == Item.id, standing)
    return Item.id.in_(select(Assignment.item_id).where(Assignment.reviewer_id == person, standing))


@dataclass(frozen=True)
class Counts:
    """How many items there are, each up to COUNTED."""

    open_by_kind: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    holders: int = 0
    partly: int = 0
    stuck: int = 0
    closed: int = 0
    closed_today: int = 0

    @property
    def open(self) -> int:
        """All that are not closed."""
        return min(COUNTED, sum(self.open_by_kind.values()))


def counts(db: Session, project: Project, midnight: datetime) -> Counts:
    """Count the items of a project. midnight: when today began."""
    held, holders = db.execute(lease_counts(project)).one()
    return Counts(
        open_by_kind=_by_kind(db, project),
        held=held,
        holders=holders,
        partly=_count(db, project, "partly"),
        stuck=_count(db, project, "stuck"),
        closed=_count(db, project, "closed"),
        closed_today=_count(db, project, "closed", Item.closed_at >= midnight),
    )


def _count(db: Session, project: Project, state: State, *conditions: ColumnElement[bool]) -> int:
    total = 0
    for source in _sources(project, state):
        some = select(Item.id).where(Item.project_id == project.id, source, *conditions).limit(COUNTED - total)
        total += db.scalar(select(func.count()).select_from(some.subquery())) or 0
    return total


def _by_kind(db: Session, project: Project) -> dict[str, int]:
    by_kind: dict[str, int] = {}
    for source in _sources(project, "open"):
        some = select(Item.kind).where(Item.project_id == project.id, source).limit(COUNTED).subquery()
        for kind, count in db.execute(select(some.c.kind, func.count()).group_by(some.c.kind)):
            by_kind[kind] = by_kind.get(kind, 0) + count
    return by_kind
