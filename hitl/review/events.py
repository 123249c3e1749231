"""Facts that reviewing tells."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ReviewSubmitted:
    """A reviewer finished an item: counted, or kept as an extra."""

    review_id: UUID
    revision_id: UUID


@dataclass(frozen=True)
class ReviewRevised:
    """A reviewer changed what they had decided."""

    review_id: UUID
    revision_id: UUID


@dataclass(frozen=True)
class ReviewAdmitted:
    """A lead let an extra review count."""

    review_id: UUID
    revision_id: UUID


@dataclass(frozen=True)
class ReviewReopened:
    """A reviewer took a submitted review back to go on with it; until they submit again it counts for nothing."""

    review_id: UUID
