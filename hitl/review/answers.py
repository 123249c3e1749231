"""Answers: what a reviewer says about an item, checked against its rubric.

Forms and the API give answers in one spelling, by criterion:

    scale        4                          a point of the scale
    thumbs       "up" or "down"
    choice       "billing"                  the value of an option
    tags         ["made_up", "rude"]        values of options, none twice
    text         "The hotel is in Leeds."
    correction   "I am sorry, …"            other words for the response, or a whole assistant message
    any of the first four: "unsure"         cannot judge, where the criterion allows it

None, an empty list and a blank text are no answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import ensure_storable
from hitl.capture.messages import Output
from hitl.review.corrections import is_empty, is_same, with_text
from hitl.review.errors import AnswersIncomplete, AnswersRefused
from hitl.review.models import Correction, Rating, Remark, Revision, Tag
from hitl.review.rubrics import (
    CANNOT_JUDGE,
    THUMBS,
    Choice,
    Corrected,
    Criterion,
    Rubric,
    Scale,
    Tags,
    Text,
    Thumbs,
)

MAX_COMMENT_CHARACTERS = 10_000
MAX_TEXT_CHARACTERS = 20_000
FORM_PREFIX = "answer."

_output = TypeAdapter(Output)


class _Refused(Exception):
    """An answer does not fit its criterion. The message says why."""


@dataclass(frozen=True)
class Answers:
    """Answers that fit a rubric, though some may be missing.

    values: by criterion, in the spelling above; tags in the rubric's order, a correction as a whole message.
        A correction that says the same as the response is none, and is not among them.
    """

    values: dict[str, Any]
    comment: str | None = None

    @classmethod
    def read(cls, rubric: Rubric, given: Any, *, output: dict[str, Any] | None, comment: Any = None) -> "Answers":
        """Check answers as they came from outside.

        output: the response under review, which a correction replaces; None where there is no single one.
        Raises AnswersRefused, which names everything at fault: wrong type, unknown criterion, a value that is not on
        the scale, a tag given twice, a text that is too long or cannot be stored.
        """
        if not isinstance(given, Mapping):
            raise AnswersRefused({"answers": "Send an object of answers by criterion."}, param="/answers")
        criteria = {criterion.name: criterion for criterion in rubric.criteria}
        values: dict[str, Any] = {}
        problems = {_shown(name): "The rubric asks no such thing." for name in given if name not in criteria}
        for name, criterion in criteria.items():
            try:
                value = _read_one(criterion, given.get(name), output)
            except _Refused as refusal:
                problems[name] = str(refusal)
            else:
                if value is not None:
                    values[name] = value
        try:
            comment = _read_text(comment, MAX_COMMENT_CHARACTERS)
        except _Refused as refusal:
            problems["comment"] = str(refusal)
        if problems:
            raise AnswersRefused(problems)
        return cls(values, comment)

    @classmethod
    def of(cls, revision: Revision, rubric: Rubric) -> "Answers":
        """Return what was answered in a revision."""
        kinds = {criterion.name: criterion for criterion in rubric.criteria}
        values: dict[str, Any] = {}
        for rating in revision.ratings:
            values[rating.criterion] = _answered_by(rating, kinds[rating.criterion])
        for tag in revision.tags:
            if isinstance(kinds[tag.criterion], Choice):
                values[tag.criterion] = tag.value
            else:
                values.setdefault(tag.criterion, []).append(tag.value)
        values |= {remark.criterion: remark.text for remark in revision.remarks}
        values |= {correction.criterion: correction.output for correction in revision.corrections}
        return cls(values, revision.comment)

    def ensure_complete(self, rubric: Rubric) -> None:
        """Raise AnswersIncomplete, naming the criteria, if the rubric asks for more."""
        missing = [c for c in rubric.criteria if c.required and c.name not in self.values]
        if missing:
            raise AnswersIncomplete({criterion.name: _request_for(criterion) for criterion in missing})

    def as_revision(self, rubric: Rubric, number: int, submitted_at: datetime) -> Revision:
        """Return a revision that holds these answers as marks."""
        revision = Revision(number=number, submitted_at=submitted_at, comment=self.comment)
        for criterion in rubric.criteria:
            if criterion.name in self.values:
                _mark(revision, criterion, self.values[criterion.name])
        return revision

    def as_draft(self, output: dict[str, Any] | None) -> dict[str, Any]:
        """Return the answers as a draft keeps them: a correction of the words alone as the words."""
        draft = {name: _words_if_only_words(value, output) for name, value in self.values.items()}
        return draft | ({"comment": self.comment} if self.comment else {})


def ensure_shown_in_form(given: Mapping[str, Any]) -> None:
    """Check that a form can show these answers, right or wrong, complete or not: those of a draft.

    given: by criterion, and "comment". Raises AnswersRefused, naming those that have a shape no criterion asks for.
    """
    misshapen = [name for name, value in given.items() if not _is_shown_in_form(name, value)]
    if misshapen:
        shapes = "Send a text, a number, a list of tags or a whole assistant message."
        raise AnswersRefused({_shown(name): "Send a text." if name == "comment" else shapes for name in misshapen})


def _is_shown_in_form(name: str, value: Any) -> bool:
    if name == "comment":
        return isinstance(value, str)
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return not isinstance(value, dict) or _is_message(value)


def _is_message(value: dict[str, Any]) -> bool:
    try:
        _output.validate_python(value)
    except ValidationError:
        return False
    return True


def answers_in_form(rubric: Rubric, form: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the answers of a page's form, not yet checked, in the spelling above and with "comment".

    form: its fields, each with all values that were sent: `answer.<criterion>` for each answer, several for tags, and
        `comment`. Other fields are the page's own. Unknown answers are passed on, so that they are refused, not lost.
    """
    kinds = {criterion.name: criterion for criterion in rubric.criteria}
    given: dict[str, Any] = {}
    for field, sent in form.items():
        values = [_with_plain_line_ends(value) for value in sent if value.strip()]
        if not values:
            continue
        if field == "comment":
            given["comment"] = values[-1]
        elif field.startswith(FORM_PREFIX):
            name = field.removeprefix(FORM_PREFIX)
            given[name] = _value_in_form(kinds.get(name), values)
    return given


