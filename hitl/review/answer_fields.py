"""Answers in the fields of a form, and back. A draft may hold whatever a form can show.

answer.<criterion>                   the answer; several times for tags; spans as JSON text;
                                     `all_bad` or `unsure` of a ranking; `<response>.much` of a pair
answer.<criterion>.<response>        the answer about one response, or its place in a ranking, from 1
answer.<criterion>.<message index>   the answer about one message
comment
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from hitl.capture.messages import Output
from hitl.review.errors import AnswersRefused, writable
from hitl.review.models import STRENGTHS
from hitl.review.rubrics import CANNOT_JUDGE, Criterion, Pairwise, Ranked, Rubric, Scale, Spans, Tags

FORM_PREFIX = "answer."

_output = TypeAdapter(Output)


def answers_in_form(rubric: Rubric, form: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the answers of a page's form, not yet checked, in the spelling of hitl/review/answers.py.

    form: its fields, each with all values that were sent. Other fields than those above are the page's own. Unknown
        answers are passed on, so that they are refused, not lost. The comment comes as "comment".
    """
    criteria = {criterion.name: criterion for criterion in rubric.criteria}
    given: dict[str, Any] = {}
    by_part: dict[str, dict[str, Any]] = {}
    for field, sent in form.items():
        values = [_with_plain_line_ends(value) for value in sent if value.strip()]
        if not values:
            continue
        if field == "comment":
            given["comment"] = values[-1]
        elif field.startswith(FORM_PREFIX):
            name, _, part = field.removeprefix(FORM_PREFIX).partition(".")
            if part and name in criteria:
                by_part.setdefault(name, {})[part] = _value_in_form(criteria[name], values)
            else:
                given[field.removeprefix(FORM_PREFIX)] = _value_in_form(criteria.get(name), values)
    for name, values_by_part in by_part.items():
        is_ranking = isinstance(criteria[name], Ranked)
        given.setdefault(name, _as_ranking(values_by_part) if is_ranking else values_by_part)
    return given


def _value_in_form(criterion: Criterion | None, values: list[str]) -> Any:
    last = values[-1]
    match criterion:
        case Tags():
            return CANNOT_JUDGE if values == [CANNOT_JUDGE] else values
        case Scale() | Ranked():
            return _number_if_it_is_one(last)
        case Spans():
            return _json_if_it_is_some(last)
        case Pairwise():
            return _pair_if_it_is_one(last)
        case _:
            return last


def _as_ranking(place_of: Mapping[str, Any]) -> Any:
    """Return the responses by their places, best first; as they came where a place is no number."""
    if not all(type(place) is int and place >= 1 for place in place_of.values()):
        return dict(place_of)
    return [[name for name, its in place_of.items() if its == place] for place in sorted(set(place_of.values()))]


def _with_plain_line_ends(text: str) -> str:
    """Browsers send the line ends of a text area as CR LF, whatever was in it."""
    return text.replace("\r\n", "\n")


def _number_if_it_is_one(text: str) -> int | str:
    try:
        return int(text) if len(text) <= 6 else text
    except ValueError:
        return text


def _json_if_it_is_some(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _pair_if_it_is_one(text: str) -> Any:
    better, dot, strength = text.rpartition(".")
    return {"better": better, "strength": strength} if dot and strength in STRENGTHS else text


def fields_of_answer(criterion: Criterion, value: Any) -> dict[str, list[str]]:
    """Return the fields that show an answer, right or wrong, each with its values as a browser would send them."""
    field = FORM_PREFIX + criterion.name
    if isinstance(criterion, Ranked) and isinstance(value, list):
        places = enumerate(value, start=1)
        return {f"{field}.{name}": [str(place)] for place, tied in places if isinstance(tied, list) for name in tied}
    if isinstance(criterion, Pairwise) and isinstance(value, dict):
        return {field: [f"{value.get('better')}.{value.get('strength')}"]}
    if isinstance(value, dict):
        return {f"{field}.{part}": list(_values_of(criterion, said)) for part, said in value.items()}
    return {field: list(_values_of(criterion, value))}


def _values_of(criterion: Criterion, value: Any) -> Iterable[str]:
    if isinstance(criterion, Spans) and not isinstance(value, str):
        return [orjson.dumps(value).decode()]
    return map(str, value) if isinstance(value, list) else [str(value)]


def ensure_shown_in_form(given: Mapping[str, Any]) -> None:
    """Check that a form can show these answers, right or wrong, complete or not: those of a draft.

    given: by criterion, and "comment". Raises AnswersRefused, naming those that have a shape no criterion asks for.
    """
    misshapen = [name for name, value in given.items() if not _is_shown_in_form(name, value)]
    if misshapen:
        shapes = "Send an answer in one of the shapes that criteria ask for: a text, a number, a list, an object."
        raise AnswersRefused({writable(name): "Send a text." if name == "comment" else shapes for name in misshapen})


def _is_shown_in_form(name: str, value: Any) -> bool:
    if name == "comment":
        return isinstance(value, str)
    if isinstance(value, dict):
        return _is_message(value) if "role" in value else all(map(_is_about_one_thing, value.values()))
    return _is_about_one_thing(value)


def _is_about_one_thing(value: Any) -> bool:
    """Whether this is a word, a number, or a list of words (tags), of lists of words (ranking) or of spans."""
    if isinstance(value, list):
        return all(isinstance(one, str) or _is_list_of_words(one) or _is_flat(one) for one in value)
    return not isinstance(value, dict)


def _is_list_of_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(one, dict | list) for one in value.values())


def _is_message(value: dict[str, Any]) -> bool:
    try:
        _output.validate_python(value)
    except ValidationError:
        return False
    return True
