"""JSON shapes of what was learned."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel, FeedPage


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
    distance: float | None = Field(description="In points of the scale or ranks; null for a correction")
    origin: str = Field(description="correction, ranking or scale")
    criterion: str
    review_id: UUID
    revision: int = Field(description="Which revision of the review said so")
    reviewer: str = Field(description="A pseudonym, the same throughout the project")
    rubric: int = Field(description="Number of the rubric version")
    created_at: datetime


class EvidencePage(FeedPage):
    """Evidence that counts, in the order in which it was derived."""

    evidence: list[EvidenceOut]
