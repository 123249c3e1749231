"""How much waits for one person: said on every page of theirs, so it is counted at a fixed price."""

from sqlalchemy import Table, Uuid, bindparam, func, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project, User
from hitl.core.prepared import Prepared
from hitl.queue.models import Assignment, Item
from hitl.queue.positions import number_from_position
from hitl.queue.queries import is_of_project

# Counting goes this far and no further: beyond it, "1,000 or more" says the same.
WAITING_COUNT_LIMIT = 1000

_items: Table = Item.__table__  # type: ignore[assignment]
_assignments: Table = Assignment.__table__  # type: ignore[assignment]
_reviewer, _project = bindparam("reviewer", type_=Uuid), bindparam("project", type_=Uuid)
_reserved = (
    select(func.count())
    .select_from(_assignments.join(_items, _items.c.id == _assignments.c.item_id))
    .where(
        _assignments.c.reviewer_id == _reviewer,
        _assignments.c.ended_at.is_(None),
        _assignments.c.is_reserving,
        is_of_project(_items.c.project_id, _project),
    )
    .scalar_subquery()
)
_RESERVED_AND_OPEN = Prepared(select(_reserved, number_from_position(WAITING_COUNT_LIMIT)))


def waiting_count(db: Session, reviewer: User, project: Project) -> int:
    """Return how many items a person may still take: what is reserved for them, and what is open, up to the limit.

    From their position on: else somebody far ahead of the others would count past all that they have reviewed.
    """
    db.flush()
    asked = {"reviewer": reviewer.id, "project": project.id}
    reserved, is_open = _RESERVED_AND_OPEN.first(db.connection(), asked) or (0, 0)
    return int(reserved) + min(int(is_open), WAITING_COUNT_LIMIT)
