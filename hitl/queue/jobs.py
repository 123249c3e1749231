"""Later work of the queue."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core import jobs
from hitl.queue.drawing import apply_rule
from hitl.queue.models import Rule
from hitl.queue.rules import DRAW_FROM_EARLIER
from hitl.queue.sweeping import SWEPT_AT_ONCE, expire_due

DRAWN_AT_ONCE = 500


@jobs.periodic("queue.expire_leases", every_seconds=20)
def expire_leases(db: Session) -> None:
    """End leases whose time is over where nobody claims: claims sweep their own project."""
    while expire_due(db) >= SWEPT_AT_ONCE:  # of an item all that are due, so it may be more
        pass


@jobs.long(DRAW_FROM_EARLIER)
def draw_from_earlier(run: jobs.Run, rule_id: str) -> None:
    """Let a new rule draw from what was captured before it, in short transactions. A response draws once a rule."""
    after: UUID | None = None
    while True:
        with run.database.writing() as db:
            rule = db.get_one(Rule, UUID(rule_id))
            earlier = select(Response.id).where(Response.project_id == rule.project_id)
            if after is not None:
                earlier = earlier.where(Response.id > after)
            ids = db.scalars(earlier.order_by(Response.id).limit(DRAWN_AT_ONCE)).all()
            apply_rule(db, db.get_one(Project, rule.project_id), rule, ids)
        if len(ids) < DRAWN_AT_ONCE:
            return
        after = ids[-1]
