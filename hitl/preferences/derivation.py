"""What one revision of a review teaches, by written rules.

    a correction              the corrected message beats the response (evidence), and is a good answer (demonstration)
    the overall criterion     the response is good, or bad (verdict)
    good, and neither         the response itself is a good answer (demonstration)
    corrected nor tagged
    a comparison              see hitl/preferences/comparing.py
    a conversation            nothing: it is no single response

Only from reviews that count: an extra teaches nothing until a lead admits it. Everything is derived in the transaction
of its cause. Whether the response may train anything is asked when a dataset version is frozen, not here.
"""

from enum import Enum
from typing import Any

from sqlalchemy import bindparam, exists, or_, select, update
from sqlalchemy.orm import Session

from hitl.capture.models import Response
from hitl.core import feeds
from hitl.preferences.comparing import lessons_of_comparison
from hitl.preferences.lessons import demonstration, is_good_by, is_tagged_wrong, verdict
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.review.answers import Answers
from hitl.review.models import Review, Revision
from hitl.review.rubrics import CANNOT_JUDGE, Rubric, rubric_of
from hitl.review.submission import reviewed_response

Derived = Evidence | Verdict | Demonstration
LESSONS = (Evidence, Verdict, Demonstration)


class WhyNothing(Enum):
    """Why a revision taught nothing, as the sentence a person reads."""

    EXTRA = "It is kept as an extra. A lead can admit it."
    REOPENED = "The reviewer took it back and has not submitted it again."
    REPLACED = "A newer revision replaced it."
    UNBLINDED = "It was made after the models were named."
    NO_RESPONSE = "It is about a conversation, not about a single response."
    NOT_COMPARED = "It neither ranks the responses nor judges them on the overall criterion."
    NO_OVERALL = "It holds no correction, and the rubric has no overall criterion."
    NOT_ANSWERED = "It holds no correction, and the overall criterion was not answered."
    CANNOT_JUDGE = "It holds no correction, and the reviewer could not judge the response as a whole."
    UNDECIDED = "It holds no correction, and the response was found neither good nor bad."


def derive(db: Session, review: Review, revision: Revision) -> list[Derived]:
    """Store what a revision teaches; nothing unless it is the one that counts for its review."""
    if review.counting_revision_id != revision.id:
        return []
    if _taught_something(db, revision):
        _tell_again(db, revision)
        return []
    lessons = _lessons(db, review, revision)
    for lesson in lessons:
        lesson.project_id = review.project_id
        lesson.revision_id = revision.id
    db.add_all(lessons)
    db.flush()
    return lessons


def _tell_again(db: Session, revision: Revision) -> None:
    """An older revision counts again: whoever followed what it taught while it did not has passed over its place."""
    number = feeds.number_of(db.connection())
    for table in LESSONS:
        db.execute(update(table).where(table.revision_id == revision.id).values(feed_number=number))


def _lessons(db: Session, review: Review, revision: Revision) -> list[Derived]:
    rubric = rubric_of(db, review.item)
    answers = Answers.of(revision, rubric)
    if review.item.kind == "comparison":
        responses = [target.response for target in review.item.targets if target.response is not None]
        return lessons_of_comparison(answers, rubric, responses)
    response = reviewed_response(db, review.item)
    return [] if response is None else lessons_of(answers, rubric, response)


def lessons_of(answers: Answers, rubric: Rubric, response: Response) -> list[Derived]:
    """Return what these answers say about a response, as rows that belong to no revision yet."""
    lessons: list[Derived] = []
    corrected = answers.values.get(rubric.correction.name) if rubric.correction else None
    if rubric.correction and corrected is not None:
        lessons.append(
            Evidence(
                input_hash=response.input_hash,
                input_response_id=response.id,
                a_output=corrected,
                b_response_id=response.id,
                outcome="a",
                origin="correction",
                criterion=rubric.correction.name,
            )
        )
        lessons.append(demonstration(response, "correction", corrected))
    is_good = is_good_by(rubric.overall, _overall_answer(answers, rubric, response))
    if rubric.overall and is_good is not None:
        lessons.append(verdict(response, is_good, rubric.overall.name))
    if is_good and corrected is None and not is_tagged_wrong(rubric, answers, _place_of(response)):
        lessons.append(demonstration(response, "approval"))
    return lessons


def _overall_answer(answers: Answers, rubric: Rubric, response: Response) -> Any:
    """Return what was said about the response as a whole; where each turn was asked about, about its own message."""
    value = answers.values.get(rubric.overall.name) if rubric.overall else None
    if rubric.overall is not None and rubric.overall.per == "turn":
        return (value or {}).get(_place_of(response))
    return value


def _place_of(response: Response) -> str:
    return str(len(response.input["messages"]))


def why_nothing(db: Session, review: Review, revision: Revision) -> WhyNothing | None:
    """Return why this revision taught nothing; None if it taught something."""
    if review.standing == "extra":
        return WhyNothing.EXTRA
    if review.standing == "reopened":
        return WhyNothing.REOPENED
    if revision.is_unblinded:
        return WhyNothing.UNBLINDED
    if review.counting_revision_id != revision.id:
        return WhyNothing.REPLACED
    if review.item.kind == "conversation":
        return WhyNothing.NO_RESPONSE
    if _taught_something(db, revision):
        return None
    if review.item.kind == "comparison":
        return WhyNothing.NOT_COMPARED
    return _why_undecided(db, review, revision)


_TAUGHT_SOMETHING = select(or_(*(exists().where(table.revision_id == bindparam("revision")) for table in LESSONS)))


def _taught_something(db: Session, revision: Revision) -> bool:
    return bool(db.scalar(_TAUGHT_SOMETHING, {"revision": revision.id}))


def _why_undecided(db: Session, review: Review, revision: Revision) -> WhyNothing:
    rubric = rubric_of(db, review.item)
    if rubric.overall is None:
        return WhyNothing.NO_OVERALL
    response = reviewed_response(db, review.item)
    match None if response is None else _overall_answer(Answers.of(revision, rubric), rubric, response):
        case None:
            return WhyNothing.NOT_ANSWERED
        case str(value) if value == CANNOT_JUDGE:
            return WhyNothing.CANNOT_JUDGE
        case _:
            return WhyNothing.UNDECIDED
