"""Later work of capture."""

from sqlalchemy.orm import Session

from hitl.capture import feedback
from hitl.core import jobs


@jobs.periodic("hitl.capture.jobs.tend_waiting_feedback", every_seconds=60)
def tend_waiting_feedback(db: Session) -> None:
    """Attach waiting feedback whose response has come, and delete what waited for a day in vain."""
    feedback.attach_late(db)
    feedback.forget_waiting(db)
