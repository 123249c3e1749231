"""What a review page's forms send, read; and the same fields, filled."""

from collections.abc import Mapping
from typing import Any

from flask import Request
from sqlalchemy.orm import Session

from hitl.core.errors import Invalid
from hitl.queue.models import Item
from hitl.review.answer_fields import answers_in_form, fields_of_answer
from hitl.review.answers import Answers
from hitl.review.corrections import text_of
from hitl.review.judged import judged_of
from hitl.review.rubrics import Rubric, rubric_of

MAX_SECONDS_ON_DISPLAY = 7 * 24 * 3600

# What "Skip" offers, by the keys 1 to 5. The words are what a lead reads.
SKIP_REASONS = (
    "I cannot judge this",
    "Not a language I read well",
    "Broken: something is missing or garbled",
    "I know the people in it",
    "I would rather not read this",
)
MAX_SKIP_REASON_CHARACTERS = 1_000


class NoReason(Invalid):
    """Choose why, or write it in a few words: whoever runs the queue learns from it."""

    code = "no_reason"


def given_answers(db: Session, item: Item, request: Request) -> dict[str, Any]:
    """Return what the form answers, with "comment", not yet checked. An untouched correction is no answer."""
    rubric = rubric_of(db, item)
    given = answers_in_form(rubric, dict(request.form.lists()))
    correction = rubric.correction
    if correction is not None and given.get(correction.name) == _original(db, item):
        del given[correction.name]
    return given


def checked_answers(db: Session, item: Item, given: Mapping[str, Any]) -> Answers:
    """Return the answers as they will be kept. Raises AnswersRefused."""
    answers = {name: value for name, value in given.items() if name != "comment"}
    return Answers.read(rubric_of(db, item), answers, judged_of(db, item), comment=given.get("comment"))


def seen_number(request: Request) -> int:
    """Return the number of the draft that the form was filled in over. Raises Invalid."""
    try:
        number = int(request.form["number"])
    except (KeyError, ValueError) as error:
        raise Invalid("Send the number of the draft that you saw.", param="/number") from error
    if not 0 <= number < 2**31:
        raise Invalid("There is no draft with this number.", param="/number")
    return number


def seconds_on_display(request: Request) -> float | None:
    """Return how long the item was in view, as the page measured it; None where it did not or cannot have."""
    try:
        seconds = float(request.form["seconds_on_display"])
    except (KeyError, ValueError):
        return None
    return seconds if 0 <= seconds <= MAX_SECONDS_ON_DISPLAY else None


def skip_reason(request: Request) -> str:
    """Return why somebody skips: a reason from the list, their own words, or both. Raises NoReason, Invalid."""
    chosen = request.form.get("reason", "")
    words = " ".join(request.form.get("words", "").replace("\0", "").split())
    parts = [chosen] if chosen in SKIP_REASONS else []
    if words:
        parts.append(words)
    if not parts:
        raise NoReason(param="/reason")
    reason = ": ".join(parts)
    if len(reason) > MAX_SKIP_REASON_CHARACTERS:
        raise Invalid(f"Use at most {MAX_SKIP_REASON_CHARACTERS:,} characters.", param="/words")
    return reason


def form_fields(rubric: Rubric, answers: Mapping[str, Any], comment: str, original: str) -> dict[str, list[str]]:
    """Return the fields of the form, each with its values, as a browser would send them."""
    fields: dict[str, list[str]] = {}
    for criterion in rubric.criteria:
        value = answers.get(criterion.name)
        if value is None and criterion is rubric.correction:
            value = original
        if value is not None:
            fields |= fields_of_answer(criterion, value)
    return fields | {"comment": [comment]}


def _original(db: Session, item: Item) -> str:
    """The words of the response as a text area gives them back."""
    output = judged_of(db, item).output
    return "" if output is None else text_of(output).replace("\r\n", "\n").replace("\r", "\n")
