"""Answers: what a reviewer says about an item, checked against its rubric.

Forms and the API give answers in one spelling, by criterion:

    scale        4                          a point of the scale
    thumbs       "up" or "down"
    choice       "billing"                  the value of an option
    tags         ["made_up", "rude"]        values of options, none twice
    text         "The hotel is in Leeds."
    correction   "I am sorry, …"            other words for the response, or a whole assistant message
    spans        [{"start": 4, "end": 9, "label": "made_up", "severity": "minor", "text_hash": "9f86…"}]
    ranking      [["r2"], ["r1", "r3"]]     the responses compared, best first, equal ones together; or "all_bad"
    pairwise     {"better": "r1", "strength": "much"} (or "slightly"); "equal"; "both_bad"
    any but text, correction, spans: "unsure"         cannot judge, where the criterion allows it

Where a criterion asks about each response or each turn, these stand in an object: {"r1": 4, "r2": 2} by response,
{"1": "up", "3": "down"} by the message's place among those of the input, and then the output.

None, an empty list, an empty object and a blank text are no answer.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from hitl.review.corrections import with_text
from hitl.review.errors import AnswersIncomplete, AnswersRefused, writable
from hitl.review.judged import Judged
from hitl.review.marks import add_to, all_marks, answer_in, key_of, marks_of
from hitl.review.models import Revision
from hitl.review.reading import MAX_COMMENT_CHARACTERS, Refused, read_answer, read_text
from hitl.review.rubrics import Criterion, Pairwise, Ranked, Rubric, Tags, Text


@dataclass(frozen=True)
class Answers:
    """Answers that fit a rubric, though some may be missing.

    values: by criterion, in the spelling above, with the responses by their ids; tags in the rubric's order, a
        correction as a whole message. A correction that says the same as the response is none, and is not among them.
    """

    values: dict[str, Any]
    comment: str | None = None

    @classmethod
    def read(cls, rubric: Rubric, given: Any, judged: Judged, *, comment: Any = None) -> "Answers":
        """Check answers as they came from outside, with the responses by the names that reviewers use.

        rubric: what is asked of this item.
        Raises AnswersRefused, which names everything at fault: wrong type, unknown criterion, a value that is not on
        the scale, a tag given twice, a response without a place or with two, a span outside the text, a text that is
        too long or cannot be stored.
        """
        if not isinstance(given, Mapping):
            raise AnswersRefused({"answers": "Send an object of answers by criterion."}, param="/answers")
        criteria = {criterion.name: criterion for criterion in rubric.criteria}
        values: dict[str, Any] = {}
        problems = {writable(name): "The rubric asks no such thing." for name in given if name not in criteria}
        for name, criterion in criteria.items():
            try:
                value = read_answer(criterion, given.get(name), judged)
            except Refused as refusal:
                problems[name] = str(refusal)
            else:
                if value is not None:
                    values[name] = value
        try:
            comment = read_text(comment, MAX_COMMENT_CHARACTERS)
        except Refused as refusal:
            problems["comment"] = str(refusal)
        if problems:
            raise AnswersRefused(problems)
        return cls(values, comment)

    @classmethod
    def of(cls, revision: Revision, rubric: Rubric) -> "Answers":
        """Return what was answered in a revision."""
        criteria = {criterion.name: criterion for criterion in rubric.criteria}
        marks: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for mark in all_marks(revision):
            marks[mark.criterion][key_of(criteria[mark.criterion], mark)].append(mark)
        values: dict[str, Any] = {}
        for name, by_part in marks.items():
            said = {key: answer_in(criteria[name], about) for key, about in by_part.items()}
            values[name] = said[""] if criteria[name].per == "item" else said
        return cls(values, revision.comment)

    def ensure_complete(self, rubric: Rubric, judged: Judged) -> None:
        """Raise AnswersIncomplete, naming the criteria, if the rubric asks for more."""
        missing = [c for c in rubric.criteria if c.required and not self._answers(c, judged)]
        if missing:
            raise AnswersIncomplete({criterion.name: _request_for(criterion) for criterion in missing})

    def _answers(self, criterion: Criterion, judged: Judged) -> bool:
        if criterion.name not in self.values:
            return False
        asked = {part.key for part in judged.parts(criterion).values()}
        return criterion.per == "item" or asked <= self.values[criterion.name].keys()

    def as_revision(self, rubric: Rubric, judged: Judged, number: int, submitted_at: datetime) -> Revision:
        """Return a revision that holds these answers as marks."""
        # Each kind of mark is named, if only to say that there are none: what is left out would be looked up when read.
        kinds = ("ratings", "tags", "remarks", "corrections", "rankings", "spans")
        none: dict[str, list[Any]] = {kind: [] for kind in kinds}
        revision = Revision(number=number, submitted_at=submitted_at, comment=self.comment, **none)
        for criterion in rubric.criteria:
            if criterion.name in self.values:
                _mark(revision, criterion, self.values[criterion.name], judged)
        return revision

    def as_seen(self, rubric: Rubric, judged: Judged) -> dict[str, Any]:
        """Return the answers by criterion as their reviewer gave them: with the names that reviewers use."""
        criteria = {criterion.name: criterion for criterion in rubric.criteria}
        return {name: _with_names(criteria[name], value, judged) for name, value in self.values.items()}

    def as_draft(self, rubric: Rubric, judged: Judged) -> dict[str, Any]:
        """Return the answers as a draft keeps them: as seen, and a correction of the words alone as the words."""
        seen = self.as_seen(rubric, judged)
        draft = {name: _words_if_only_words(value, judged.output) for name, value in seen.items()}
        return draft | ({"comment": self.comment} if self.comment else {})


def _with_names(criterion: Criterion, value: Any, judged: Judged) -> Any:
    name_of = judged.name_of
    if criterion.per == "response":
        return {name_of[response_id]: said for response_id, said in value.items()}
    if isinstance(criterion, Ranked) and isinstance(value, list):
        return [[name_of[response_id] for response_id in tied] for tied in value]
    if isinstance(criterion, Pairwise) and isinstance(value, dict):
        return value | {"better": name_of[value["better"]]}
    return value


def _mark(revision: Revision, criterion: Criterion, value: Any, judged: Judged) -> None:
    for key, said in {"": value}.items() if criterion.per == "item" else value.items():
        for mark in marks_of(criterion, said, judged):
            if criterion.per == "response":
                mark.response_id = UUID(key)
            elif criterion.per == "turn":
                mark.message_index = int(key)
            add_to(revision, mark)


def _request_for(criterion: Criterion) -> str:
    each = {"item": "", "response": " for each response", "turn": " for each answer of the assistant"}[criterion.per]
    match criterion:
        case Text():
            return f"“{criterion.label}” needs a text{each}."
        case Tags():
            return f"Choose at least one under “{criterion.label}”{each}."
        case Ranked():
            return f"Give each response a place under “{criterion.label}”."
        case _:
            return f"Choose one under “{criterion.label}”{each}."


def _words_if_only_words(value: Any, output: dict[str, Any] | None) -> Any:
    if not isinstance(value, dict) or output is None or not isinstance(value.get("content"), str):
        return value
    return value["content"] if with_text(output, value["content"]) == value else value
