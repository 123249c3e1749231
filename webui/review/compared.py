"""What the review pages show of a comparison: the prompt, and its responses side by side under letters.

As in `shown`, templates get the values built here and nothing else. What end users said about a response is left out
too: only the one that was sent has any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from hitl.capture.models import Response
from hitl.queue.blindness import blind_message, blind_name, blind_output, blind_passage, in_blind_order
from hitl.queue.models import Item, Lease
from hitl.review.corrections import text_of
from hitl.review.rubrics import Rubric, rubric_of
from webui.base.transcript import Message, Retrieved, Transcript, answered, prompt, retrieved
from webui.review.asked import about_part, fields_of, problem_of
from webui.review.marking import Marked, Words, marked_in, marking

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Candidate:
    """One of the responses that are compared."""

    letter: str  # as this reviewer sees it
    blind_name: str  # what the form's fields are named after
    said: Message
    looked_up: Retrieved | None  # where the responses drew on different passages
    criteria: list[dict[str, Any]]  # what is asked about this response alone
    words: Words | None  # where passages are marked in it
    model: str  # empty until the comparison is closed and this reviewer is done with it

    @property
    def name(self) -> str:
        return f"Response {self.letter}"


@dataclass(frozen=True)
class Comparison:
    """Several responses to the same input, and what is asked about them."""

    rubric: Rubric
    prompt: Transcript
    candidates: tuple[Candidate, ...]
    criteria: list[dict[str, Any]]  # what is asked once
    is_comparison: ClassVar[bool] = True

    @property
    def words(self) -> list[Words]:
        """The texts in which passages are marked."""
        return [one.words for one in self.candidates if one.words is not None]

    @property
    def order(self) -> dict[str, Any] | None:
        """The criterion that puts the responses in order."""
        return next((c for c in self.criteria if c["kind"] in ("ranking", "pairwise")), None)

    @property
    def others(self) -> list[dict[str, Any]]:
        """What else is asked once."""
        return [criterion for criterion in self.criteria if criterion is not self.order]

    def fields(self, answers: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return answers by the fields of the form."""
        return fields_of(self.rubric, answers)

    def problem_of(self, criterion: Mapping[str, Any], answers: Mapping[str, Any], problems: Mapping[str, str]) -> str:
        """Return what is wrong about an answer on one response."""
        return problem_of(criterion, [one.blind_name for one in self.candidates], answers, problems)

    def marked(self, criterion: Mapping[str, Any], answers: Mapping[str, Any]) -> list[Marked]:
        """Return what is marked in one response, for those who read it without scripts."""
        words = next((one.words for one in self.candidates if one.blind_name == criterion.get("part")), None)
        return marked_in(self.rubric, criterion, answers, words)

    def stray_problems(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Return the problems that belong to no field of the form."""
        fields = {criterion.name for criterion in self.rubric.criteria} | {"comment"}
        return {name: problem for name, problem in problems.items() if name not in fields}


def comparison_of(db: Session, item: Item, lease: Lease, named: Mapping[str, Response] | None = None) -> Comparison:
    """Return what is compared, in the order in which the holder of the lease sees it.

    named: the responses by their blind names, once their models may be named.
    """
    rubric = rubric_of(db, item)
    criteria = rubric.as_json()
    responses = _in_order(item, lease)
    passages = [[blind_passage(passage) for passage in response.context] for response in responses]
    is_shared = all(one == passages[0] for one in passages)
    of_each = [criterion for criterion in criteria if criterion["per"] == "response"]
    marks_words = any(criterion["kind"] == "spans" for criterion in of_each)
    candidates = []
    for (name, letter), response, own in zip(letters_of(db, item, lease).items(), responses, passages, strict=True):
        words = Words(f"words-{letter.lower()}", text_of(response.output))
        candidates.append(
            Candidate(
                letter=letter,
                blind_name=name,
                said=answered(blind_output(item, response.output)),
                looked_up=None if is_shared else retrieved(own),
                criteria=[_criterion_of(criterion, name, letter, words) for criterion in of_each],
                words=words if marks_words and words.text else None,
                model=_model_of(named[name]) if named else "",
            )
        )
    return Comparison(
        rubric=rubric,
        prompt=prompt(
            [blind_message(message) for message in responses[0].input["messages"]],
            context=passages[0] if is_shared else (),
        ),
        candidates=tuple(candidates),
        criteria=[criterion for criterion in criteria if criterion["per"] == "item"],
    )


def letters_of(db: Session, item: Item, lease: Lease) -> dict[str, str]:
    """Return the letters of the responses by their blind names, in the order of the holder of the lease."""
    names = [blind_name(db, item, response.id) for response in _in_order(item, lease)]
    return dict(zip(names, LETTERS, strict=False))


def asked_in(item: Item) -> str:
    """Return the last words of the user before what is judged."""
    response = next((target.response for target in item.targets if target.response is not None), None)
    messages = response.input["messages"] if response else []
    said = [message["content"] for message in messages if message["role"] == "user"]
    return said[-1] if said and isinstance(said[-1], str) else ""


def _in_order(item: Item, lease: Lease) -> Sequence[Response]:
    targets = in_blind_order(item.targets, lease.shuffle_seed)
    return [target.response for target in targets if target.response is not None]


def _criterion_of(criterion: Mapping[str, Any], blind_name: str, letter: str, words: Words) -> dict[str, Any]:
    about = about_part(criterion, blind_name, f"response {letter}")
    return about | marking(criterion, words) if criterion["kind"] == "spans" and words.text else about


def _model_of(response: Response) -> str:
    """The name that is kept from reviewers while they judge."""
    if response.model is None:
        return "written by a person"
    return f"{response.model} {response.model_version}" if response.model_version else response.model
