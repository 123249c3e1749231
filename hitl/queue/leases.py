"""Leases: who holds what, until when.

A reviewer claims the next item, extends their hold while they work, and ends it: by a review (completed), by a skip, by
giving it back, or by letting its time pass (expired). Completed and skipped bar them from the item, the others do not.
Where the slot goes at each end is written in slots.py, how the next item is found in claiming.py.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, exists, inspect, literal_column, or_, select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import set_committed_value

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.core.prepared import Prepared
from hitl.queue.claiming import MAX_RUNNING_LEASES as MAX_RUNNING_LEASES
from hitl.queue.claiming import claim as claim
from hitl.queue.claiming import end_of_lease, is_at_limit
from hitl.queue.errors import LeaseEnded, TooManyLeases
from hitl.queue.models import Assignment, Item, ItemTarget, Lease
from hitl.queue.queries import BARRING_ENDS
from hitl.queue.slots import (
    end_assignment,
    lock_item,
    lock_reviewer,
    read_lease_again,
    settle,
    standing_assignment,
    take_open_slot,
)
from hitl.queue.sweeping import end_lease, release
from hitl.queue.sweeping import expire_due as expire_due


def lease_held_by(db: Session, reviewer: User, lease_id: UUID, project: Project) -> Lease:
    """Return a person's lease, which may have ended. Raises NotFound if it is not theirs or not of this project."""
    lease = db.scalars(_LEASE_WITH_SUBJECT, {"lease": lease_id}).unique().one_or_none()
    if lease is None or lease.reviewer_id != reviewer.id or lease.project_id != project.id:
        raise NotFound
    return lease


def load_subject(db: Session, lease: Lease) -> None:
    """Read what a lease is about in one statement: its item, the targets, the responses."""
    if "item" in inspect(lease).unloaded:
        item = db.scalars(_ITEM_WITH_SUBJECT, {"item": lease.item_id}).unique().one()
        set_committed_value(lease, "item", item)


_RESPONSES = joinedload(Item.targets).joinedload(ItemTarget.response)
_ITEM_WITH_SUBJECT = select(Item).where(Item.id == bindparam("item")).options(_RESPONSES)
_LEASE_WITH_SUBJECT = (
    select(Lease).where(Lease.id == bindparam("lease")).options(joinedload(Lease.item).options(_RESPONSES))
)


def extend(db: Session, lease: Lease) -> None:
    """Hold an item for a whole lease's length from now. Raises LeaseEnded.

    A lease whose time is over, but that no sweep has ended yet, may go on unless its holder has taken others instead.
    """
    _lock(db, lease)
    _ensure_running(lease)
    if lease.expires_at <= clock.now() and is_at_limit(db, lease.reviewer_id, lease.project_id):
        raise LeaseEnded
    project = db.get_one(Project, lease.project_id)
    lease.expires_at = max(lease.expires_at, end_of_lease(project, clock.now()))
    db.flush()


def give_back(db: Session, lease: Lease) -> None:
    """Let an item go, for others or for later. Nothing happens if its time was over. Raises LeaseEnded once decided."""
    item = _lock(db, lease)
    if lease.ended_as in ("given_back", "expired"):
        return
    _ensure_running(lease)
    release(db, item, lease, "given_back")


def take_away(db: Session, lease: Lease, by: User) -> None:
    """Give an item back that somebody else holds and does not get to. Raises LeaseEnded once decided."""
    was_running = lease.ended_as is None
    give_back(db, lease)
    if was_running:
        project = db.get_one(Project, lease.project_id)
        audit.record(db, by, "lease_taken_away", lease, project, user=str(lease.reviewer_id))


def skip(db: Session, lease: Lease, reason: str | None = None) -> None:
    """Leave an item to others for good: it never comes back to this person. Raises LeaseEnded."""
    item = _lock(db, lease)
    _ensure_running(lease)
    assignment = standing_assignment(db, lease)
    if assignment is not None:
        end_assignment(assignment)
    lease.skip_reason = reason
    release(db, item, lease, "skipped")


