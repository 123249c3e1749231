"""Positions: how far each reviewer is in a queue, so that a claim need not walk over all that they have reviewed.

An item that wants several reviews stays open after the first. A reviewer who is far ahead of the others would pass over
all of theirs at each claim; instead their claim begins behind their position, once it has looked at what opened since:

    every item up to the position that is open to the reviewer has an `opened_in` not below the position's horizon

Whatever makes an item open to somebody to whom it was not gives it a new opening number in the same transaction: a new
item, a slot that is free again, a lease that ended and bars nobody, a better place in the queue. `advance` moves a
position only if nothing up to its new place is open to the reviewer, and takes the horizon of the very statement that
saw this. What that could not see is opened under a number not below the horizon (see openings.py): it stays in reach.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Double,
    FromClause,
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from hitl.core.prepared import Prepared
from hitl.queue.models import Assignment, Item, Lease, QueuePosition
from hitl.queue.openings import horizon, this_server
from hitl.queue.queries import BARRING_ENDS

_items: Table = Item.__table__  # type: ignore[assignment]
_leases: Table = Lease.__table__  # type: ignore[assignment]
_assignments: Table = Assignment.__table__  # type: ignore[assignment]
_positions: Table = QueuePosition.__table__  # type: ignore[assignment]


class Place(NamedTuple):
    """An item's place in the queue; the first is the lowest."""

    sort_key: float
    item_id: UUID


# Before all others: where somebody stands who has no position.
HEAD = Place(-1e300, UUID(int=0))


def position() -> tuple[ColumnElement[float], ColumnElement[UUID]]:
    """The place of the reviewer's position, as two columns; HEAD if they have none, or one of another server.

    Parameters, of this and of all below: project, reviewer.
    """
    return _of_position("sort_key", literal(HEAD.sort_key, Double)), _of_position("item_id", literal(HEAD.item_id))


def from_head() -> ColumnElement[UUID]:
    """Lock the first item of the queue that is open to the reviewer, and return its id.

    What somebody else has locked is passed over.
    """
    item = _items.alias("next_item")
    return _locked(_waiting(item), item).scalar_subquery()


def from_position() -> ColumnElement[UUID]:
    """The same from their position on: what opened since before it, or else the first behind it."""
    before, behind = _items.alias("item_before"), _items.alias("item_behind")
    return func.coalesce(
        _locked(_opened_before(before), before).scalar_subquery(),
        _locked(_waiting_behind(behind), behind).scalar_subquery(),
    )


def number_from_position(at_most: int) -> ColumnElement[int]:
    """How many items are open to the reviewer.

    What opened before their position and what is behind it are each counted no further than to a number.
    """
    before, behind = _items.alias("item_before"), _items.alias("item_behind")
    return _number(_opened_before(before), at_most) + _number(_in_order(_waiting_behind(behind), behind), at_most)


def _number(items: Select[UUID], at_most: int) -> ColumnElement[int]:
    first = items.limit(literal_column(str(at_most))).subquery()
    return select(func.count()).select_from(first).scalar_subquery()


def _waiting(item: FromClause) -> Select[UUID]:
    return select(item.c.id).where(*_is_open(item), *_is_new(item))


def _waiting_behind(item: FromClause) -> Select[UUID]:
    return select(item.c.id).where(*_is_open(item), _place(item) > tuple_(*position()), *_is_new(item))


def _opened_before(item: FromClause) -> Select[UUID]:
    """Items before the position that have been opened since, and are open to the reviewer."""
    opened = _opened_since()
    return (
        select(item.c.id)
        .join_from(opened, item, item.c.id == opened.c.id)
        .where(_place(opened) <= tuple_(*position()), item.c.open_slots > _ZERO, *_is_new(item))
    )


def _opened_since() -> CTE:
    """Open items found by their number. By their place it would be the walk that positions are there to save."""
    # With an upper bound PostgreSQL takes the unknown part to be a small one, which the index serves; without, a third.
    since = _items.c.opened_in.between(_of_position("horizon", _LAST_NUMBER), _LAST_NUMBER)
    found = select(_items.c.id, _items.c.sort_key).where(*_is_open(_items), since)
    return found.cte("opened_since").prefix_with("MATERIALIZED")


