"""What the form asks about the parts of an item: the responses compared, or the assistant's messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from hitl.review.answer_fields import FORM_PREFIX, fields_of_answer
from hitl.review.rubrics import Rubric


def about_part(criterion: Mapping[str, Any], part: str, name: str) -> dict[str, Any]:
    """Return a criterion as the form asks it about one part: under a name of its own.

    part: as answers spell it; name: what the page calls it.
    """
    own = {"name": f"{criterion['name']}.{part}", "asked": criterion["name"], "part": part, "about": name}
    return {**criterion, **own}


def fields_of(rubric: Rubric, answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return answers by the fields of the form, without their prefix: `rank.<name>`, `pair`, `helpful.<name>`."""
    fields: dict[str, list[str]] = {}
    for criterion in rubric.criteria:
        value = answers.get(criterion.name)
        if value is not None:
            fields |= fields_of_answer(criterion, value)
    return {field.removeprefix(FORM_PREFIX): values for field, values in fields.items()}


def problem_of(
    criterion: Mapping[str, Any], parts: Sequence[str], answers: Mapping[str, Any], problems: Mapping[str, str]
) -> str:
    """Return what is wrong about an answer on one of these parts.

    A problem is told by criterion: it is shown where the answer is missing, or on the first if none is.
    """
    given = answers.get(criterion["asked"])
    missing = [part for part in parts if not (isinstance(given, Mapping) and given.get(part))]
    return problems.get(criterion["asked"], "") if criterion["part"] in (missing or parts[:1]) else ""
