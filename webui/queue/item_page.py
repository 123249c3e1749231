"""One item as leads see it: what it is about, who has it, what was decided, and how it came here."""

from collections.abc import Mapping
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
from hitl.review.answers import Answers
from hitl.review.corrections import text_of
from hitl.review.judged import Judged, judged_of
from hitl.review.models import Review, Revision
from hitl.review.queries import reviews_of
from hitl.review.rubrics import CANNOT_JUDGE, Corrected, Criterion, Rubric, Scale, Spans, Text, rubric_of
from webui.base.transcript import Transcript, transcript
from webui.review.compared import LETTERS
from webui.review.marking import Marked, passages
from webui.review.wording import in_words, turn_names


@dataclass(frozen=True)
class ShownReview:
    """What one person decided, in words."""

    review: Review
    newest: Revision | None
    marks: list[tuple[str, str]]  # criterion and what was said
    passages: list[tuple[str, Marked]]  # what is marked: in which response or turn, and the words
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
        transcripts=[_transcript(db, item, response) for response in responses],
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


def _transcript(db: Session, item: Item, response: Response) -> Transcript:
    said = [
        {"kind": given.kind, "value": given.value, "comment": given.comment, "source": given.source}
        for given in db.scalars(feedback_about(response))
    ]
    return transcript(
        response.input["messages"],
        response.output,
        feedback=said,
        context=response.context,
        is_whole=item.kind == "conversation",
    )


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
    rubric, judged = rubric_of(db, item), judged_of(db, item)
    return [_shown(review, rubric, judged) for review in db.scalars(reviews_of(item))]


def _shown(review: Review, rubric: Rubric, judged: Judged) -> ShownReview:
    newest = review.revisions[-1] if review.revisions else None
    if newest is None:
        return ShownReview(review, None, [], [], None)
    values = Answers.of(newest, rubric).values
    said = [(criterion, values[criterion.name]) for criterion in rubric.criteria if criterion.name in values]
    names = _names(judged)
    return ShownReview(
        review=review,
        newest=newest,
        marks=[
            (criterion.label, _in_full(criterion, value, names))
            for criterion, value in said
            if not isinstance(criterion, Corrected)
        ],
        passages=[
            passage
            for criterion, value in said
            if isinstance(criterion, Spans)
            for passage in _passages(criterion, value, judged, names)
        ],
        correction=text_of(newest.corrections[0].output) if newest.corrections else None,
    )


def _names(judged: Judged) -> dict[str, str]:
    """Return what this page calls the responses, in the order in which it shows them, and the turns."""
    letters = zip(judged.responses, LETTERS, strict=False)
    return turn_names(judged) | {str(response.id): letter for response, letter in letters}


def _in_full(criterion: Criterion, value: Any, names: Mapping[str, str]) -> str:
    """Return an answer in words; a point of a scale with what it means."""
    if isinstance(criterion, Scale) and criterion.per == "item" and value != CANNOT_JUDGE:
        label = next((point.label for point in criterion.points if point.value == value), "")
        return f"{value}: {label}" if label else str(value)
    return value if isinstance(criterion, Text) and criterion.per == "item" else in_words(criterion, value, names)


def _passages(criterion: Spans, value: Any, judged: Judged, names: Mapping[str, str]) -> list[tuple[str, Marked]]:
    """Return what was marked, each with where: which response or turn, empty where there is but one text."""
    if criterion.per == "item":
        return [("", one) for one in passages(criterion, value, judged.whole().words or "")]
    words = {part.key: part.words or "" for part in judged.parts(criterion).values()}
    return [
        (names[key], one)
        for key, text in words.items()
        if key in value
        for one in passages(criterion, value[key], text)
    ]


def review_of(db: Session, item: Item, review_id: Any) -> Review | None:
    """Return a review of this item."""
    return db.scalar(select(Review).where(Review.id == review_id, Review.item_id == item.id))
