"""Slots: each review that an item wants is one, and it is always in exactly one place.

A slot is open, or reserved by an assignment, or held by a lease: a running one, or one completed by a counted review.
So in every committed state of an item

    open slots + reserving assignments + leases that hold a slot = reviews wanted

Whoever moves a slot locks the rows in one order, or two of them could wait for each other: first the membership of the
reviewer who acts, then the item, then leases and assignments. Several items are locked in the order of `lock_items`, or
with SKIP LOCKED, which never waits.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Table, bindparam, exists, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from hitl.accounts.models import Membership
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.core.prepared import Prepared
from hitl.queue.models import Assignment, Item, Lease
from hitl.queue.queries import IS_RESERVING

_memberships: Table = Membership.__table__  # type: ignore[assignment]
LOCK_MEMBERSHIP = Prepared(
    select(_memberships.c.id)
    .where(_memberships.c.user_id == bindparam("reviewer"), _memberships.c.project_id == bindparam("project"))
    .with_for_update(key_share=True)
)
_items: Table = Item.__table__  # type: ignore[assignment]
_leases: Table = Lease.__table__  # type: ignore[assignment]
# Rows of objects that are known: the object mapper takes several times as long to read one again.
_LOCK_ITEM = Prepared(select(_items).where(_items.c.id == bindparam("id")).with_for_update(key_share=True))
_READ_LEASE = Prepared(select(_leases).where(_leases.c.id == bindparam("id")))


def lock_reviewer(db: Session, reviewer_id: UUID, project_id: UUID) -> None:
    """Let one person's actions in a project follow one another."""
    db.flush()
    # On SQLite one transaction writes at a time: there is nothing left to lock.
    if db.connection().dialect.name != "sqlite":
        LOCK_MEMBERSHIP.run(db.connection(), {"reviewer": reviewer_id, "project": project_id})


def lock_item(db: Session, item_id: UUID) -> Item:
    """Return the item as it is now; nobody else moves its slots until this transaction ends."""
    known = db.identity_map.get(identity_key(Item, item_id))
    if known is None:
        return lock_items(db, [item_id])[0]
    _read_again(db, known, _LOCK_ITEM)  # but not what it is about, which never changes
    return known


def read_lease_again(db: Session, lease: Lease) -> None:
    """See a lease as it is now."""
    _read_again(db, lease, _READ_LEASE)


def _read_again(db: Session, known: Item | Lease, statement: Prepared) -> None:
    db.flush()
    row = statement.first(db.connection(), {"id": known.id})
    if row is None:
        raise NotFound  # deleted meanwhile, with its project
    for column, value in zip(known.__table__.columns, row, strict=True):
        set_committed_value(known, column.key, value)


def lock_items(db: Session, item_ids: Iterable[UUID], *, skip_locked: bool = False) -> list[Item]:
    """Lock several items: first those about responses, then conversations, then comparisons, each in the order of ids.

    Whoever makes items of several kinds at once makes them in that order, too.

    skip_locked: pass over those that somebody else holds, instead of waiting for them.
    """
    items = select(Item).where(Item.id.in_(set(item_ids))).order_by(Item.kind.desc(), Item.id)
    locking = items.with_for_update(key_share=True, skip_locked=skip_locked)
    return list(db.scalars(locking.execution_options(populate_existing=True)))


def take_open_slot(item: Item) -> bool:
    """Take one of the item's open slots, if there is one."""
    if item.open_slots == 0:
        return False
    item.open_slots -= 1
    return True


def free_slot(db: Session, item: Item, lease: Lease) -> None:
    """Let a lease's slot go: back to the person it was reserved for, or to everyone. A surplus lease has none."""
    if not lease.holds_slot:
        return
    lease.holds_slot = False
    assignment = standing_assignment(db, lease)
    if assignment is None:
        item.open_slots += 1
    else:
        assignment.is_reserving = True


def standing_assignment(db: Session, lease: Lease) -> Assignment | None:
    """Return the assignment whose slot a lease took, if it still stands."""
    if lease.assignment_id is None:
        return None
    assignment = db.get_one(Assignment, lease.assignment_id, populate_existing=True)
    return assignment if assignment.ended_at is None else None


def end_assignment(assignment: Assignment) -> None:
    """Let an assignment stand no longer. What becomes of its slot is up to the caller."""
    assignment.is_reserving = False
    assignment.ended_at = clock.now()


def settle(db: Session, item: Item, ended: Lease | None = None) -> None:
    """Close an item for which nothing is left to do; open a closed one again that has something.

    ended: a lease on it that this transaction ends; it counts as ended though the database may not know so yet.
    """
    has_slots_left, is_held = _what_is_left(db, item, ended)
    if has_slots_left:
        if item.closed_at is not None:
            item.closed_at = item.closed_as = None
    # A surplus lease keeps its item from closing: what reviewers may not see before the close would show to its holder.
    elif item.closed_at is None and not is_held:
        item.closed_at, item.closed_as = clock.now(), "complete"


_RUNNING = (Lease.item_id == bindparam("item"), Lease.ended_as.is_(None), Lease.id != bindparam("ended"))
_WHAT_IS_LEFT = Prepared(
    select(  # type: ignore[arg-type]  # takes any columns
        or_(
            exists().where(*_RUNNING, Lease.holds_slot),
            exists().where(Assignment.item_id == bindparam("item"), IS_RESERVING),
        ),
        exists().where(*_RUNNING),
    )
)
_NO_LEASE = UUID(int=0)


def _what_is_left(db: Session, item: Item, ended: Lease | None) -> tuple[bool, bool]:
    """Whether any slot is not yet used up, and whether anybody holds the item."""
    if ended is None:
        db.flush()
    asked = {"item": item.id, "ended": _NO_LEASE if ended is None else ended.id}
    has_slots_taken, is_held = _WHAT_IS_LEFT.first(db.connection(), asked) or (False, False)
    return bool(item.open_slots > 0 or has_slots_taken), bool(is_held)
