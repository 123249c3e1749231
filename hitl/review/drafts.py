"""Drafts: what a reviewer has filled in so far, kept as they type. A draft outlives the lease.

A save names the number of the draft it was typed over, so that of two tabs the older cannot overwrite the newer.
"""

from typing import Any

import orjson
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import ensure_storable
from hitl.core import clock
from hitl.core.ids import new_id
from hitl.queue.models import Item
from hitl.review.answer_fields import ensure_shown_in_form
from hitl.review.errors import AlreadySubmitted, DraftTooLarge, StaleDraft
from hitl.review.models import Draft, Review
from hitl.review.queries import submitted_reviews

MAX_DRAFT_BYTES = 4 * 1024 * 1024

_DRAFT_OF = select(Draft).where(Draft.item_id == bindparam("item"), Draft.reviewer_id == bindparam("reviewer"))
_LOCKED_DRAFT_OF = _DRAFT_OF.with_for_update().execution_options(populate_existing=True)


def draft_of(db: Session, item: Item, reviewer: User) -> Draft | None:
    """Return what this reviewer has filled in for this item, if anything."""
    draft = db.scalar(_DRAFT_OF, {"item": item.id, "reviewer": reviewer.id})
    return draft if draft is not None and draft.answers else None


def save_draft(db: Session, item: Item, reviewer: User, answers: dict[str, Any], seen_number: int) -> Draft:
    """Keep what the reviewer has filled in; complete or not.

    answers: by criterion, as in Answers, and "comment".
    seen_number: of the draft that these answers were typed over; 0 where there was none.
    A save that is repeated because its answer got lost changes nothing.
    Raises StaleDraft, which carries the newer draft; AlreadySubmitted; DraftTooLarge; AnswersRefused for what a form
    cannot show; RowInvalid for what cannot be stored.
    """
    _ensure_storable(answers)
    ensure_shown_in_form(answers)
    draft = _locked_draft(db, item, reviewer)
    if db.scalar(select(submitted_reviews(reviewer).where(Review.item_id == item.id).exists())):
        raise AlreadySubmitted
    if draft.number == seen_number + 1 and draft.answers == answers:
        return draft
    nothing_to_overwrite = seen_number == 0 and not draft.answers
    if draft.number != seen_number and not nothing_to_overwrite:
        raise StaleDraft(draft.number, draft.answers)
    return _fill(db, draft, answers)


def restore_draft(db: Session, item: Item, reviewer: User, answers: dict[str, Any]) -> Draft:
    """Put answers that were submitted before back into the draft."""
    return _fill(db, _locked_draft(db, item, reviewer), answers)


def drop_draft(db: Session, item: Item, reviewer: User) -> None:
    """Forget what the draft holds, because it was submitted.

    The row stays, for its number: if the review is reopened, a tab from before must not pass for up to date.
    """
    draft = db.scalar(_LOCKED_DRAFT_OF, {"item": item.id, "reviewer": reviewer.id})
    if draft is not None:
        _fill(db, draft, {})


def _ensure_storable(answers: dict[str, Any]) -> None:
    try:
        ensure_storable(answers)
    except RowInvalid as error:
        raise type(error)(error.message, param=f"/answers{error.param or ''}") from error
    if len(orjson.dumps(answers)) > MAX_DRAFT_BYTES:
        raise DraftTooLarge(param="/answers")


def _locked_draft(db: Session, item: Item, reviewer: User) -> Draft:
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    fresh = {"id": new_id(), "item_id": item.id, "reviewer_id": reviewer.id, "number": 0, "answers": {}}
    db.execute(insert(Draft).values(fresh | {"updated_at": clock.now()}).on_conflict_do_nothing())
    return db.scalars(_LOCKED_DRAFT_OF, {"item": item.id, "reviewer": reviewer.id}).one()


def _fill(db: Session, draft: Draft, answers: dict[str, Any]) -> Draft:
    draft.answers = answers
    draft.number += 1
    draft.updated_at = clock.now()
    db.flush()
    return draft
