"""Later work of live conversations: what happens when nobody comes, and when a sender dies."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core import jobs
from hitl.live.holding import END_AT_DEADLINE, end_at_deadline
from hitl.live.speaking import LOOK_AFTER_STREAM, look_after_stream


@jobs.transactional(END_AT_DEADLINE)
def end_hold_at_deadline(db: Session, hold_id: str) -> None:
    """End a hold for which nobody came."""
    end_at_deadline(db, UUID(hold_id))


@jobs.transactional(LOOK_AFTER_STREAM)
def look_after_stream_later(db: Session, draft_id: str) -> None:
    """See whether whoever streams a draft is still alive."""
    look_after_stream(db, UUID(draft_id))
