"""One answer as it came from outside, checked against its criterion; see hitl/review/answers.py for the spelling."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import ensure_storable
from hitl.capture.messages import Output
from hitl.review.corrections import is_empty, is_same, with_text
from hitl.review.judged import Judged, Part
from hitl.review.models import STRENGTHS
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
    Scale,
    Spans,
    Tags,
    Text,
    Thumbs,
)
from hitl.review.spans import SpanRefused, read_spans

MAX_COMMENT_CHARACTERS = 10_000
MAX_TEXT_CHARACTERS = 20_000

_output = TypeAdapter(Output)


class Refused(Exception):
    """An answer does not fit its criterion. The message says why."""


def read_answer(criterion: Criterion, value: Any, judged: Judged) -> Any:
    """Return an answer as it is kept, with responses by their ids; None for no answer. Raises Refused."""
    if criterion.per == "item":
        return _read_one(criterion, value, judged, judged.whole())
    if _is_nothing(value):
        return None
    parts = judged.parts(criterion)
    if not isinstance(value, Mapping):
        raise Refused(f"Send an object of answers, one for each {_named(criterion)}.")
    if not value.keys() <= parts.keys():
        raise Refused(f"An answer is about a {_named(criterion)} that is not asked about here.")
    read = {part.key: _read_one(criterion, value.get(name), judged, part) for name, part in parts.items()}
    return {key: said for key, said in read.items() if said is not None} or None


def _named(criterion: Criterion) -> str:
    return "response" if criterion.per == "response" else "message of the assistant"


def _is_nothing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, list | dict) and not value)
        or (isinstance(value, str) and not value.strip())
    )


def _read_one(criterion: Criterion, value: Any, judged: Judged, part: Part) -> Any:
    if _is_nothing(value):
        return None
    if value == CANNOT_JUDGE and isinstance(criterion, Scale | Thumbs | Choice | Tags | Ranked | Pairwise):
        if not criterion.cannot_judge:
            raise Refused("“Cannot judge” is not an answer here.")
        return CANNOT_JUDGE
    match criterion:
        case Scale():
            return _read_scale(criterion, value)
        case Thumbs():
            return _one_of(value, list(THUMBS))
        case Choice():
            return _one_of(value, [option.value for option in criterion.options])
        case Tags():
            return _read_tags(criterion, value)
        case Text():
            return read_text(value, MAX_TEXT_CHARACTERS)
        case Corrected():
            return _read_correction(value, judged.output)
        case Ranked():
            return _read_ranking(value, judged)
        case Pairwise():
            return _read_pairwise(value, judged)
        case Spans():
            return _read_spans(criterion, value, part)


def _read_scale(scale: Scale, value: Any) -> int:
    points = [point.value for point in scale.points]
    if type(value) is not int or value not in points:
        raise Refused(f"Choose one of {_listed(points)}.")
    return value


def _read_tags(tags: Tags, value: Any) -> list[str]:
    options = [option.value for option in tags.options]
    if not isinstance(value, list):
        raise Refused("Send a list of tags.")
    chosen = [_one_of(tag, options) for tag in value]
    if len(set(chosen)) < len(chosen):
        raise Refused("Give each tag once.")
    return [option for option in options if option in chosen]


def _read_correction(value: Any, output: dict[str, Any] | None) -> dict[str, Any] | None:
    if output is None:
        raise Refused("There is no single response here to correct.")
    _ensure_storable(value)
    try:
        corrected: Any = _output.validate_python(with_text(output, value) if isinstance(value, str) else value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise Refused(f"Send a text or a whole assistant message: {place or 'message'}: {first['msg']}.") from error
    if is_empty(corrected):
        raise Refused("A correction is the whole response as it should have been; it cannot be empty.")
    return None if is_same(corrected, output) else corrected


def _read_ranking(value: Any, judged: Judged) -> str | list[list[str]]:
    if value == ALL_BAD:
        return ALL_BAD
    if not isinstance(value, list) or not all(isinstance(tied, list) and tied for tied in value):
        raise Refused("Give each response a place from 1 on: best first, equal ones together; or say that all are bad.")
    named = [name for tied in value for name in tied]
    if not all(isinstance(name, str) and name in judged.by_name for name in named):
        raise Refused("The ranking names a response that is not compared here.")
    if len(set(named)) < len(named):
        raise Refused("Give each response one place.")
    if len(named) < len(judged.responses):
        raise Refused(f"Give each response a place: {len(named)} of {len(judged.responses)} have one.")
    return [sorted(str(judged.by_name[name].id) for name in tied) for tied in value]


def _read_pairwise(value: Any, judged: Judged) -> str | dict[str, str]:
    if isinstance(value, str) and value in (EQUAL, BOTH_BAD):
        return value
    if not isinstance(value, Mapping) or value.keys() != {"better", "strength"}:
        raise Refused(f"Say which response is better and by how much, or {EQUAL}, or {BOTH_BAD}.")
    better, strength = value["better"], value["strength"]
    if not isinstance(better, str) or better not in judged.by_name:
        raise Refused("The better response is not one of the two compared here.")
    return {"better": str(judged.by_name[better].id), "strength": _one_of(strength, list(STRENGTHS))}


def _read_spans(criterion: Spans, value: Any, part: Part) -> list[dict[str, Any]]:
    if part.words is None:
        raise Refused("There is no single text here to mark.")
    try:
        return read_spans(criterion, value, part.words)
    except SpanRefused as refusal:
        raise Refused(str(refusal)) from refusal


def read_text(value: Any, max_characters: int) -> str | None:
    """Return a text without blanks around it; None if nothing is left. Raises Refused."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused("Send a text.")
    _ensure_storable(value)
    if len(value) > max_characters:
        raise Refused(f"Use at most {max_characters:,} characters; these are {len(value):,}.")
    return value.strip() or None


def _ensure_storable(value: Any) -> None:
    try:
        ensure_storable(value)
    except RowInvalid as error:
        raise Refused(error.message) from error


def _one_of(value: Any, words: list[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Refused(f"Choose one of {_listed(words)}.")
    return value


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values)
