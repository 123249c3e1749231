"""Facts that live conversations tell."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class EventHappened:
    """Something was added to a conversation's log. Whoever follows it is woken once that is committed."""

    project_id: UUID
    conversation_id: UUID
    number: int


@dataclass(frozen=True)
class InterventionSettled:
    """It is known now what was said instead of a draft that a person did not let pass, or that nothing was."""

    intervention_id: UUID
