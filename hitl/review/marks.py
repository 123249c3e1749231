"""One answer as rows of the database, and back."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hitl.review.judged import Judged
from hitl.review.models import Correction, Mark, Ranking, Rating, Remark, Revision, Span, Tag
from hitl.review.rubrics import (
    ALL_BAD,
    BOTH_BAD,
    CANNOT_JUDGE,
    EQUAL,
    THUMBS,
    Choice,
    Corrected,
    Criterion,
    Pairwise,
    Ranked,
    Spans,
    Tags,
    Text,
    Thumbs,
)


def marks_of(criterion: Criterion, value: Any, judged: Judged) -> list[Any]:
    """Return the marks that hold an answer about one thing; if it is a part of the item, they are told afterwards."""
    name = criterion.name
    if value == CANNOT_JUDGE and not isinstance(criterion, Text):
        return [Rating(criterion=name, value=None)]
    match criterion:
        case Corrected():
            return [Correction(criterion=name, output=value)]
        case Text():
            return [Remark(criterion=name, text=value)]
        case Choice():
            return [Tag(criterion=name, value=value)]
        case Tags():
            return [Tag(criterion=name, value=tag) for tag in value]
        case Thumbs():
            return [Rating(criterion=name, value=THUMBS[value])]
        case Spans():
            return [Span(criterion=name, **span) for span in value]
        case Ranked():
            return _ranking(name, value)
        case Pairwise():
            return _pairwise(name, value, [str(response.id) for response in judged.responses])
        case _:
            return [Rating(criterion=name, value=value)]


def _ranking(name: str, value: Any) -> list[Ranking]:
    if value == ALL_BAD:
        return [Ranking(criterion=name, is_all_bad=True)]
    return [
        Ranking(criterion=name, response_id=UUID(response_id), position=position, is_all_bad=False)
        for position, tied in enumerate(value, start=1)
        for response_id in tied
    ]


def _pairwise(name: str, value: Any, response_ids: list[str]) -> list[Ranking]:
    if value == BOTH_BAD:
        return [Ranking(criterion=name, is_all_bad=True)]
    if value == EQUAL:
        return _ranking(name, [response_ids])
    places = [[value["better"]], [one for one in response_ids if one != value["better"]]]
    rows = _ranking(name, places)
    for row in rows:
        row.strength = value["strength"]
    return rows


def add_to(revision: Revision, mark: Any) -> None:
    """Put a mark into a revision."""
    lists: dict[type, list[Any]] = {
        Rating: revision.ratings,
        Tag: revision.tags,
        Remark: revision.remarks,
        Correction: revision.corrections,
        Ranking: revision.rankings,
        Span: revision.spans,
    }
    lists[type(mark)].append(mark)


def all_marks(revision: Revision) -> list[Mark]:
    """Return every mark of a revision."""
    return [
        *revision.ratings,
        *revision.tags,
        *revision.remarks,
        *revision.corrections,
        *revision.rankings,
        *revision.spans,
    ]


def key_of(criterion: Criterion, mark: Mark) -> str:
    """Return which part a mark is about, as in hitl/review/judged.py; empty for the whole item."""
    if criterion.per == "response" and mark.response_id is not None:
        return str(mark.response_id)
    return str(mark.message_index) if criterion.per == "turn" else ""


def answer_in(criterion: Criterion, marks: Sequence[Any]) -> Any:
    """Return the answer that marks about one thing hold."""
    first = marks[0]
    if isinstance(first, Rating):
        if first.value is None:
            return CANNOT_JUDGE
        return _thumb(first.value) if isinstance(criterion, Thumbs) else first.value
    match criterion:
        case Corrected():
            return first.output
        case Text():
            return first.text
        case Choice():
            return first.value
        case Tags():
            return [mark.value for mark in marks]
        case Spans():
            return [
                {name: getattr(mark, name) for name in ("start", "end", "label", "severity", "text_hash")}
                for mark in marks
            ]
        case Pairwise():
            return _compared(marks)
        case _:
            return _ranked(marks)


def _thumb(value: int) -> str:
    return next(word for word, number in THUMBS.items() if number == value)


def _ranked(marks: Sequence[Ranking]) -> Any:
    if marks[0].is_all_bad:
        return ALL_BAD
    places = sorted({mark.position for mark in marks if mark.position is not None})
    return [sorted(str(mark.response_id) for mark in marks if mark.position == place) for place in places]


def _compared(marks: Sequence[Ranking]) -> Any:
    if marks[0].is_all_bad:
        return BOTH_BAD
    better = next(mark for mark in marks if mark.position == 1)
    if better.strength is None:
        return EQUAL
    return {"better": str(better.response_id), "strength": better.strength}
