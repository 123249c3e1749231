"""Claiming: how the next item for somebody is found and taken.

Mostly there is something to be taken at once, by one statement. Only where there is not, it is found out why: somebody
who may not, leases whose time is over, a reserved item, an empty queue.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Insert,
    Integer,
    Table,
    Uuid,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.util import identity_key

from hitl.accounts.models import Membership, Project, User
from hitl.accounts.projects import settings_of
from hitl.core import clock
from hitl.core.database import UtcDateTime
from hitl.core.ids import new_id
from hitl.core.locked import Locked
from hitl.core.prepared import Prepared
from hitl.queue.blindness import fresh_seed
from hitl.queue.errors import NoMember, TooManyLeases
from hitl.queue.models import Assignment, Item, Lease
from hitl.queue.positions import HEAD, Place, advance, from_head, from_position, position
from hitl.queue.queries import is_of_project, items_open_to, items_reserved_for
from hitl.queue.slots import LOCK_MEMBERSHIP
from hitl.queue.sweeping import expire_due

MAX_RUNNING_LEASES = 3  # of one person in one project
CLAIMS_BETWEEN_ADVANCES = 8  # on average; until then a claim passes over a few items at most
# An item is passed over while somebody else's transaction holds its row, which takes milliseconds. So whoever found
# nothing although something waits looks again after these pauses, in seconds, before they are told that nothing waits.
PAUSES_BEFORE_LOOKING_AGAIN = (0.01, 0.02, 0.04, 0.08)


def claim(db: Session, project: Project, reviewer: User) -> Lease | None:
    """Give a reviewer the next item, and hold it for them for a while; None when nothing waits for them.

    First comes what is reserved for them, then the queue in its order, without the items that they hold, have reviewed
    or have skipped. Leases whose time is over are swept first, so their slots are in the queue.
    Raises TooManyLeases, NoMember.
    """
    return _try_to_take(db, project, reviewer, _AT_ONCE) or _look_closer(db, project, reviewer)


# The statements of a claim are made once and without the object mapper: a claim is the queue's busiest transaction.
_items: Table = Item.__table__  # type: ignore[assignment]
_assignments: Table = Assignment.__table__  # type: ignore[assignment]
_leases: Table = Lease.__table__  # type: ignore[assignment]
_users: Table = User.__table__  # type: ignore[assignment]
_memberships: Table = Membership.__table__  # type: ignore[assignment]
_next, _mine, _earlier = _items.alias("next_item"), _assignments.alias("mine"), _leases.alias("earlier")
_reviewer, _project = bindparam("reviewer", type_=Uuid), bindparam("project", type_=Uuid)
_now = bindparam("now", type_=UtcDateTime)

_IS_ACTIVE_MEMBER = exists().where(
    _users.c.id == _reviewer,
    _users.c.deactivated_at.is_(None),
    _memberships.c.user_id == _users.c.id,
    _memberships.c.project_id == _project,
)
_RUNNING_COUNT = (
    select(func.count())
    .where(
        _leases.c.reviewer_id == _reviewer,
        _leases.c.project_id == _project,
        _leases.c.ended_as.is_(None),
        _leases.c.expires_at > _now,  # what is due but not swept yet does not count: its time is over
    )
    .scalar_subquery()
)
_ANYTHING_DUE = exists().where(
    _leases.c.project_id == _project, _leases.c.ended_as.is_(None), _leases.c.expires_at <= _now
)
_HAS_RESERVED = exists().where(
    _assignments.c.reviewer_id == _reviewer, _assignments.c.ended_at.is_(None), _assignments.c.is_reserving
)
_LOOK_AROUND = Locked(LOCK_MEMBERSHIP, select(_IS_ACTIVE_MEMBER, _RUNNING_COUNT, _ANYTHING_DUE))

_TAKE_RESERVED = Prepared(
    update(_assignments)
    .where(
        _assignments.c.id
        == select(_mine.c.id)
        .join(_next, _next.c.id == _mine.c.item_id)
        .where(
            _mine.c.reviewer_id == _reviewer,
            _mine.c.ended_at.is_(None),
            _mine.c.is_reserving,
            is_of_project(_next.c.project_id, _project),
        )
        .order_by(_next.c.sort_key, _next.c.id)
        .limit(literal_column("1"))
        .with_for_update(key_share=True, skip_locked=True, of=_next)
        .scalar_subquery(),
        # Said again for the row as it is now: a lead may have ended it while the item's lock was waited for.
        _assignments.c.is_reserving,
    )
    .values(is_reserving=False)
    .returning(_assignments.c.item_id, _assignments.c.id)
)


def _begin(item_id: ColumnElement[UUID], assignment_id: ColumnElement[Any]) -> Insert:
    """The statement that begins a lease and returns the seed of its order.

    That is the seed of an earlier lease of theirs on the item, so that they see the same order again.
    """
    same_again = (
        select(_earlier.c.shuffle_seed)
        .where(_earlier.c.item_id == item_id, _earlier.c.reviewer_id == _reviewer)
        .order_by(_earlier.c.id)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    values = {
        "id": bindparam("lease", type_=Uuid),
        "project_id": _project,
        "item_id": item_id,
        "reviewer_id": _reviewer,
        "assignment_id": assignment_id,
        "started_at": _now,
        "expires_at": bindparam("until", type_=UtcDateTime),
        "holds_slot": true(),
        "shuffle_seed": func.coalesce(same_again, bindparam("seed", type_=Integer)),
    }
    begun = insert(_leases).from_select(list(values), select(*values.values()), include_defaults=False)
    return begun.returning(_leases.c.shuffle_seed)


class _Take:
    """Takes a slot of an item and begins the lease: in one statement, or on SQLite, which knows no such one, in two."""

    def __init__(self, first: ColumnElement[UUID], *conditions: ColumnElement[bool]) -> None:
        """first: the item's id. conditions: if one of them does not hold, nothing is taken."""
        at_key, at_item = position()
        taken = (
            update(_items)
            .where(_items.c.id == first, *conditions)
            .values(open_slots=_items.c.open_slots - 1)
            .returning(
                _items.c.id, _items.c.sort_key, _items.c.open_slots, at_key.label("at_key"), at_item.label("at_item")
            )
        )
        took = taken.cte("taken")
        begun = _begin(took.c.id, null()).cte("begun")
        self.alone = Prepared(taken)
        self.and_begin = Locked(LOCK_MEMBERSHIP, select(*took.c, begun.c.shuffle_seed).join_from(took, begun, true()))

    def first(self, db: Session, asked: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return of what was taken the id, sort key, open slots, the reviewer's position, and the seed."""
        if db.connection().dialect.name != "sqlite":
            return self.and_begin.first(db.connection(), asked)
        taken = self.alone.first(db.connection(), asked)
        return None if taken is None else (*taken, _seed_of_begun(db, asked, taken[0], None))


_BEGIN = Prepared(_begin(bindparam("item", type_=Uuid), bindparam("assignment", type_=Uuid)))
_AT_ONCE = _Take(
    from_position(), _IS_ACTIVE_MEMBER, _RUNNING_COUNT < MAX_RUNNING_LEASES, ~_ANYTHING_DUE, ~_HAS_RESERVED
)
_FROM_POSITION, _FROM_HEAD = _Take(from_position()), _Take(from_head())


def _look_closer(db: Session, project: Project, reviewer: User) -> Lease | None:
    """Take what could not be taken at once, or find out why there is nothing."""
    asked = {"project": project.id, "reviewer": reviewer.id, "now": clock.now()}
    is_active_member, running_count, anything_due = _LOOK_AROUND.first(db.connection(), asked) or (False, 0, False)
    if not is_active_member:
        raise NoMember
    if running_count >= MAX_RUNNING_LEASES:
        raise TooManyLeases
    if anything_due:
        expire_due(db, project)
    lease = _take_reserved(db, project, reviewer) or _try_to_take(db, project, reviewer, _FROM_POSITION)
    for pause in PAUSES_BEFORE_LOOKING_AGAIN:
        if lease is not None or not _something_waits(db, project, reviewer):
            return lease
        time.sleep(pause)
        # From the head: whatever a position says, nothing that waits is kept from somebody who would get nothing.
        lease = _take_reserved(db, project, reviewer) or _try_to_take(db, project, reviewer, _FROM_HEAD)
    return lease


def _take_reserved(db: Session, project: Project, reviewer: User) -> Lease | None:
    asked = _asked(db, project, reviewer)
    reserved = _TAKE_RESERVED.first(db.connection(), asked)
    if reserved is None:
        return None
    item_id, assignment_id = reserved
    _forget(db, Assignment, assignment_id)
    return _known(db, asked, item_id, assignment_id, _seed_of_begun(db, asked, item_id, assignment_id))


def _try_to_take(db: Session, project: Project, reviewer: User, take: _Take) -> Lease | None:
    asked = _asked(db, project, reviewer)
    taken = take.first(db, asked)
    if taken is None:
        return None
    item_id, sort_key, still_open, at_key, at_item, seed = taken
    _forget(db, Item, item_id)
    known = Place(at_key, at_item)
    if _should_advance(asked["lease"], known, still_open):
        advance(db.connection(), project.id, reviewer.id, known, Place(sort_key, item_id))
    return _known(db, asked, item_id, None, seed)


def _asked(db: Session, project: Project, reviewer: User) -> dict[str, Any]:
    """Return what a lease that begins now is begun with, but for its item."""
    db.flush()
    now = clock.now()
    return {
        "lease": new_id(),
        "project": project.id,
        "reviewer": reviewer.id,
        "now": now,
        "until": end_of_lease(project, now),
        "seed": fresh_seed(),
    }


def _should_advance(lease_id: UUID, known: Place, still_open: int) -> bool:
    """Whether to keep in mind how far they are: now and then, and at once if they will have to pass over this item."""
    is_its_turn = lease_id.int % CLAIMS_BETWEEN_ADVANCES == 0
    return is_its_turn or (known == HEAD and still_open > 0)


def _something_waits(db: Session, project: Project, reviewer: User) -> bool:
    """Whether there is anything for them, locked by others or not."""
    return any(
        db.scalar(waiting.limit(1)) is not None
        for waiting in (items_reserved_for(reviewer, project), items_open_to(reviewer, project))
    )


def _forget(db: Session, entity: type[Item] | type[Assignment], identifier: UUID) -> None:
    """Let the session read a row afresh that was changed behind its back."""
    known = db.identity_map.get(identity_key(entity, identifier))
    if known is not None:
        db.expire(known)


def _seed_of_begun(db: Session, asked: Mapping[str, Any], item_id: UUID, assignment_id: UUID | None) -> int:
    """Begin the lease of a slot that was taken, and return its seed."""
    begun = _BEGIN.first(db.connection(), {**asked, "item": item_id, "assignment": assignment_id})
    return 0 if begun is None else int(begun[0])


def _known(db: Session, asked: Mapping[str, Any], item_id: UUID, assignment_id: UUID | None, seed: int) -> Lease:
    """Let the session know a lease that was begun without it."""
    lease = Lease(
        id=asked["lease"],
        project_id=asked["project"],
        item_id=item_id,
        reviewer_id=asked["reviewer"],
        assignment_id=assignment_id,
        started_at=asked["now"],
        expires_at=asked["until"],
        holds_slot=True,
        shuffle_seed=seed,
        ended_at=None,
        ended_as=None,
        skip_reason=None,
    )
    make_transient_to_detached(lease)
    db.add(lease)
    return lease


def end_of_lease(project: Project, start: datetime) -> datetime:
    """Return until when a lease runs that begins or is extended at a moment."""
    return start + timedelta(minutes=settings_of(project).lease_minutes)


def is_at_limit(db: Session, reviewer_id: UUID, project_id: UUID) -> bool:
    """Whether a member holds as many items as anybody may."""
    db.flush()
    asked = {"project": project_id, "reviewer": reviewer_id, "now": clock.now()}
    found = _LOOK_AROUND.first(db.connection(), asked)
    return found is not None and found[1] >= MAX_RUNNING_LEASES
