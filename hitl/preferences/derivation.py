"""What one revision of a review teaches, by written rules.

    a correction              the corrected message beats the response (evidence), and is a good answer (demonstration)
    the overall criterion     the response is good, or bad (verdict)
    good, and neither         the response itself is a good answer (demonstration)
    corrected nor tagged

Only from reviews that count: an extra teaches nothing until a lead admits it. Everything is derived in the transaction
of its cause. Whether the response may train anything is asked when a dataset version is frozen, not here.
"""

from enum import Enum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.capture.models import Response
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.review.answers import Answers
from hitl.review.models import Review, Revision
from hitl.review.rubrics import CANNOT_JUDGE, Rubric, Scale, Tags, Thumbs, rubric_of
from hitl.review.submission import reviewed_response

Derived = Evidence | Verdict | Demonstration


class WhyNothing(Enum):
    """Why a revision taught nothing, as the sentence a person reads."""

    EXTRA = "It is kept as an extra. A lead can admit it."
    REOPENED = "The reviewer took it back and has not submitted it again."
    REPLACED = "A newer revision replaced it."
    UNBLINDED = "It was made after the models were named."
    NO_RESPONSE = "It is not about a single response."
    NO_OVERALL = "It holds no correction, and the rubric has no overall criterion."
    NOT_ANSWERED = "It holds no correction, and the overall criterion was not answered."
    CANNOT_JUDGE = "It holds no correction, and the reviewer could not judge the response as a whole."
    UNDECIDED = "It holds no correction, and the response was found neither good nor bad."


def derive(db: Session, review: Review, revision: Revision) -> list[Derived]:
    """Store what a revision teaches; nothing unless it is the one that counts for its review."""
    response = reviewed_response(db, review.item)
    if response is None or review.counting_revision_id != revision.id:
        return []
    rubric = rubric_of(db, review.item)
    lessons = lessons_of(Answers.of(revision, rubric), rubric, response)
    for lesson in lessons:
        lesson.project_id = review.project_id
        lesson.revision_id = revision.id
    db.add_all(lessons)
    db.flush()
    return lessons


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
        lessons.append(_demonstration(response, "correction", corrected))
    is_good = found_good(rubric, answers)
    if rubric.overall and is_good is not None:
        lessons.append(
            Verdict(
                response_id=response.id,
                input_hash=response.input_hash,
                is_good=is_good,
                origin="reviewer",
                criterion=rubric.overall.name,
            )
        )
    if is_good and corrected is None and not is_tagged_wrong(rubric, answers):
        lessons.append(_demonstration(response, "approval"))
    return lessons


def _demonstration(response: Response, origin: str, output: dict[str, Any] | None = None) -> Demonstration:
    return Demonstration(response_id=response.id, input_hash=response.input_hash, output=output, origin=origin)


def found_good(rubric: Rubric, answers: Answers) -> bool | None:
    """Return whether the overall criterion says good (True) or bad (False); None where it says neither."""
    value = answers.values.get(rubric.overall.name) if rubric.overall else None
    match rubric.overall:
        case Thumbs() if value in ("up", "down"):
            return bool(value == "up")
        case Scale() as scale if isinstance(value, int):
            return is_good_on(scale, value)
    return None


def is_good_on(scale: Scale, value: int) -> bool | None:
    """Return whether a point of an overall scale says good, bad, or (None) neither.

    The two fifths of the points at the upper end, rounded down but at least one, say good; as many at the lower end
    say bad; those between say neither. So of five points the top two are good and the bottom two bad, of ten the top
    four and the bottom four, of three or four only the ends; of two, there is nothing between.
    """
    decisive = max(1, len(scale.points) * 2 // 5)
    position = [point.value for point in scale.points].index(value)
    if position >= len(scale.points) - decisive:
        return True
    return False if position < decisive else None


def is_tagged_wrong(rubric: Rubric, answers: Answers) -> bool:
    """Whether a tag names something wrong, or the reviewer could not judge whether anything is."""
    return any(isinstance(c, Tags) and c.negative and c.name in answers.values for c in rubric.criteria)


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
    if reviewed_response(db, review.item) is None:
        return WhyNothing.NO_RESPONSE
    if _taught_something(db, revision):
        return None
    return _why_undecided(db, review, revision)


def _taught_something(db: Session, revision: Revision) -> bool:
    tables = (Evidence, Verdict, Demonstration)
    return any(db.scalar(select(table.id).where(table.revision_id == revision.id).limit(1)) for table in tables)


def _why_undecided(db: Session, review: Review, revision: Revision) -> WhyNothing:
    rubric = rubric_of(db, review.item)
    if rubric.overall is None:
        return WhyNothing.NO_OVERALL
    match Answers.of(revision, rubric).values.get(rubric.overall.name):
        case None:
            return WhyNothing.NOT_ANSWERED
        case str(value) if value == CANNOT_JUDGE:
            return WhyNothing.CANNOT_JUDGE
        case _:
            return WhyNothing.UNDECIDED
