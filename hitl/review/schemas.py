"""JSON shapes of reviewing.

What a reviewer gets is listed here field by field: nothing that could tell which model they judge.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, SkipValidation

from hitl.core.http import ApiModel, ErrorBody, FeedPage
from hitl.review.rubrics import Criterion

Values = Annotated[
    dict[str, Any],
    Field(
        description="By criterion: a scale's number, `up` or `down`, an option, a list of tags, a text, a correction "
        "as a text or a whole assistant message; `unsure` for “cannot judge”. A ranking is a list of lists of "
        "`response_id`s as the lease names them, best first, equal ones in one list, or `all_bad`. Of two: `{better, "
        "strength}` with strength `much` or `slightly`, or `equal`, or `both_bad`. Spans are objects of `start` and "
        "`end` in Unicode code points, `label`, `severity` and `text_hash`, the SHA-256 of the words in hexadecimal. "
        "What is asked per response or per turn is an object of such values by `response_id`, or by the message's "
        "place among those of the input and then the output.",
        examples=[{"helpful": 2, "correct": "unsure", "wrong": ["made_up"], "correction": "Sorry, it is full."}],
    ),
]


class LeasePath(ApiModel):
    """A lease of the person whose key it is."""

    lease_id: UUID


class ReviewPath(ApiModel):
    """A review."""

    review_id: UUID


class AnswersBody(ApiModel):
    """What a reviewer decided."""

    answers: Values
    comment: str | None = None
    seconds_on_display: float | None = Field(
        None, ge=0, le=7 * 24 * 3600, allow_inf_nan=False, description="How long the item was in view"
    )


class DraftBody(ApiModel):
    """What a reviewer has filled in so far; may be incomplete."""

    answers: Values
    comment: str | None = None
    seen_number: int = Field(ge=0, description="Of the draft that this was typed over; 0 where there was none")


class DraftOut(ApiModel):
    """What a reviewer has filled in so far."""

    number: int = Field(description="Rises with each save; 0 where nothing was saved yet")
    answers: Values
    comment: str | None
    saved_at: datetime | None


class NewerDraft(ApiModel):
    """The draft that was saved in the meantime, as it is stored."""

    number: int
    answers: dict[str, Any]


class DraftConflict(ErrorBody):
    """Why a draft was not kept."""

    draft: NewerDraft | None = Field(None, description="With `stale_draft`: the newer one")


class DraftConflictEnvelope(ApiModel):
    """A refusal that may carry the newer draft."""

    error: DraftConflict


class RubricOut(ApiModel):
    """The questions a reviewer answers."""

    number: int
    criteria: list[dict[str, Any]]


class RubricVersionOut(RubricOut):
    """A published rubric version."""

    id: UUID
    published_at: datetime
    is_in_use: bool


class RubricPage(ApiModel):
    """One page of rubric versions, newest first."""

    rubrics: list[RubricVersionOut]
    next_cursor: str | None = Field(description="Null on the last page")


class RubricBody(ApiModel):
    """The criteria of the project's next rubric version, in order."""

    # Checked by read_rubric, which names the criterion at fault.
    criteria: Annotated[list[Criterion], SkipValidation]


class RevisionOut(ApiModel):
    """One version of a review."""

    number: int
    submitted_at: datetime
    seconds_on_display: float | None
    answers: Values
    comment: str | None
    is_unblinded: bool = Field(description="Made after its reviewer asked which models they compare: never counts")


class ComparedOut(ApiModel):
    """Which model wrote a response that was compared."""

    response_id: UUID = Field(description="As the lease names it")
    model: str | None = Field(description="Null where a person wrote it")
    model_version: str | None


class ReviewOut(ApiModel):
    """What one reviewer decided about one item."""

    id: UUID
    item_id: UUID
    standing: str = Field(description="counted, extra, or reopened")
    counted: bool
    revisions: list[RevisionOut]


class Reviewer(ApiModel):
    """Who made a review."""

    id: UUID
    name: str


class ReviewByOut(ReviewOut):
    """A review and who made it."""

    reviewer: Reviewer


class OwnReviewOut(ReviewOut):
    """What you decided about an item."""

    models: list[ComparedOut] | None = Field(
        description="Which models wrote what you compared, once you asked for it; else null. "
        "Revisions from then on never count."
    )


class MyReviewPage(ApiModel):
    """One page of one's own reviews, newest first."""

    reviews: list[OwnReviewOut]
    next_cursor: str | None = Field(description="Null on the last page")


class ReviewPage(FeedPage):
    """Reviews in the order in which they last changed."""

    reviews: list[ReviewByOut]


class ReopenedOut(ApiModel):
    """The new hold on an item whose review was taken back."""

    lease_id: UUID
    item_id: UUID
    expires_at: datetime
