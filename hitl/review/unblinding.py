"""Who wrote what was compared: told only to those who ask, and kept, because they can never again judge it blind.

A comparison may name its models once it is closed. Its page does not do so by itself: most comparisons are closed by
their own reviewer, who may want to take back a slip and still be blind.
"""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from hitl.accounts import audit
from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.queue import slots
from hitl.queue.blindness import blind_name
from hitl.queue.comparisons import may_name_models
from hitl.queue.models import Item, ItemTarget
from hitl.review.errors import ModelsStayHidden
from hitl.review.models import Review


def may_look(db: Session, review: Review) -> bool:
    """Whether the author of a review may be told who wrote what they compared: not while their review is open again."""
    return review.standing != "reopened" and review.item.kind == "comparison" and may_name_models(db, review.item)


def look_at_models(db: Session, review: Review) -> None:
    """Tell the author of a review from now on who wrote what; nothing that they say from now on counts.

    Locks as a submission does, so that what they say at this very moment comes before or after.
    Raises ModelsStayHidden.
    """
    slots.lock_reviewer(db, review.reviewer_id, review.project_id)
    slots.lock_item(db, review.item_id)
    db.refresh(review)
    if not may_look(db, review):
        raise ModelsStayHidden
    if not review.is_unblinded:
        review.is_unblinded = True
        audit.record(db, review.reviewer, "models_looked_at", review, db.get_one(Project, review.project_id))
        db.flush()


def has_looked(db: Session, item: Item, reviewer_id: UUID) -> bool:
    """Whether a person was told who wrote one of the responses that an item compares, there or elsewhere."""
    if item.kind != "comparison":
        return False
    here, there = aliased(ItemTarget), aliased(ItemTarget)
    is_about_the_same = exists().where(
        here.item_id == item.id, there.item_id == Review.item_id, here.response_id == there.response_id
    )
    looked = select(Review.id).where(Review.reviewer_id == reviewer_id, Review.is_unblinded, is_about_the_same)
    return db.scalar(looked.limit(1)) is not None


def models_named_to_author(db: Session, review: Review) -> dict[str, Response] | None:
    """Return the responses that a review compares, by the names that its author uses; None where they did not ask.

    Nor while it is open again, or another comparison of these responses is: its reviewers would know them by their
    words.
    """
    if not review.is_unblinded or not may_look(db, review):
        return None
    responses = [target.response for target in review.item.targets if target.response is not None]
    return {blind_name(db, review.item, response.id): response for response in responses}
