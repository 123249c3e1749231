"""Facts that capture tells. It has `after` listeners only, and one fact a batch."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ResponsesCaptured:
    """These responses were stored; duplicates are not among them."""

    project_id: UUID
    response_ids: list[UUID]


@dataclass(frozen=True)
class FeedbackGiven:
    """End users said something new about these responses.

    Feedback about a whole conversation names each of its responses that was stored by then.
    """

    project_id: UUID
    response_ids: list[UUID]
