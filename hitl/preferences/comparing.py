"""What one comparison teaches, by written rules.

    a ranking, or a pairwise answer     each two responses: which is better, with the difference of their places (of
                                        two: much 2, slightly 1) as distance; equal places tie; all bad, both bad
    the overall scale, per response     each two responses that it judges: the difference in points; equal points tie
    the overall criterion, per response each response it judges: good or bad (verdict)
    good, and not tagged wrong          the response itself is a good answer (demonstration)

Places and points are compared within the one revision only: another reviewer's 4, or the same reviewer's on another
item, is not the same 4. A comparison alone says nothing absolute: the best of three may be a bad answer, so a first
place makes neither verdict nor demonstration.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from hitl.capture.models import Response
from hitl.preferences.lessons import demonstration, is_good_by, is_tagged_wrong, verdict
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.review.answers import Answers
from hitl.review.rubrics import ALL_BAD, BOTH_BAD, EQUAL, Rubric, Scale

_DISTANCES = {"much": 2, "slightly": 1}  # by the strength of a pairwise answer


def lessons_of_comparison(
    answers: Answers, rubric: Rubric, responses: Sequence[Response]
) -> list[Evidence | Verdict | Demonstration]:
    """Return what these answers say about responses to one input, as rows that belong to no revision yet."""
    return [
        *_from_places(answers, rubric, responses),
        *_from_scale(answers, rubric, responses),
        *_from_overall(answers, rubric, responses),
    ]


def _from_places(answers: Answers, rubric: Rubric, responses: Sequence[Response]) -> list[Evidence]:
    criterion = rubric.comparing
    said = answers.values.get(criterion.name) if criterion else None
    if criterion is None or said is None:
        return []
    if said in (ALL_BAD, BOTH_BAD):
        return [_evidence(a, b, "both_bad", None, "ranking", criterion.name) for a, b in combinations(responses, 2)]
    return _from_numbers(_places(said, responses), responses, "ranking", criterion.name)


def _places(said: Any, responses: Sequence[Response]) -> dict[str, int]:
    """Return by response id how far each is from the last place; nothing where the reviewer could not judge."""
    if said == EQUAL:
        return {str(response.id): 0 for response in responses}
    if isinstance(said, Mapping):
        return {str(response.id): 0 for response in responses} | {said["better"]: _DISTANCES[said["strength"]]}
    if isinstance(said, list):
        return {name: len(said) - place for place, tied in enumerate(said, start=1) for name in tied}
    return {}


def _from_scale(answers: Answers, rubric: Rubric, responses: Sequence[Response]) -> list[Evidence]:
    overall = rubric.overall
    if not isinstance(overall, Scale) or overall.per != "response":
        return []
    given = answers.values.get(overall.name, {})
    points = {name: value for name, value in given.items() if isinstance(value, int)}  # the others cannot be judged
    return _from_numbers(points, responses, "scale", overall.name)


def _from_numbers(
    number_of: Mapping[str, int], responses: Sequence[Response], origin: str, criterion: str
) -> list[Evidence]:
    numbered = [response for response in responses if str(response.id) in number_of]
    found = []
    for a, b in combinations(numbered, 2):
        difference = number_of[str(a.id)] - number_of[str(b.id)]
        outcome = "tie" if difference == 0 else "a" if difference > 0 else "b"
        found.append(_evidence(a, b, outcome, float(abs(difference)), origin, criterion))
    return found


def _evidence(a: Response, b: Response, outcome: str, distance: float | None, origin: str, criterion: str) -> Evidence:
    return Evidence(
        input_hash=a.input_hash,
        input_response_id=a.id,
        a_response_id=a.id,
        b_response_id=b.id,
        outcome=outcome,
        distance=distance,
        origin=origin,
        criterion=criterion,
    )


def _from_overall(answers: Answers, rubric: Rubric, responses: Sequence[Response]) -> list[Verdict | Demonstration]:
    overall = rubric.overall
    if overall is None or overall.per != "response":
        return []
    lessons: list[Verdict | Demonstration] = []
    for response in responses:
        is_good = is_good_by(overall, answers.values.get(overall.name, {}).get(str(response.id)))
        if is_good is not None:
            lessons.append(verdict(response, is_good, overall.name))
        if is_good and not is_tagged_wrong(rubric, answers, str(response.id)):
            lessons.append(demonstration(response, "approval"))
    return lessons
