"""Later work of the queue."""

from sqlalchemy.orm import Session

from hitl.core import jobs
from hitl.queue.leases import SWEPT_AT_ONCE, expire_due


@jobs.periodic("queue.expire_leases", every_seconds=20)
def expire_leases(db: Session) -> None:
    """End leases whose time is over where nobody claims: claims sweep their own project."""
    while expire_due(db) >= SWEPT_AT_ONCE:  # of an item all that are due, so it may be more
        pass
