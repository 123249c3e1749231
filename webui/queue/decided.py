"""What was decided about an item, revision by revision, and what that taught."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.queue.models import Item
from hitl.review.answers import Answers
from hitl.review.corrections import text_of
from hitl.review.judged import Judged
from hitl.review.models import Review, Revision
from hitl.review.queries import reviews_of
from hitl.review.rubrics import CANNOT_JUDGE, Corrected, Criterion, Rubric, Scale, Spans, Text, rubric_of
from webui.base.word_diff import WordDiff, word_diff
from webui.review.compared import LETTERS
from webui.review.marking import Marked, passages
from webui.review.wording import in_words, turn_names


@dataclass(frozen=True)
class ShownRevision:
    """One version of a review, in words."""

    revision: Revision
    marks: list[tuple[str, str]]  # criterion and what was said
    passages: list[tuple[str, Marked]]  # what is marked: in which response or turn, and the words
    correction: str | None
    diff: WordDiff | None  # from the response to its correction; none where they are too long


@dataclass(frozen=True)
class ShownReview:
    """What one person decided: the newest revision, and those before it."""

    review: Review
    newest: ShownRevision | None
    earlier: list[ShownRevision]


def shown_reviews(db: Session, item: Item, judged: Judged) -> list[ShownReview]:
    """Return the reviews of an item in the order in which they came."""
    rubric, names = rubric_of(db, item), names_in(judged)
    shown = []
    for review in db.scalars(reviews_of(item)):
        revisions = [_shown(revision, rubric, judged, names) for revision in reversed(review.revisions)]
        shown.append(ShownReview(review, revisions[0] if revisions else None, revisions[1:]))
    return shown


def names_in(judged: Judged) -> dict[str, str]:
    """Return what the page calls responses and messages: letters in the order of the item, "turn 1" and so on."""
    letters = zip(judged.responses, LETTERS, strict=False)
    return turn_names(judged) | {str(response.id): letter for response, letter in letters}


def _shown(revision: Revision, rubric: Rubric, judged: Judged, names: Mapping[str, str]) -> ShownRevision:
    values = Answers.of(revision, rubric).values
    said = [(criterion, values[criterion.name]) for criterion in rubric.criteria if criterion.name in values]
    corrected = next((value for criterion, value in said if isinstance(criterion, Corrected)), None)
    correction = None if corrected is None else text_of(corrected)
    return ShownRevision(
        revision=revision,
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
        correction=correction,
        diff=None if correction is None else word_diff(judged.whole().words or "", correction),
    )


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


def lessons_of(db: Session, reviews: Sequence[ShownReview], judged: Judged) -> list[str]:
    """Return what the reviews that count taught, in sentences: "A beats B, by ranking"."""
    counting = [shown.review.counting_revision_id for shown in reviews if shown.review.counting_revision_id is not None]
    if not counting:
        return []
    names = names_in(judged) if judged.kind == "comparison" else {}
    learned = [_preference(row, names) for row in db.scalars(_of(Evidence, counting))]
    for verdict in db.scalars(_of(Verdict, counting)):
        which = f"Response {names[str(verdict.response_id)]}" if str(verdict.response_id) in names else "The response"
        learned.append(f"{which} is {'good' if verdict.is_good else 'bad'} in itself.")
    for example in db.scalars(_of(Demonstration, counting)):
        learned.append(f"The {'correction' if example.output is not None else 'response'} is worth imitating.")
    counts = Counter(learned)
    return [sentence if count == 1 else f"{sentence} ({count} times)" for sentence, count in counts.items()]


def _of(table: Any, revision_ids: Sequence[Any]) -> Any:
    return select(table).where(table.revision_id.in_(revision_ids)).order_by(table.id)


def _preference(row: Evidence, names: Mapping[str, str]) -> str:
    a, b = (
        "the correction" if one is None else f"response {names[str(one)]}" if str(one) in names else "the response"
        for one in (row.a_response_id, row.b_response_id)
    )
    said = {
        "a": f"{a} beats {b}",
        "b": f"{b} beats {a}",
        "tie": f"{a} and {b} are equal",
        "both_bad": f"{a} and {b} are both bad",
    }
    words = said[row.outcome]
    return f"{words[0].upper()}{words[1:]}, by {row.origin}."
