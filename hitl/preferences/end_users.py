"""What end users' thumbs teach, in projects that want them to count."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.accounts.projects import settings_of
from hitl.capture.models import Feedback, Response
from hitl.core import clock
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.preferences.models import Verdict


def take_thumbs_as_verdicts(db: Session, project: Project, response_ids: list[UUID]) -> None:
    """Store a verdict for each thumb up or down about these responses; where one changed, so does its verdict.

    Safe to run twice. Does nothing in a project that does not want end users' thumbs to count.
    """
    if not settings_of(project).end_user_thumbs:
        return
    thumbs = (
        select(Feedback, Response.input_hash)
        .join(Response, Response.id == Feedback.response_id)
        .where(Feedback.response_id.in_(response_ids), Feedback.kind == "thumbs", Feedback.source == "end_user")
    )
    locked = thumbs.order_by(Feedback.id).with_for_update(key_share=True, of=Feedback)
    for feedback, input_hash in db.execute(locked).all():
        if isinstance(feedback.value, bool):
            _keep_verdict(db, feedback, input_hash)
        else:
            db.execute(delete(Verdict).where(Verdict.feedback_id == feedback.id))  # the thumb was taken away


def _keep_verdict(db: Session, feedback: Feedback, input_hash: str) -> None:
    verdict = insert_into(db, Verdict).values(
        id=new_id(),
        project_id=feedback.project_id,
        response_id=feedback.response_id,
        input_hash=input_hash,
        feedback_id=feedback.id,
        is_good=feedback.value,
        origin="end_user",
        created_at=clock.now(),
    )
    said = {name: verdict.excluded[name] for name in ("is_good", "feed_number")}
    is_news = Verdict.is_good != verdict.excluded.is_good  # else it would come again in the feed
    db.execute(verdict.on_conflict_do_update(index_elements=["feedback_id"], set_=said, where=is_news))
