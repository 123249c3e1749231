"""What the review pages show of an item and of a review.

Reviewers judge blind. So templates never get a response, an item or a rule; they get the values built here, field by
field. Whatever is not copied here stays hidden: model, version, prompt, ids and metadata of the client, parameters,
tokens, cost, latency, trace, rule names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload, selectinload

from hitl.accounts.models import Project, User
from hitl.accounts.projects import settings_of
from hitl.core import clock
from hitl.queue.models import Item, ItemTarget, Lease
from hitl.queue.queries import items_added_since
from hitl.queue.reasons import why_here
from hitl.queue.waiting import WAITING_COUNT_LIMIT, waiting_count
from hitl.review.answers import Answers
from hitl.review.corrections import text_of
from hitl.review.judged import judged_of
from hitl.review.models import Draft, Review, Revision
from hitl.review.queries import DAY_SO_FAR, WITH_MARKS, review_count_since
from hitl.review.rubrics import Corrected, rubric_of
from hitl.review.unblinding import has_looked, may_look, models_named_to_author
from webui.review.compared import Comparison, asked_in, comparison_of, letters_of
from webui.review.forms import form_fields
from webui.review.single import Subject, response_of, single_subject
from webui.review.wording import in_short, turn_names

PACE_WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Filled:
    """What stands in the form."""

    answers: Mapping[str, Any] = field(default_factory=dict)  # by criterion; a correction as its words
    comment: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)  # by criterion, or "comment"


@dataclass(frozen=True)
class Work:
    """How the day goes, for the bar above the work."""

    done_today: int
    waiting: int
    can_undo: bool

    @property
    def waiting_in_words(self) -> str:
        return f"{self.waiting:,}{'+' if self.waiting >= WAITING_COUNT_LIMIT else ''}"


@dataclass(frozen=True)
class Hold:
    """A lease, as its holder sees it."""

    lease_id: UUID
    ends_at: datetime
    is_over: bool
    lease_seconds: int
    why_here: str
    draft_number: int
    draft_saved_at: datetime | None
    is_unblinded: bool  # its holder was told who wrote one of the responses compared: what they say does not count


@dataclass(frozen=True)
class Said:
    """One revision in a few words."""

    number: int
    submitted_at: datetime
    answers: tuple[str, ...]  # such as "Helpful 2"
    comment: str
    corrected: str  # the words of the correction, if there is one
    seconds_on_display: float | None
    is_unblinded: bool


@dataclass(frozen=True)
class OwnReview:
    """A review, as its author sees it."""

    review_id: UUID
    about: str  # the words of the response; of a comparison, those that the responses answer; else the user's last
    is_conversation: bool
    compared_count: int  # how many responses; 0 where nothing is compared
    standing: str
    said: Said  # newest
    earlier: tuple[Said, ...]  # newest of them first
    is_unblinded: bool  # its author was told the models: what they say now is kept and does not count
    may_look: bool  # whether its author may ask for them


def subject_of(db: Session, lease: Lease) -> Subject | Comparison:
    """Return what is judged, as the holder of the lease sees it."""
    item = lease.item
    return comparison_of(db, item, lease) if item.kind == "comparison" else single_subject(db, item)


def reviewed_subject(db: Session, review: Review) -> Subject | Comparison:
    """Return what was judged, as the author of the review saw it; a closed comparison with its models."""
    if review.item.kind != "comparison":
        return single_subject(db, review.item)
    return comparison_of(db, review.item, review.lease, models_named_to_author(db, review))


def work_of(db: Session, reviewer: User, project: Project) -> Work:
    """Return how a person's day goes in a project."""
    asked = {"reviewer": reviewer.id, "project": project.id, "since": _midnight()}
    done_today, can_undo = db.execute(DAY_SO_FAR, asked).one()
    return Work(done_today, waiting_count(db, reviewer, project), bool(can_undo))


def done_today(db: Session, reviewer: User, project: Project) -> int:
    """Return how many reviews a person has submitted since midnight, UTC."""
    return db.scalar(review_count_since(reviewer, project, _midnight())) or 0