def _locked(items: Select[UUID], item: FromClause) -> Select[UUID]:
    return _in_order(items, item).limit(_ONE).with_for_update(key_share=True, skip_locked=True, of=item)


def _in_order(items: Select[UUID], item: FromClause) -> Select[UUID]:
    return items.order_by(item.c.sort_key, item.c.id)


def _is_open(item: FromClause) -> tuple[ColumnElement[bool], ...]:
    return item.c.project_id == bindparam("project", type_=Uuid), item.c.open_slots > _ZERO


def _is_new(item: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Whether the reviewer neither holds an item, nor is barred from it, nor has it reserved."""
    reviewer = bindparam("reviewer", type_=Uuid)
    return (
        ~exists().where(
            _leases.c.item_id == item.c.id,
            _leases.c.reviewer_id == reviewer,
            or_(_leases.c.ended_as.is_(None), _leases.c.ended_as.in_(_BARRING)),
        ),
        ~exists().where(
            _assignments.c.item_id == item.c.id,
            _assignments.c.reviewer_id == reviewer,
            _assignments.c.ended_at.is_(None),
        ),
    )


def _place(item: FromClause) -> ColumnElement[Any]:
    return tuple_(item.c.sort_key, item.c.id)


def _of_position(column: str, otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of the reviewer's position; something else if they have none, or one of another server."""
    kept = _positions.alias("kept")
    found = select(kept.c[column]).where(
        kept.c.project_id == bindparam("project", type_=Uuid),
        kept.c.reviewer_id == bindparam("reviewer", type_=Uuid),
        kept.c.server == this_server(),
    )
    return func.coalesce(found.scalar_subquery(), otherwise)


# Written out: a list of bound values would be put into the statement's text anew each time.
_BARRING: list[ColumnElement[str]] = [literal_column(f"'{end}'") for end in BARRING_ENDS]
_LAST_NUMBER: ColumnElement[int] = literal_column(str(2**63 - 1))
_ONE: ColumnElement[int] = literal_column("1")  # not bound: PostgreSQL plans once, and for one row
_ZERO: ColumnElement[int] = literal_column("0")  # not bound: only so do the partial indices serve
_TO = tuple_(bindparam("to_key", type_=Double), bindparam("to_item", type_=Uuid))


def advance(db: Connection, project_id: UUID, reviewer_id: UUID, known: Place, taken: Place) -> None:
    """Move a reviewer's position to the item that they just took, if nothing up to there is open to them.

    Otherwise, say while somebody else has an item locked that was passed over, it stays where it is.
    known: where it is. If that is behind the item, which opened since, it stays there and is known from now on.
    """
    to = max(known, taken)
    asked = {"project": project_id, "reviewer": reviewer_id, "to_key": to.sort_key, "to_item": to.item_id}
    _ADVANCE[db.dialect.name].run(db, asked)


def _kept_if(dialect: Any, nothing_is_open: ColumnElement[bool]) -> Prepared:
    """The statement that keeps a position under a condition; both databases spell its INSERT alike."""
    place = (_TO.clauses[0], _TO.clauses[1])
    values = (bindparam("project", type_=Uuid), bindparam("reviewer", type_=Uuid), *place, horizon(), this_server())
    kept = dialect.insert(_positions).from_select(list(_COLUMNS), select(*values).where(nothing_is_open))
    changes = {name: kept.excluded[name] for name in _COLUMNS[2:]}
    return Prepared(kept.on_conflict_do_update(index_elements=_COLUMNS[:2], set_=changes))


def _nothing_open_since() -> ColumnElement[bool]:
    passed, before = _items.alias("passed"), _items.alias("item_before")
    between = and_(_place(passed) > tuple_(*position()), _place(passed) <= _TO)
    first_passed = _in_order(select(passed.c.id).where(*_is_open(passed), between, *_is_new(passed)), passed)
    return and_(
        # In order and one alone: of a mere EXISTS, PostgreSQL thinks that walking the table finds one soon.
        first_passed.limit(_ONE).scalar_subquery().is_(None),
        ~exists(_opened_before(before)),
    )


_COLUMNS = ("project_id", "reviewer_id", "sort_key", "item_id", "horizon", "server")
_DIALECTS = {"postgresql": postgresql, "sqlite": sqlite}
_ADVANCE = {name: _kept_if(dialect, _nothing_open_since()) for name, dialect in _DIALECTS.items()}
