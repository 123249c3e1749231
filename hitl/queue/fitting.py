"""Whether the condition of a rule fits a response."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hitl.capture.models import Feedback
from hitl.queue.rules import AllCondition, FeedbackCondition, ModelCondition

AnyCondition: TypeAlias = AllCondition | ModelCondition | FeedbackCondition


def feedback_about(
    db: Session, responses: Sequence[Any], conditions: Iterable[AnyCondition]
) -> dict[UUID, list[Feedback]]:
    """Return by response id what was said about each response, and about its conversation.

    responses: rows with id and conversation_id. conditions: if none of them is about feedback, nothing is looked up.
    """
    if not any(isinstance(condition, FeedbackCondition) for condition in conditions):
        return {}
    conversations = {row.conversation_id for row in responses if row.conversation_id is not None}
    about = or_(Feedback.response_id.in_([row.id for row in responses]), Feedback.conversation_id.in_(conversations))
    given: dict[UUID | None, list[Feedback]] = defaultdict(list)
    for feedback in db.scalars(select(Feedback).where(about)):
        given[feedback.response_id or feedback.conversation_id].append(feedback)
    return {row.id: given[row.id] + (given[row.conversation_id] if row.conversation_id else []) for row in responses}


def fits(condition: AnyCondition, response: Any, feedback: Iterable[Feedback]) -> bool:
    """Whether a condition fits a response: a row with model and model_version."""
    if isinstance(condition, ModelCondition):
        return response.model == condition.name and condition.version in (None, response.model_version)
    if isinstance(condition, FeedbackCondition):
        return any(map(condition.fits, feedback))
    return True
