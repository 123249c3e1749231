"""Claiming: how the next item for somebody is found and taken."""

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Uuid, and_, bindparam, exists, func, insert, select, true, update
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.util import identity_key

from hitl.accounts.models import Membership, Project, User
from hitl.accounts.projects import settings_of
from hitl.core import clock
from hitl.core.ids import new_id
from hitl.core.prepared import Prepared
from hitl.queue.blindness import shuffle_seed
from hitl.queue.errors import NoMember, TooManyLeases
from hitl.queue.models import Assignment, Item, Lease
from hitl.queue.positions import Place, Position, advance, from_head, from_position, position_of
from hitl.queue.queries import is_of_project, items_open_to, items_reserved_for
from hitl.queue.slots import lock_reviewer
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
    # On SQLite one transaction writes at a time: there is nothing left to lock.
    if db.connection().dialect.name != "sqlite":
        lock_reviewer(db, reviewer.id, project.id)
    around = _look_around(db, project.id, reviewer.id)
    if not around.is_active_member:
        raise NoMember
    if around.running_count >= MAX_RUNNING_LEASES:
        raise TooManyLeases
    if around.anything_due and expire_due(db, project) > 0:
        around = replace(around, has_reserved=True)  # what ended may have been reserved for them
    return _take_next(db, project, reviewer, around)


@dataclass(frozen=True)
class _Around:
    is_active_member: bool
    running_count: int
    anything_due: bool
    has_reserved: bool
    position: Position | None


# The statements of a claim are made once and without the object mapper: a claim is the queue's busiest transaction.
_items: Table = Item.__table__  # type: ignore[assignment]
_assignments: Table = Assignment.__table__  # type: ignore[assignment]
_leases: Table = Lease.__table__  # type: ignore[assignment]
_users: Table = User.__table__  # type: ignore[assignment]
_memberships: Table = Membership.__table__  # type: ignore[assignment]
_next, _mine = _items.alias("next_item"), _assignments.alias("mine")
_position = position_of(bindparam("reviewer", type_=Uuid), bindparam("project", type_=Uuid))

_LOOK_AROUND = Prepared(
    select(
        and_(
            _users.c.deactivated_at.is_(None),
            exists().where(
                _memberships.c.user_id == bindparam("reviewer"), _memberships.c.project_id == bindparam("project")
            ),
        ),
        # What is due but not swept yet does not count: its time is over.
        select(func.count())
        .where(
            _leases.c.reviewer_id == bindparam("reviewer"),
            _leases.c.project_id == bindparam("project"),
            _leases.c.ended_as.is_(None),
            _leases.c.expires_at > bindparam("now"),
        )
        .scalar_subquery(),
        exists().where(
            _leases.c.project_id == bindparam("project"),
            _leases.c.ended_as.is_(None),
            _leases.c.expires_at <= bindparam("now"),
        ),
        exists().where(
            _assignments.c.reviewer_id == bindparam("reviewer"),
            _assignments.c.ended_at.is_(None),
            _assignments.c.is_reserving,
        ),
        _position.c.sort_key,
        _position.c.item_id,
        _position.c.horizon,
    )
    .select_from(_users.outerjoin(_position, true()))
    .where(_users.c.id == bindparam("reviewer"))
)

_TAKE_RESERVED = Prepared(
    update(_assignments)
    .where(
        _assignments.c.id
        == select(_mine.c.id)
        .join(_next, _next.c.id == _mine.c.item_id)
        .where(
            _mine.c.reviewer_id == bindparam("reviewer"),
            _mine.c.ended_at.is_(None),
            _mine.c.is_reserving,
            is_of_project(_next.c.project_id, bindparam("project", type_=Uuid)),
        )
        .order_by(_next.c.sort_key, _next.c.id)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True, of=_next)
        .scalar_subquery(),
        # Said again for the row as it is now: a lead may have ended it while the item's lock was waited for.
        _assignments.c.is_reserving,
    )
    .values(is_reserving=False)
    .returning(_assignments.c.item_id, _assignments.c.id)
)


_STARTED_WITH = (
    *("id", "project_id", "item_id", "reviewer_id", "assignment_id"),
    *("started_at", "expires_at", "holds_slot", "shuffle_seed"),
)