def _value_in_form(criterion: Criterion | None, values: list[str]) -> Any:
    if isinstance(criterion, Tags):
        return CANNOT_JUDGE if values == [CANNOT_JUDGE] else values
    return _number_if_it_is_one(values[-1]) if isinstance(criterion, Scale) else values[-1]


def _with_plain_line_ends(text: str) -> str:
    """Browsers send the line ends of a text area as CR LF, whatever was in it."""
    return text.replace("\r\n", "\n")


def _number_if_it_is_one(text: str) -> int | str:
    try:
        return int(text) if len(text) <= 6 else text
    except ValueError:
        return text


def _read_one(criterion: Criterion, value: Any, output: dict[str, Any] | None) -> Any:
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return None
    if value == CANNOT_JUDGE and isinstance(criterion, Scale | Thumbs | Choice | Tags):
        if not criterion.cannot_judge:
            raise _Refused("“Cannot judge” is not an answer here.")
        return CANNOT_JUDGE
    return _READERS[type(criterion)](criterion, value, output)


def _read_scale(scale: Scale, value: Any, _output: Any) -> int:
    points = [point.value for point in scale.points]
    if type(value) is not int or value not in points:
        raise _Refused(f"Choose one of {_listed(points)}.")
    return value


def _read_thumbs(_thumbs: Thumbs, value: Any, _output: Any) -> str:
    return _one_of(value, list(THUMBS))


def _read_choice(choice: Choice, value: Any, _output: Any) -> str:
    return _one_of(value, [option.value for option in choice.options])


def _read_tags(tags: Tags, value: Any, _output: Any) -> list[str]:
    options = [option.value for option in tags.options]
    if not isinstance(value, list):
        raise _Refused("Send a list of tags.")
    chosen = [_one_of(tag, options) for tag in value]
    if len(set(chosen)) < len(chosen):
        raise _Refused("Give each tag once.")
    return [option for option in options if option in chosen]


def _read_free_text(_text: Text, value: Any, _output: Any) -> str | None:
    return _read_text(value, MAX_TEXT_CHARACTERS)


def _read_correction(_criterion: Corrected, value: Any, output: dict[str, Any] | None) -> dict[str, Any] | None:
    if output is None:
        raise _Refused("There is no single response here to correct.")
    _ensure_storable(value)
    try:
        corrected: Any = _output.validate_python(with_text(output, value) if isinstance(value, str) else value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise _Refused(f"Send a text or a whole assistant message: {place or 'message'}: {first['msg']}.") from error
    if is_empty(corrected):
        raise _Refused("A correction is the whole response as it should have been; it cannot be empty.")
    return None if is_same(corrected, output) else corrected


_READERS: dict[type, Callable[[Any, Any, Any], Any]] = {
    Scale: _read_scale,
    Thumbs: _read_thumbs,
    Choice: _read_choice,
    Tags: _read_tags,
    Text: _read_free_text,
    Corrected: _read_correction,
}


def _read_text(value: Any, max_characters: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Refused("Send a text.")
    _ensure_storable(value)
    if len(value) > max_characters:
        raise _Refused(f"Use at most {max_characters:,} characters; these are {len(value):,}.")
    return value.strip() or None


def _ensure_storable(value: Any) -> None:
    try:
        ensure_storable(value)
    except RowInvalid as error:
        raise _Refused(error.message) from error


def _one_of(value: Any, words: list[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise _Refused(f"Choose one of {_listed(words)}.")
    return value


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _shown(name: Any) -> str:
    """A name that somebody else chose, short and writable in an answer."""
    return str(name)[:80].encode(errors="replace").decode()


def _request_for(criterion: Criterion) -> str:
    match criterion:
        case Text():
            return f"“{criterion.label}” needs a text."
        case Tags():
            return f"Choose at least one under “{criterion.label}”."
        case _:
            return f"Choose one under “{criterion.label}”."


def _mark(revision: Revision, criterion: Criterion, value: Any) -> None:
    name = criterion.name
    if isinstance(criterion, Corrected):
        revision.corrections.append(Correction(criterion=name, output=value))
    elif isinstance(criterion, Text):
        revision.remarks.append(Remark(criterion=name, text=value))
    elif value == CANNOT_JUDGE:
        revision.ratings.append(Rating(criterion=name, value=None))
    elif isinstance(criterion, Scale | Thumbs):
        revision.ratings.append(Rating(criterion=name, value=THUMBS[value] if isinstance(criterion, Thumbs) else value))
    else:
        chosen = value if isinstance(criterion, Tags) else [value]
        revision.tags.extend(Tag(criterion=name, value=tag) for tag in chosen)


def _answered_by(rating: Rating, criterion: Criterion) -> Any:
    if rating.value is None:
        return CANNOT_JUDGE
    if isinstance(criterion, Thumbs):
        return next(word for word, value in THUMBS.items() if value == rating.value)
    return rating.value


def _words_if_only_words(value: Any, output: dict[str, Any] | None) -> Any:
    if not isinstance(value, dict) or output is None or not isinstance(value.get("content"), str):
        return value
    return value["content"] if with_text(output, value["content"]) == value else value
