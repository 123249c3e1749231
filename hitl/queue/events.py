"""Facts that the queue tells."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ItemsWanted:
    """Items of a kind are about to be made, or a rule to make them. Who knows the rubric says no if it asks nothing."""

    rubric_version_id: UUID
    kind: str
    response_count: int  # that each of them compares; 1 if it compares none
