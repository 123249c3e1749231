"""How leases end without a review: by their holder's wish, or because their time is over, which a sweep finds."""

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core import clock
from hitl.queue.models import Item, Lease
from hitl.queue.openings import opening_number
from hitl.queue.slots import free_slot, lock_items, settle

SWEPT_AT_ONCE = 100


def expire_due(db: Session, project: Project | None = None, limit: int = SWEPT_AT_ONCE) -> int:
    """End leases whose time is over, in one project or in all, and return how many. The longest overdue go first.

    Items that somebody holds at this instant are left for the next sweep.
    """
    due = and_(Lease.ended_as.is_(None), Lease.expires_at <= clock.now())
    overdue = select(Lease.item_id).where(due).order_by(Lease.expires_at).limit(limit)
    if project is not None:
        overdue = overdue.where(Lease.project_id == project.id)
    item_ids = db.scalars(overdue).all()
    if not item_ids:
        return 0
    items = {item.id: item for item in lock_items(db, item_ids, skip_locked=True)}
    leases = select(Lease).where(Lease.item_id.in_(items), due).execution_options(populate_existing=True)
    ended = db.scalars(leases).all()
    for lease in ended:
        release(db, items[lease.item_id], lease, "expired")
    return len(ended)


def release(db: Session, item: Item, lease: Lease, ended_as: str) -> None:
    """End a running lease without a review. The caller has locked the item."""
    free_slot(db, item, lease)
    item.opened_in = opening_number()  # to others who may have its slot, and to them, whom this does not bar
    end_lease(lease, ended_as)
    settle(db, item)
    db.flush()


def end_lease(lease: Lease, ended_as: str) -> None:
    """Note how and when a lease ended. What becomes of its slot is up to the caller."""
    lease.ended_as = ended_as
    lease.ended_at = clock.now()
