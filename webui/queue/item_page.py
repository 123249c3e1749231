"""One item as leads see it: what it is about, who has it, what was decided, and how it came here."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project, User
from hitl.capture.models import Response
from hitl.capture.queries import feedback_about
from hitl.queue.models import Assignment, Item, Lease, RuleVersion, Selection
from hitl.queue.queries import SlotCounts, leases_of, reviewers, selections_of, slot_counts, standing_assignments
from hitl.queue.reasons import why_here
from hitl.queue.rules import inclusion_probability
from hitl.review.corrections import text_of
from hitl.review.models import Review, Revision
from hitl.review.queries import reviews_of
from hitl.review.rubrics import Rubric, rubric_of
from webui.base.transcript import Transcript, transcript


@dataclass(frozen=True)
class ShownReview:
    """What one person decided, in words."""

    review: Review
    newest: Revision | None
    marks: list[tuple[str, str]]  # criterion and what was said
    correction: str | None


@dataclass(frozen=True)
class ItemPage:
    """All that the page shows."""

    item: Item
    transcripts: list[Transcript]
    counts: SlotCounts
    lead: str  # why it is here, as a sentence
    selections: list[Selection]
    chance: float | None
    leases: list[Lease]
    assignments: list[Assignment]
    may_be_given_to: list[User]
    reviews: list[ShownReview]
    is_blind: bool  # the reader has yet to judge it, or models must not be told apart: rules and reviews stay hidden


def item_page(db: Session, project: Project, item: Item, reader: User) -> ItemPage:
    """Gather what the page of an item shows to this reader."""
    responses = [target.response for target in item.targets if target.response is not None]
    leases = list(db.scalars(leases_of(item).options(joinedload(Lease.reviewer))))
    assignments = list(db.scalars(standing_assignments(item).options(joinedload(Assignment.reviewer))))
    selections = _selections(db, item, responses)
    return ItemPage(
        item=item,
        transcripts=[_transcript(db, response) for response in responses],
        counts=slot_counts(db, [item.id]).get(item.id, SlotCounts()),
        lead=_sentence(why_here(db, item)),
        selections=selections,
        chance=inclusion_probability(selection.rate for selection in selections) if selections else None,
        leases=leases,
        assignments=assignments,
        may_be_given_to=_may_be_given_to(db, project, leases, assignments),
        reviews=_reviews(db, item),
        is_blind=_is_blind(item, leases, reader),
    )


def _sentence(reasons: list[str]) -> str:
    said = "; ".join(reasons)
    return f"{said[0].upper()}{said[1:]}."


def _is_blind(item: Item, leases: list[Lease], reader: User) -> bool:
    is_at_it = any(lease.reviewer_id == reader.id and lease.ended_as is None for lease in leases)
    return is_at_it or (item.kind == "comparison" and item.closed_at is None)


def _transcript(db: Session, response: Response) -> Transcript:
    said = [
        {"kind": given.kind, "value": given.value, "comment": given.comment, "source": given.source}
        for given in db.scalars(feedback_about(response))
    ]
    return transcript(response.input["messages"], response.output, feedback=said, context=response.context)


def _selections(db: Session, item: Item, responses: list[Response]) -> list[Selection]:
    if item.kind != "response" or not responses:
        return []
    with_rule = joinedload(Selection.rule_version).joinedload(RuleVersion.rule)
    return list(db.scalars(selections_of(responses[0].id).options(with_rule)))


def _may_be_given_to(db: Session, project: Project, leases: list[Lease], assignments: list[Assignment]) -> list[User]:
    """Those who may review and have not dealt with it yet."""
    barred = {lease.reviewer_id for lease in leases if lease.ended_as in (None, "completed", "skipped")}
    barred |= {assignment.reviewer_id for assignment in assignments}
    return [person for person in db.scalars(reviewers(project)) if person.id not in barred]


def _reviews(db: Session, item: Item) -> list[ShownReview]:
    rubric = rubric_of(db, item)
    return [_shown(review, rubric) for review in db.scalars(reviews_of(item))]


def _shown(review: Review, rubric: Rubric) -> ShownReview:
    newest = review.revisions[-1] if review.revisions else None
    if newest is None:
        return ShownReview(review, None, [], None)
    correction = text_of(newest.corrections[0].output) if newest.corrections else None
    return ShownReview(review, newest, _marks(newest, rubric), correction)


def _marks(revision: Revision, rubric: Rubric) -> list[tuple[str, str]]:
    """Return what a revision says, criterion by criterion, in the rubric's order and words."""
    said = [(criterion.label, _said(revision, criterion)) for criterion in rubric.criteria]
    return [(label, words) for label, words in said if words]


def _said(revision: Revision, criterion: Any) -> str:
    for rating in revision.ratings:
        if rating.criterion == criterion.name:
            return _rated(rating.value, criterion)
    for remark in revision.remarks:
        if remark.criterion == criterion.name:
            return remark.text
    labels = {option.value: option.label for option in getattr(criterion, "options", ())}
    chosen = [tag.value for tag in revision.tags if tag.criterion == criterion.name]
    return ", ".join(labels.get(value, value) for value in chosen)


def _rated(value: int | None, criterion: Any) -> str:
    if value is None:
        return "cannot judge"
    if criterion.kind == "thumbs":
        return "up" if value else "down"
    labels = {point.value: point.label for point in getattr(criterion, "points", ())}
    return f"{value}: {labels[value]}" if value in labels else str(value)


def review_of(db: Session, item: Item, review_id: Any) -> Review | None:
    """Return a review of this item."""
    return db.scalar(select(Review).where(Review.id == review_id, Review.item_id == item.id))
