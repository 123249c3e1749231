"""JSON shapes of what was learned."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel, FeedPage, FeedQuery


class SideOut(ApiModel):
    """One of the two answers."""

    response_id: UUID | None = Field(description="Null where a person wrote it")
    output: dict[str, Any] = Field(description="The assistant message")


class EvidenceOut(ApiModel):
    """One judgement that of two answers to the same input one is better, and where it came from."""

    id: UUID
    input_hash: str
    input_response_id: UUID = Field(description="The response whose input both answer")
    a: SideOut
    b: SideOut
    outcome: str = Field(description="Which is better: a, b, tie or both_bad")
    distance: float | None = Field(description="In points of the scale or ranks; null of other origins")
    origin: str = Field(description="correction, ranking, scale or intervention")
    criterion: str | None = Field(description="Null of an intervention, which goes by no rubric")
    review_id: UUID | None = Field(description="Null of an intervention")
    revision: int | None = Field(description="Which revision of the review said so")
    reviewer: str = Field(description="Who reviewed or intervened: a pseudonym, the same throughout the project")
    rubric: int | None = Field(description="Number of the rubric version")
    intervention_id: UUID | None = Field(description="In a live conversation; null of a review")
    created_at: datetime


class EvidencePage(FeedPage):
    """Evidence that counts, in the order in which it was derived."""

    evidence: list[EvidenceOut]


class LessonQuery(FeedQuery):
    """Which of what was learned."""

    response_id: UUID | None = Field(None, description="Only about this response")


class VerdictQuery(LessonQuery):
    """Which verdicts."""

    origin: Literal["reviewer", "end_user"] | None = None


class DemonstrationQuery(LessonQuery):
    """Which demonstrations."""

    origin: Literal["correction", "approval", "intervention"] | None = None


class VerdictOut(ApiModel):
    """One response found good or bad in itself, and by whom."""

    id: UUID
    response_id: UUID
    input_hash: str
    is_good: bool
    origin: str = Field(description="reviewer or end_user")
    criterion: str | None = Field(description="Null of an end user's, as all that follows but the feedback")
    review_id: UUID | None
    revision: int | None = Field(description="Which revision of the review said so")
    reviewer: str | None = Field(description="A pseudonym, the same throughout the project")
    rubric: int | None = Field(description="Number of the rubric version")
    feedback_id: UUID | None = Field(description="The end user's thumb; null of a reviewer's")
    created_at: datetime


class VerdictPage(FeedPage):
    """Verdicts in the order in which they were last given."""

    verdicts: list[VerdictOut]


class DemonstrationOut(ApiModel):
    """An input and an answer worth imitating: a correction, or the response itself where it was approved."""

    id: UUID
    response_id: UUID = Field(description="The response whose input it answers")
    input_hash: str
    output: dict[str, Any] = Field(description="The assistant message")
    origin: str = Field(description="correction, approval or intervention")
    review_id: UUID | None = Field(description="Null of an intervention")
    revision: int | None = Field(description="Which revision of the review said so")
    reviewer: str = Field(description="Who reviewed or intervened: a pseudonym, the same throughout the project")
    rubric: int | None = Field(description="Number of the rubric version")
    intervention_id: UUID | None = Field(description="In a live conversation; null of a review")
    created_at: datetime


class DemonstrationPage(FeedPage):
    """Demonstrations that count, in the order in which they were derived."""

    demonstrations: list[DemonstrationOut]
