"""What single answers say about a response: the rules that reviews of one response and comparisons share."""

from typing import Any

from hitl.capture.models import Response
from hitl.preferences.models import Demonstration, Verdict
from hitl.review.answers import Answers
from hitl.review.rubrics import Rubric, Scale, Spans, Tags, Thumbs


def verdict(response: Response, is_good: bool, criterion: str) -> Verdict:
    """Return that a reviewer found a response good or bad."""
    return Verdict(
        response_id=response.id,
        input_hash=response.input_hash,
        is_good=is_good,
        origin="reviewer",
        criterion=criterion,
    )


def demonstration(response: Response, origin: str, output: dict[str, Any] | None = None) -> Demonstration:
    """Return an answer worth imitating: the response's own, or another output."""
    return Demonstration(response_id=response.id, input_hash=response.input_hash, output=output, origin=origin)


def is_good_by(overall: Scale | Thumbs | None, value: Any) -> bool | None:
    """Return whether an answer to the overall criterion says good (True) or bad (False); None where neither."""
    match overall:
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


def is_tagged_wrong(rubric: Rubric, answers: Answers, key: str) -> bool:
    """Whether something is marked as wrong in a response, or the reviewer could not judge whether anything is.

    key: of the response among answers about each: its id in a comparison, the place of its message elsewhere. What is
        said about a comparison as a whole is said about each of its responses. A marked passage is something wrong.
    """
    marking = [c for c in rubric.criteria if isinstance(c, Spans) or (isinstance(c, Tags) and c.negative)]
    said = [(c, answers.values.get(c.name)) for c in marking]
    return any(value is not None and (c.per == "item" or key in value) for c, value in said)
