"""Later work of the gateway: what nobody waits for any more is closed, what no repeat can come to is forgotten."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hitl.core import clock, jobs
from hitl.gateway.models import Repeatable, Thread
from hitl.gateway.turns import abandoned_holds
from hitl.live.holding import expire, hold_in
from hitl.live.log import locked

ABANDONED_AFTER = timedelta(seconds=60)  # in which a repeat may come
FORGOTTEN_AFTER = timedelta(hours=24)


@jobs.periodic("gateway.close_abandoned", every_seconds=10)
def close_abandoned(db: Session) -> None:
    """End the holds that no request waits for: the application is gone, and nobody would get what is decided."""
    for request in db.scalars(abandoned_holds(clock.now() - ABANDONED_AFTER)).all():
        talk = locked(db, request.conversation_id)
        assert request.hold_id is not None  # noqa: S101 - these have one
        hold = hold_in(db, talk, request.hold_id)
        if hold.ended_at is None:
            hold.when_nobody = "refuse"
            expire(db, talk, hold)


@jobs.periodic("gateway.forget", every_seconds=3600)
def forget(db: Session) -> None:
    """Forget requests that cannot be repeated any more, and threads that nothing continues by guess."""
    before = clock.now() - FORGOTTEN_AFTER
    db.execute(delete(Repeatable).where(Repeatable.made_at < before))
    db.execute(delete(Thread).where(Thread.last_at < before))