def complete(db: Session, lease: Lease, locked: Item | None = None) -> bool:
    """End a lease by a review, and say whether that review counts.

    locked: its item, where the caller has already locked it as all here do, and read the lease afresh since.

    It counts if this person has a slot: the lease's own, or one that they came to after the lease ended (a newer lease
    on the item, which then ends, or a reservation), or else one that is open. Otherwise it is an extra. Either way the
    lease ends as completed, also one that had expired or was given back, so that the item does not come back to them.
    Raises LeaseEnded after a skip or an earlier review.
    """
    item = locked or _lock(db, lease)
    has_others, is_assigned = _what_else_they_have(db, lease)
    others = _others_that_run_or_bar(db, lease) if has_others else ()
    if any(one.ended_as in BARRING_ENDS for one in (lease, *others)):
        raise LeaseEnded
    has_slot = [lease.holds_slot, _give_up(others), is_assigned and _give_up_assignment(db, lease)]
    if has_others or is_assigned:
        db.flush()
    lease.holds_slot = any(has_slot) or take_open_slot(item)
    end_lease(lease, "completed")
    settle(db, item, ended=lease)
    return lease.holds_slot


def reopen(db: Session, lease: Lease, counted: bool) -> Lease:
    """Take a review back: its reviewer holds the item again, with its slot if the review counted.

    Returns the new lease. When it expires or is given back, its slot opens as usual; the old one bars no longer.
    Raises LeaseEnded if it did not end by a review, TooManyLeases.
    """
    item = _lock(db, lease)
    if lease.ended_as != "completed":
        raise LeaseEnded
    if lease.holds_slot != counted:
        raise ValueError("a review counts exactly if its lease keeps a slot")
    if is_at_limit(db, lease.reviewer_id, lease.project_id):
        raise TooManyLeases
    now = clock.now()
    again = Lease(
        project_id=lease.project_id,
        item_id=lease.item_id,
        reviewer_id=lease.reviewer_id,
        started_at=now,
        expires_at=end_of_lease(db.get_one(Project, lease.project_id), now),
        holds_slot=lease.holds_slot,
        shuffle_seed=lease.shuffle_seed,
    )
    lease.holds_slot = False
    lease.ended_as = "given_back"
    db.add(again)
    db.flush()
    settle(db, item)
    db.flush()
    return again


def _lock(db: Session, lease: Lease) -> Item:
    """Lock what a lease's end touches, and read the lease as it is now."""
    lock_reviewer(db, lease.reviewer_id, lease.project_id)
    item = lock_item(db, lease.item_id)
    read_lease_again(db, lease)
    return item


def _ensure_running(lease: Lease) -> None:
    if lease.ended_as is not None:
        raise LeaseEnded


def _what_else_they_have(db: Session, lease: Lease) -> tuple[bool, bool]:
    """Whether this person has other leases on this item that run or bar them, and whether it is assigned to them.

    Mostly neither, so it is asked before either is read.
    """
    db.flush()
    asked = {"item": lease.item_id, "reviewer": lease.reviewer_id, "lease": lease.id}
    has_others, is_assigned = _WHAT_ELSE.first(db.connection(), asked) or (False, False)
    return bool(has_others), bool(is_assigned)


_WHAT_ELSE = Prepared(
    select(  # type: ignore[arg-type]  # takes any columns
        exists().where(
            Lease.item_id == bindparam("item"),
            Lease.reviewer_id == bindparam("reviewer"),
            Lease.id != bindparam("lease"),
            or_(Lease.ended_as.is_(None), Lease.ended_as.in_([literal_column(f"'{end}'") for end in BARRING_ENDS])),
        ),
        exists().where(
            Assignment.item_id == bindparam("item"),
            Assignment.reviewer_id == bindparam("reviewer"),
            Assignment.ended_at.is_(None),
        ),
    )
)


def _others_that_run_or_bar(db: Session, lease: Lease) -> Sequence[Lease]:
    """The other leases of this person on this item that still run, of which there is at most one, or that bar them."""
    others = select(Lease).where(
        Lease.item_id == lease.item_id,
        Lease.reviewer_id == lease.reviewer_id,
        Lease.id != lease.id,
        or_(Lease.ended_as.is_(None), Lease.ended_as.in_(BARRING_ENDS)),
    )
    return db.scalars(others.execution_options(populate_existing=True)).all()


def _give_up(running: Sequence[Lease]) -> bool:
    """End other leases of this person on this item, and say whether one held a slot."""
    held_slot = any(lease.holds_slot for lease in running)
    for lease in running:
        lease.holds_slot = False
        end_lease(lease, "given_back")
    return held_slot


def _give_up_assignment(db: Session, lease: Lease) -> bool:
    """End this person's assignment to this item, and say whether it reserved a slot."""
    assignment = db.scalar(
        select(Assignment)
        .where(
            Assignment.item_id == lease.item_id,
            Assignment.reviewer_id == lease.reviewer_id,
            Assignment.ended_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )
    if assignment is None:
        return False
    was_reserving = assignment.is_reserving
    end_assignment(assignment)
    return was_reserving