def _midnight() -> datetime:
    return clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def new_items_an_hour(db: Session, project: Project) -> int:
    """Return how many items came in an hour, over the last day; 0 when there were fewer than one."""
    count = db.scalar(items_added_since(project, clock.now() - PACE_WINDOW)) or 0
    return round(count / (PACE_WINDOW / timedelta(hours=1)))


def hold_of(db: Session, lease: Lease, project: Project, draft: Draft | None) -> Hold:
    """Return a lease as its holder sees it."""
    return Hold(
        lease_id=lease.id,
        ends_at=lease.expires_at,
        is_over=is_over(lease),
        lease_seconds=settings_of(project).lease_minutes * 60,
        why_here="; ".join(why_here(db, lease.item)),
        draft_number=draft.number if draft else 0,
        draft_saved_at=draft.updated_at if draft else None,
        is_unblinded=has_looked(db, lease.item, lease.reviewer_id),
    )


def is_over(lease: Lease) -> bool:
    """Return whether a lease's time is over, swept or not."""
    return lease.ended_as is not None or lease.expires_at <= clock.now()


def filled_by_draft(draft: Draft | None) -> Filled:
    """Return the form as it was left."""
    return Filled() if draft is None else filled_by(draft.answers)


def filled_by(answers: Mapping[str, Any], problems: Mapping[str, str] | None = None) -> Filled:
    """Return the form with answers that may not be complete or even right: people get back what they typed."""
    shown = {name: _as_typed(value) for name, value in answers.items() if name != "comment"}
    return Filled(shown, str(answers.get("comment") or ""), problems or {})


def filled_by_revision(db: Session, revision: Revision, item: Item) -> Filled:
    """Return the form as it was submitted."""
    rubric = rubric_of(db, item)
    said = Answers.of(revision, rubric)
    return filled_by({**said.as_seen(rubric, judged_of(db, item)), "comment": said.comment})


def fields_of_draft(db: Session, item: Item, answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the form's fields as a draft fills them."""
    filled = filled_by(answers)
    original = text_of(response_of(item).output)
    return form_fields(rubric_of(db, item), filled.answers, filled.comment, original)


def reviews_by(reviewer: User, project: Project) -> Select[Review]:
    """A person's reviews in a project, those that are open again among them, with all that a list shows."""
    return (
        select(Review)
        .where(Review.reviewer_id == reviewer.id, Review.project_id == project.id)
        .options(
            joinedload(Review.item).selectinload(Item.targets).joinedload(ItemTarget.response),
            joinedload(Review.lease),
            selectinload(Review.revisions).options(*WITH_MARKS),
        )
    )


def own_review(db: Session, review: Review) -> OwnReview:
    """Return a review as its author sees it."""
    item = review.item
    newest, *earlier = [said(db, revision, review) for revision in reversed(review.revisions)]
    is_comparison = item.kind == "comparison"
    return OwnReview(
        review_id=review.id,
        about=text_of(response_of(item).output) if item.kind == "response" else asked_in(item),
        is_conversation=item.kind == "conversation",
        compared_count=len(item.targets) if is_comparison else 0,
        standing=review.standing,
        said=newest,
        earlier=tuple(earlier),
        is_unblinded=review.is_unblinded,
        may_look=is_comparison and not review.is_unblinded and may_look(db, review),
    )


def said(db: Session, revision: Revision, review: Review) -> Said:
    """Return a revision in a few words, its responses under the letters that its author saw."""
    item = review.item
    rubric = rubric_of(db, item)
    answers = Answers.of(revision, rubric)
    judged = judged_of(db, item)
    values = answers.as_seen(rubric, judged)
    names = letters_of(db, item, review.lease) if item.kind == "comparison" else turn_names(judged)
    corrected = next((values.get(c.name) for c in rubric.criteria if isinstance(c, Corrected)), None)
    return Said(
        number=revision.number,
        submitted_at=revision.submitted_at,
        answers=tuple(in_short(c, values[c.name], names) for c in rubric.criteria if c.name in values),
        comment=answers.comment or "",
        corrected=text_of(corrected) if corrected else "",
        seconds_on_display=revision.seconds_on_display,
        is_unblinded=revision.is_unblinded,
    )


def _as_typed(value: Any) -> Any:
    """A correction that came as a whole message is shown as its words."""
    return text_of(value) if isinstance(value, dict) and "role" in value else value
