"""What is judged: the responses and messages of an item, by the names that reviewers use in their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.queue.blindness import blind_name
from hitl.queue.models import Item
from hitl.review.corrections import text_of
from hitl.review.rubrics import Criterion

Message = dict[str, Any]


@dataclass(frozen=True)
class JudgedResponse:
    """One response under review."""

    name: str  # in answers; in a comparison not its id, see hitl/queue/blindness.py
    id: UUID
    output: Message = field(hash=False)


@dataclass(frozen=True)
class Part:
    """What one answer is about: the whole item, one of the responses compared, or one message."""

    key: str  # by which answers are kept: a response's id, a message's index; empty for the whole item
    words: str | None  # what was said there; None where there is no single text


@dataclass(frozen=True)
class Judged:
    """What an item asks to judge.

    responses: one; several in a comparison, in the order of the item; of a conversation the one at which it stood.
    messages: of a response or a conversation, its input and then its output; of a comparison none.
    """

    kind: str
    responses: tuple[JudgedResponse, ...]
    messages: tuple[Message, ...] = ()

    @classmethod
    def single(cls, response_id: UUID, output: Message, history: list[Message]) -> "Judged":
        """Return one response as what is judged."""
        return cls("response", (JudgedResponse(str(response_id), response_id, output),), (*history, output))

    @property
    def output(self) -> Message | None:
        """What a correction replaces; None where there is no single response."""
        return self.responses[0].output if self.kind == "response" else None

    @property
    def turns(self) -> tuple[int, ...]:
        """The places of the assistant's messages among all."""
        return tuple(place for place, message in enumerate(self.messages) if message["role"] == "assistant")

    @cached_property
    def by_name(self) -> Mapping[str, JudgedResponse]:
        """The responses by what reviewers call them."""
        return {response.name: response for response in self.responses}

    @cached_property
    def name_of(self) -> Mapping[str, str]:
        """What reviewers call the responses, by id."""
        return {str(response.id): response.name for response in self.responses}

    def parts(self, criterion: Criterion) -> dict[str, Part]:
        """Return what a criterion asks about separately, by its name in answers; nothing if it asks about the whole."""
        if criterion.per == "response":
            return {name: Part(str(one.id), text_of(one.output)) for name, one in self.by_name.items()}
        if criterion.per == "turn":
            return {str(place): Part(str(place), text_of(self.messages[place])) for place in self.turns}
        return {}

    def whole(self) -> Part:
        """Return the item as a whole."""
        return Part("", None if self.output is None else text_of(self.output))


def judged_of(db: Session, item: Item) -> Judged:
    """Return what an item asks to judge."""
    found = [target.response for target in item.targets if target.response is not None]
    responses = tuple(JudgedResponse(blind_name(db, item, one.id), one.id, one.output) for one in found)
    if item.kind == "comparison":
        return Judged(item.kind, responses)
    return Judged(item.kind, responses, (*found[0].input["messages"], found[0].output))
