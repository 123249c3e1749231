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
    """A person let a draft pass, or said or approved something instead: it may teach something."""

    intervention_id: UUID
