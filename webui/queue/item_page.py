"""One item as leads see it: what it is about, who has it, what was decided, and how it came here."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project, User
from hitl.capture.models import Response
from hitl.capture.queries import feedback_about
from hitl.queue.comparisons import may_name_models
from hitl.queue.models import MAX_COMPARED, Assignment, Item, Lease, RuleVersion, Selection
from hitl.queue.queries import SlotCounts, leases_of, reviewers, selections_of, slot_counts, standing_assignments
from hitl.queue.reasons import why_here
from hitl.queue.rules import inclusion_probability
from hitl.review.corrections import folded, text_of
from hitl.review.judged import judged_of
from hitl.review.models import Review
from webui.base.transcript import Transcript, transcript
from webui.queue.decided import ShownReview, lessons_of, shown_reviews
from webui.queue.history import Moment, history_of

LOOKED_AT = 100  # other answers to the same question


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
    history: list[Moment]
    lessons: list[str]
    models: list[str]  # of what is compared, in the order of the transcripts; none while they are judged blind
    judged_blind: UUID | None  # the reader's own review, on whose page they may ask for the models
    others: list[Response]  # answers to the same question that this one may be compared with
    conversation_id: UUID | None  # that may be reviewed as a whole
    is_blind: bool  # the reader has yet to judge it, or models must not be told apart: rules and reviews stay hidden


def item_page(db: Session, project: Project, item: Item, reader: User) -> ItemPage:
    """Gather what the page of an item shows to this reader."""
    responses = [target.response for target in item.targets if target.response is not None]
    leases = list(db.scalars(leases_of(item).options(joinedload(Lease.reviewer))))
    assignments = list(db.scalars(standing_assignments(item).options(joinedload(Assignment.reviewer))))
    selections = _selections(db, item, responses)
    is_blind = _is_blind(item, leases, reader)
    judged = judged_of(db, item)
    reviews = shown_reviews(db, item, judged)
    lead = _sentence(why_here(db, item))
    names_models = item.kind == "comparison" and not is_blind and may_name_models(db, item)
    judged_blind = _judged_blind(reviews, reader)
    return ItemPage(
        item=item,
        transcripts=[_transcript(db, item, response) for response in responses],
        counts=slot_counts(db, [item.id]).get(item.id, SlotCounts()),
        lead=lead,
        selections=selections,
        chance=inclusion_probability(selection.rate for selection in selections) if selections else None,
        leases=leases,
        assignments=assignments,
        may_be_given_to=_may_be_given_to(db, project, leases, assignments),
        reviews=reviews,
        is_blind=is_blind,
        history=history_of(db, item, lead, leases, reviews),
        lessons=[] if is_blind else lessons_of(db, reviews, judged),
        models=[_model(response) for response in responses] if names_models and judged_blind is None else [],
        judged_blind=judged_blind if names_models else None,
        others=_others(db, item, responses),
        conversation_id=responses[0].conversation_id if item.kind == "response" and responses else None,
    )


def _sentence(reasons: list[str]) -> str:
    said = "; ".join(reasons)
    return f"{said[0].upper()}{said[1:]}."


def _is_blind(item: Item, leases: list[Lease], reader: User) -> bool:
    is_at_it = any(lease.reviewer_id == reader.id and lease.ended_as is None for lease in leases)
    return is_at_it or (item.kind == "comparison" and item.closed_at is None)


def _judged_blind(reviews: list[ShownReview], reader: User) -> UUID | None:
    """Return the reader's own review, if they never asked which model wrote what."""
    own = (shown.review for shown in reviews if shown.review.reviewer_id == reader.id)
    return next((review.id for review in own if not review.is_unblinded), None)


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


def _model(response: Response) -> str:
    return " ".join(filter(None, (response.model, response.model_version))) or "a person"


def _others(db: Session, item: Item, responses: list[Response]) -> list[Response]:
    """Return other answers to the same question, one of each wording, by their words alone: nobody picks a model."""
    if item.kind != "response" or not responses:
        return []
    this = responses[0]
    alike = select(Response).where(Response.project_id == item.project_id, Response.input_hash == this.input_hash)
    found = db.scalars(alike.where(Response.id != this.id).order_by(Response.id.desc()).limit(LOOKED_AT))
    by_words = {folded(text_of(response.output)): response for response in found}
    by_words.pop(folded(text_of(this.output)), None)
    return list(by_words.values())[: MAX_COMPARED - 1]


def review_of(db: Session, item: Item, review_id: Any) -> Review | None:
    """Return a review of this item."""
    return db.scalar(select(Review).where(Review.id == review_id, Review.item_id == item.id))