def _take(first: ColumnElement[UUID]) -> Prepared:
    """The statement that takes a slot of an item and returns the item's id, its sort key and what is still open."""
    taken = update(_items).where(_items.c.id == first).values(open_slots=_items.c.open_slots - 1)
    return Prepared(taken.returning(_items.c.id, _items.c.sort_key, _items.c.open_slots))


_START = Prepared(insert(_leases), _STARTED_WITH)
_TAKE_FROM_HEAD, _TAKE_FROM_POSITION = _take(from_head()), _take(from_position())


def _look_around(db: Session, project_id: UUID, reviewer_id: UUID) -> _Around:
    db.flush()
    asked = {"project": project_id, "reviewer": reviewer_id, "now": clock.now()}
    found = _LOOK_AROUND.first(db.connection(), asked)
    if found is None:
        raise NoMember
    is_active_member, running_count, anything_due, has_reserved, sort_key, item_id, horizon = found
    position = None if horizon is None else Position(Place(sort_key, item_id), horizon)
    return _Around(bool(is_active_member), running_count, anything_due, has_reserved, position)


def _take_next(db: Session, project: Project, reviewer: User, around: _Around) -> Lease | None:
    lease = _try_to_take(db, project, reviewer, around)
    for pause in PAUSES_BEFORE_LOOKING_AGAIN:
        if lease is not None or not _something_waits(db, project, reviewer):
            return lease
        time.sleep(pause)
        # From the head: whatever a position says, nothing that waits is kept from somebody who would get nothing.
        lease = _try_to_take(db, project, reviewer, replace(around, has_reserved=True, position=None))
    return lease


def _try_to_take(db: Session, project: Project, reviewer: User, around: _Around) -> Lease | None:
    asked = {"project": project.id, "reviewer": reviewer.id}
    if around.has_reserved:
        reserved = _TAKE_RESERVED.first(db.connection(), asked)
        if reserved is not None:
            item_id, assignment_id = reserved
            _forget(db, Assignment, assignment_id)
            return _start_lease(db, project, reviewer, item_id, assignment_id)
    return _try_to_take_open(db, project, reviewer, around.position)


def _try_to_take_open(db: Session, project: Project, reviewer: User, position: Position | None) -> Lease | None:
    asked = {"project": project.id, "reviewer": reviewer.id}
    if position is None:
        taken = _TAKE_FROM_HEAD.first(db.connection(), asked)
    else:
        taken = _TAKE_FROM_POSITION.first(db.connection(), {**asked, **position.as_parameters()})
    if taken is None:
        return None
    item_id, sort_key, still_open = taken
    _forget(db, Item, item_id)
    lease = _start_lease(db, project, reviewer, item_id)
    if _should_advance(lease, position, still_open):
        advance(db.connection(), project.id, reviewer.id, position, Place(sort_key, item_id))
    return lease


def _should_advance(lease: Lease, position: Position | None, still_open: int) -> bool:
    """Whether to keep in mind how far they are: now and then, and at once if they will have to pass over this item."""
    is_its_turn = lease.id.int % CLAIMS_BETWEEN_ADVANCES == 0
    return is_its_turn or (position is None and still_open > 0)


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


def _start_lease(
    db: Session, project: Project, reviewer: User, item_id: UUID, assignment_id: UUID | None = None
) -> Lease:
    now = clock.now()
    values = {
        "id": new_id(),
        "project_id": project.id,
        "item_id": item_id,
        "reviewer_id": reviewer.id,
        "assignment_id": assignment_id,
        "started_at": now,
        "expires_at": end_of_lease(project, now),
        "holds_slot": True,
        "shuffle_seed": shuffle_seed(db, item_id, reviewer.id),
    }
    _START.run(db.connection(), values)
    return _known(db, Lease(**values, ended_at=None, ended_as=None, skip_reason=None))


def _known(db: Session, lease: Lease) -> Lease:
    """Let the session know a lease that was written without it."""
    make_transient_to_detached(lease)
    db.add(lease)
    return lease


def end_of_lease(project: Project, start: datetime) -> datetime:
    """Return until when a lease runs that begins or is extended at a moment."""
    return start + timedelta(minutes=settings_of(project).lease_minutes)


def is_at_limit(db: Session, reviewer_id: UUID, project_id: UUID) -> bool:
    """Whether a member holds as many items as anybody may."""
    return _look_around(db, project_id, reviewer_id).running_count >= MAX_RUNNING_LEASES
