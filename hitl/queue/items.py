"""Items: what waits for review, how many reviews it wants, and for whom it is reserved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Membership, Project, User
from hitl.capture.bulk import Column, Same, insert_missing
from hitl.capture.models import Response
from hitl.core import clock, events, feeds
from hitl.core.errors import NotFound
from hitl.core.ids import new_id
from hitl.core.prepared import Prepared
from hitl.queue.errors import (
    AlreadyTheirs,
    FewerThanCounted,
    ItemClosed,
    NoOpenSlot,
    NoRubric,
    NotAReviewer,
    NotTheirsAgain,
    UnknownResponses,
)
from hitl.queue.events import ItemsWanted
from hitl.queue.models import Assignment, Item, ItemTarget, Lease
from hitl.queue.openings import opening_number
from hitl.queue.queries import BARRING_ENDS, items_of_responses, reviewers, standing_assignments
from hitl.queue.search import index_later
from hitl.queue.slots import end_assignment, lock_item, lock_items, lock_reviewer, settle, take_open_slot
from hitl.queue.sweeping import release

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Wish:
    """How many reviews a response should get, and how soon: each step of priority counts like a day of waiting."""

    reviews_wanted: int = 1
    priority: int = 0

    def joined_with(self, other: "Wish") -> "Wish":
        """Return the wish that satisfies both."""
        return Wish(max(self.reviews_wanted, other.reviews_wanted), max(self.priority, other.priority))


@dataclass(frozen=True)
class Target:
    """What an item is about: one of the two."""

    response_id: UUID | None = None
    conversation_id: UUID | None = None


def sort_key(created_at: datetime, priority: int) -> float:
    """Return an item's place in the queue, in seconds; the lowest goes first.

    It never changes with time, so that nothing has to be rewritten, and whatever waits long enough comes first.
    """
    return created_at.timestamp() - priority * DAY_SECONDS


def add_item(
    db: Session,
    project: Project,
    responses: Sequence[Response],
    *,
    reviews_wanted: int = 1,
    priority: int = 0,
    added_by: User | None = None,
    created_at: datetime | None = None,
) -> Item:
    """Put one response into the queue.

    A response has one item of its own: one that is there gets the more reviews and the higher priority of both wishes.
    Raises NoRubric, UnknownResponses for a response of another project.
    """
    (response,) = responses
    wish = Wish(reviews_wanted, priority)
    return add_items(db, project, {response.id: wish}, added_by=added_by, created_at=created_at)[response.id]


def add_items(
    db: Session,
    project: Project,
    wishes: Mapping[UUID, Wish],
    *,
    added_by: User | None = None,
    created_at: datetime | None = None,
) -> dict[UUID, Item]:
    """Put many responses into the queue, each as an item of its own, and return the items by response.

    wishes: by response id. Those that have an item keep it, with the more reviews and the higher priority.
    Raises NoRubric, UnknownResponses.
    """
    want_reviews(db, project, wishes, added_by, created_at)
    return _items_by_response(db, wishes)


def want_reviews(
    db: Session,
    project: Project,
    wishes: Mapping[UUID, Wish],
    added_by: User | None = None,
    created_at: datetime | None = None,
) -> None:
    """Do the same for who does not look at the items."""
    _lock_responses(db, project, wishes)
    known = _items_by_response(db, wishes)
    if known:
        raise_items(db, {item.id: wishes[response_id] for response_id, item in known.items()})
    fresh = [([Target(response_id)], wish) for response_id, wish in wishes.items() if response_id not in known]
    insert_items(db, project, fresh, "response", added_by, created_at)


def _items_by_response(db: Session, response_ids: Mapping[UUID, Wish]) -> dict[UUID, Item]:
    rows = db.execute(items_of_responses(response_ids.keys()))
    return {response_id: item for response_id, item in rows if response_id is not None}


def _lock_responses(db: Session, project: Project, response_ids: Sequence[UUID] | Mapping[UUID, Wish]) -> None:
    """Let those who add items for the same responses follow one another, so that each response gets one item."""
    ids = set(response_ids)
    theirs = select(Response.id).where(Response.id.in_(ids), Response.project_id == project.id).order_by(Response.id)
    if len(db.scalars(theirs.with_for_update(key_share=True)).all()) < len(ids):
        raise UnknownResponses


def insert_items(
    db: Session,
    project: Project,
    wanted: Sequence[tuple[Sequence[Target], Wish]],
    kind: str,
    added_by: User | None,
    created_at: datetime | None = None,
) -> list[UUID]:
    """Store new items with what they are about, and return their ids. Raises NoRubric."""
    if not wanted:
        return []
    if project.rubric_version_id is None:
        raise NoRubric
    created_at = created_at or clock.now()
    ids = [new_id() for _ in wanted]
    wishes = [wish for _, wish in wanted]
    (opened_in,) = _OPENING_NUMBER.first(db.connection(), {}) or (0,)
    items: dict[str, Column] = {
        "id": ids,
        "project_id": Same(project.id),
        "kind": Same(kind),
        "rubric_version_id": Same(project.rubric_version_id),
        "priority": [wish.priority for wish in wishes],
        "sort_key": [sort_key(created_at, wish.priority) for wish in wishes],
        "reviews_wanted": [wish.reviews_wanted for wish in wishes],
        "open_slots": [wish.reviews_wanted for wish in wishes],
        "opened_in": Same(opened_in),
        "created_at": Same(created_at),
        "added_by_id": Same(None if added_by is None else added_by.id),
        "feed_number": Same(feeds.number_of(db.connection())),
    }
    rows = [
        (item_id, position, target)
        for item_id, (about, _) in zip(ids, wanted, strict=True)
        for position, target in enumerate(about)
    ]
    targets: dict[str, Column] = {
        "item_id": [item_id for item_id, _, _ in rows],
        "position": [position for _, position, _ in rows],
        "response_id": [target.response_id for _, _, target in rows],
        "conversation_id": [target.conversation_id for _, _, target in rows],
    }
    insert_missing(db, Item, items, len(ids))
    insert_missing(db, ItemTarget, targets, len(rows))
    index_later(db, _responses_of(wanted))
    return ids


_OPENING_NUMBER = Prepared(select(opening_number().label("number")))


def _responses_of(wanted: Sequence[tuple[Sequence[Target], Wish]]) -> list[UUID]:
    """Return the ids of the responses that are asked about, each once."""
    named = (target.response_id for targets, _ in wanted for target in targets)
    return list(dict.fromkeys(response_id for response_id in named if response_id is not None))


def ensure_reviewable(db: Session, project: Project, kind: str, response_count: int = 1) -> None:
    """Check that the rubric in use asks something of items of a kind.

    Raises NoRubric; and what whoever knows rubrics says, see hitl/review/subscribers.py.
    """
    if project.rubric_version_id is None:
        raise NoRubric
    events.publish(db, ItemsWanted(project.rubric_version_id, kind, response_count))


def raise_items(db: Session, wishes: Mapping[UUID, Wish]) -> None:
    """Let items, by their ids, want at least this much."""
    for item in lock_items(db, wishes):
        _raise_to(db, item, wishes[item.id])


def _raise_to(db: Session, item: Item, wish: Wish) -> None:
    """Let a locked item want at least this much."""
    if wish.reviews_wanted > item.reviews_wanted:
        _open_more(db, item, wish.reviews_wanted)
    if wish.priority > item.priority:
        _move(db, item, wish.priority)


def item_of_project(db: Session, item_id: UUID, project: Project) -> Item:
    """Return an item. Raises NotFound if it is not of this project."""
    item = db.get(Item, item_id)
    if item is None or item.project_id != project.id:
        raise NotFound
    return item


def change_priority(db: Session, item: Item, priority: int, by: User | None = None) -> None:
    """Move an item forward or back in the queue."""
    if priority != item.priority:
        _record(db, by, "item_priority_changed", item, priority=priority, before=item.priority)
    _move(db, item, priority)


def _move(db: Session, item: Item, priority: int) -> None:
    item.priority = priority
    item.sort_key = sort_key(item.created_at, priority)
    item.opened_in = opening_number()  # it may now be before what some have passed
    db.flush()


def change_reviews_wanted(db: Session, item: Item, wanted: int, by: User | None = None) -> None:
    """Let an item get more reviews or fewer.

    More: slots open, and a closed item opens again. Fewer: open slots go first, then reservations, then running leases
    lose their slot, the newest first, so that their reviews will be extras. Raises FewerThanCounted.
    """
    item = lock_item(db, item.id)
    if wanted != item.reviews_wanted:
        _record(db, by, "reviews_wanted_changed", item, reviews_wanted=wanted, before=item.reviews_wanted)
    if wanted > item.reviews_wanted:
        _open_more(db, item, wanted)
    else:
        _want_fewer(db, item, wanted)
        settle(db, item)
        db.flush()


def close_by_hand(db: Session, item: Item, by: User | None = None) -> None:
    """Let an item want no more reviews than it has. Who is at it may finish; their review is an extra.

    Raises ItemClosed.
    """
    item = lock_item(db, item.id)
    if item.closed_at is not None:
        raise ItemClosed
    _want_fewer(db, item, counted_reviews(db, item))
    item.closed_at, item.closed_as = clock.now(), "by_hand"
    _record(db, by, "item_closed", item)
    db.flush()


def _record(db: Session, by: User | None, action: str, item: Item, **details: Any) -> None:
    audit.record(db, by, action, item, db.get_one(Project, item.project_id), **details)


def counted_reviews(db: Session, item: Item) -> int:
    """Return how many counted reviews an item has."""
    return len(_leases_with_slot(db, item, running=False))


def _open_more(db: Session, item: Item, wanted: int) -> None:
    item.open_slots += wanted - item.reviews_wanted
    item.opened_in = opening_number()
    item.reviews_wanted = wanted
    settle(db, item)
    db.flush()


def _want_fewer(db: Session, item: Item, wanted: int) -> None:
    if wanted < counted_reviews(db, item):
        raise FewerThanCounted(param="/reviews_wanted")
    surplus = item.reviews_wanted - wanted
    item.reviews_wanted = wanted
    from_open = min(surplus, item.open_slots)
    item.open_slots -= from_open
    surplus -= from_open
    reserving = [assignment for assignment in _assignments_now(db, item) if assignment.is_reserving]
    for assignment in reserving[::-1][:surplus]:
        end_assignment(assignment)
    surplus -= min(surplus, len(reserving))
    for lease in _leases_with_slot(db, item, running=True)[::-1][:surplus]:
        _make_surplus(db, lease)


def _make_surplus(db: Session, lease: Lease) -> None:
    lease.holds_slot = False
    if lease.assignment_id is not None:
        assignment = db.get_one(Assignment, lease.assignment_id, populate_existing=True)
        if assignment.ended_at is None:
            end_assignment(assignment)


def _assignments_now(db: Session, item: Item) -> Sequence[Assignment]:
    return db.scalars(standing_assignments(item).execution_options(populate_existing=True)).all()


def _leases_with_slot(db: Session, item: Item, *, running: bool) -> Sequence[Lease]:
    state = Lease.ended_as.is_(None) if running else Lease.ended_as == "completed"
    leases = select(Lease).where(Lease.item_id == item.id, Lease.holds_slot, state).order_by(Lease.started_at, Lease.id)
    return db.scalars(leases.execution_options(populate_existing=True)).all()


def assign(db: Session, item: Item, reviewer: User, by: User | None) -> Assignment:
    """Reserve one of an item's open slots for a person.

    Raises NotAReviewer, AlreadyTheirs, NotTheirsAgain if they reviewed or skipped it, NoOpenSlot.
    """
    lock_reviewer(db, reviewer.id, item.project_id)
    item = lock_item(db, item.id)
    _ensure_assignable(db, item, reviewer)
    if not take_open_slot(item):
        raise NoOpenSlot
    assignment = Assignment(
        item_id=item.id,
        reviewer_id=reviewer.id,
        assigned_by_id=None if by is None else by.id,
        is_reserving=True,
        created_at=clock.now(),
    )
    db.add(assignment)
    _record(db, by, "item_assigned", item, user=str(reviewer.id))
    db.flush()
    return assignment


def _ensure_assignable(db: Session, item: Item, reviewer: User) -> None:
    project = db.get_one(Project, item.project_id)
    if db.scalar(reviewers(project).where(User.id == reviewer.id)) is None:
        raise NotAReviewer(param="/reviewer_id")
    ends = db.scalars(select(Lease.ended_as).where(Lease.item_id == item.id, Lease.reviewer_id == reviewer.id)).all()
    if any(end in BARRING_ENDS for end in ends):
        raise NotTheirsAgain
    if None in ends or any(assignment.reviewer_id == reviewer.id for assignment in _assignments_now(db, item)):
        raise AlreadyTheirs


def unassign(db: Session, assignment: Assignment, by: User | None = None) -> None:
    """Let a reservation go; a lease that took it runs on. Nothing happens if it stands no longer."""
    item = lock_item(db, assignment.item_id)
    db.refresh(assignment)
    if assignment.ended_at is not None:
        return
    _free_reservation(item, assignment)
    _record(db, by, "item_unassigned", item, user=str(assignment.reviewer_id))
    db.flush()


def _free_reservation(item: Item, assignment: Assignment) -> None:
    if assignment.is_reserving:
        item.open_slots += 1
    item.opened_in = opening_number()
    end_assignment(assignment)


def release_reviewer(db: Session, reviewer: User, project: Project | None = None) -> None:
    """Let go of everything that a person holds or has reserved, in one project or in all. Their reviews stay."""
    memberships = select(Membership.id).where(Membership.user_id == reviewer.id).order_by(Membership.id)
    if project is not None:
        memberships = memberships.where(Membership.project_id == project.id)
    db.scalars(memberships.with_for_update(key_share=True)).all()
    for item in lock_items(db, _items_held_by(db, reviewer, project)):
        _release_from(db, item, reviewer)


def _items_held_by(db: Session, reviewer: User, project: Project | None) -> set[UUID]:
    leased = select(Lease.item_id).where(Lease.reviewer_id == reviewer.id, Lease.ended_as.is_(None))
    assigned = (
        select(Item.id)
        .join(Assignment, Assignment.item_id == Item.id)
        .where(Assignment.reviewer_id == reviewer.id, Assignment.ended_at.is_(None))
    )
    if project is not None:
        leased = leased.where(Lease.project_id == project.id)
        assigned = assigned.where(Item.project_id == project.id)
    return {*db.scalars(leased), *db.scalars(assigned)}


def _release_from(db: Session, item: Item, reviewer: User) -> None:
    for assignment in _assignments_now(db, item):
        if assignment.reviewer_id == reviewer.id:
            _free_reservation(item, assignment)
    running = select(Lease).where(Lease.item_id == item.id, Lease.reviewer_id == reviewer.id, Lease.ended_as.is_(None))
    for lease in db.scalars(running.execution_options(populate_existing=True)):
        release(db, item, lease, "given_back")
    db.flush()
