"""Whether the condition of a rule fits a response."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.capture.feedback import feedback_by_response
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
    return feedback_by_response(db, responses)


def fits(condition: AnyCondition, response: Any, feedback: Iterable[Feedback]) -> bool:
    """Whether a condition fits a response: a row with model and model_version."""
    if isinstance(condition, ModelCondition):
        return response.model == condition.name and condition.version in (None, response.model_version)
    if isinstance(condition, FeedbackCondition):
        return any(map(condition.fits, feedback))
    return True
