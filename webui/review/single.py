"""What the review pages show of one response or of one conversation, and what is asked about it.

As in `shown`, templates get the values built here and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.capture.models import Feedback, Response
from hitl.core.errors import NotFound
from hitl.queue.blindness import blind_message, blind_output, blind_passage
from hitl.queue.models import Item
from hitl.review.corrections import text_of
from hitl.review.judged import Judged, judged_of
from hitl.review.rubrics import Rubric, rubric_of
from webui.base.transcript import Transcript, transcript
from webui.review.asked import about_part, fields_of, problem_of
from webui.review.marking import Marked, Words, marked_in, marking
from webui.review.wording import turn_names


@dataclass(frozen=True)
class Subject:
    """What is judged, and what is asked about it."""

    kind: str  # response or conversation
    rubric: Rubric
    transcript: Transcript
    criteria: list[dict[str, Any]]  # what is asked once
    original: str  # the words that a correction starts from
    turn_criteria: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)  # by the place of the message
    words: Mapping[int, Words] = field(default_factory=dict)  # where passages are marked, by the place of the message
    is_comparison: ClassVar[bool] = False

    @property
    def starts_at_its_beginning(self) -> bool:
        """Whether one reads from the first message on, rather than look at the last."""
        return self.kind == "conversation" or bool(self.turn_criteria)

    def fields(self, answers: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return answers by the fields of the form."""
        return fields_of(self.rubric, answers)

    def problem_of(self, criterion: Mapping[str, Any], answers: Mapping[str, Any], problems: Mapping[str, str]) -> str:
        """Return what is wrong about an answer on one turn."""
        return problem_of(criterion, [str(place) for place in self.turn_criteria], answers, problems)

    def marked(self, criterion: Mapping[str, Any], answers: Mapping[str, Any]) -> list[Marked]:
        """Return what is marked under a criterion of the form, for those who read it without scripts."""
        words = self.words.get(int(criterion["part"]) if "part" in criterion else max(self.words, default=-1))
        return marked_in(self.rubric, criterion, answers, words)

    def stray_problems(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Return the problems that belong to no field of the form."""
        fields = {criterion.name for criterion in self.rubric.criteria} | {"comment"}
        return {name: problem for name, problem in problems.items() if name not in fields}


def single_subject(db: Session, item: Item) -> Subject:
    """Return what is judged where nothing is compared."""
    judged = judged_of(db, item)
    criteria = rubric_of(db, item).as_json()
    of_turns = [criterion for criterion in criteria if criterion["per"] == "turn"]
    once = [criterion for criterion in criteria if criterion["per"] == "item"]
    turns = judged.turns if of_turns else ()
    words = _words(judged, once, of_turns)
    names = turn_names(judged)
    return Subject(
        kind=item.kind,
        rubric=rubric_of(db, item),
        transcript=_transcript(db, item, folds=not of_turns),
        criteria=[_with_marking(criterion, words.get(len(judged.messages) - 1)) for criterion in once],
        original="" if judged.output is None else text_of(judged.output),
        turn_criteria={
            place: [
                _with_marking(about_part(criterion, str(place), names[str(place)]), words.get(place))
                for criterion in of_turns
                if criterion["kind"] != "spans" or words[place].text
            ]
            for place in turns
        },
        words={place: one for place, one in words.items() if one.text},
    )


def response_of(item: Item) -> Response:
    """Return the response under review; of a conversation the one at which it stood. Raises NotFound."""
    response = next((target.response for target in item.targets if target.response is not None), None)
    if response is None:
        raise NotFound
    return response


def _words(judged: Judged, once: list[dict[str, Any]], of_turns: list[dict[str, Any]]) -> dict[int, Words]:
    places = set(judged.turns) if any(criterion["kind"] == "spans" for criterion in of_turns) else set()
    if any(criterion["kind"] == "spans" for criterion in once):
        places.add(len(judged.messages) - 1)
    return {place: Words(f"words-{place}", text_of(judged.messages[place])) for place in sorted(places)}


def _with_marking(criterion: dict[str, Any], words: Words | None) -> dict[str, Any]:
    return criterion | marking(criterion, words) if criterion["kind"] == "spans" and words and words.text else criterion


def _transcript(db: Session, item: Item, *, folds: bool) -> Transcript:
    response = response_of(item)
    is_whole = item.kind == "conversation"
    return transcript(
        [blind_message(message) for message in response.input["messages"]],
        blind_output(item, response.output),
        feedback=_what_the_end_user_said(db, response),
        context=[blind_passage(passage) for passage in response.context],
        folds=folds and not is_whole,
        is_whole=is_whole,
    )


def _what_the_end_user_said(db: Session, response: Response) -> Iterable[dict[str, Any]]:
    """End users alone: other sources are programs, whose names may tell which model answered."""
    about_response = Feedback.response_id == response.id
    about_conversation = Feedback.conversation_id == response.conversation_id
    found = db.scalars(
        select(Feedback)
        .where(about_response | about_conversation if response.conversation_id else about_response)
        .where(Feedback.source == "end_user")
        .order_by(Feedback.response_id.is_(None), Feedback.id)
    )
    for feedback in found:
        about = "response" if feedback.response_id else "conversation"
        yield {"kind": feedback.kind, "value": feedback.value, "comment": feedback.comment, "about": about}
