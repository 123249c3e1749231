"""One side of a judgement: an answer, and when two answers are the same."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from hitl.core.canonical import canonical_json, content_hash
from hitl.review import corrections

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """An answer. Two sides with the same `folded` hash are the same answer, whoever wrote them."""

    message: Message
    spelled: bytes  # the message's canonical JSON
    exact: str  # its hash
    folded: str  # hash of what a reader takes from it: NFC, white space folded, reasoning left out
    response_id: UUID | None  # none: a person wrote it

    @classmethod
    def of(cls, message: Message, response_id: UUID | None = None) -> "Side":
        """Return the side that this message is."""
        spelled = canonical_json(message)
        return cls(message, spelled, sha256(spelled).hexdigest(), content_hash(essence(message)), response_id)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing and calls no tool."""
        return corrections.is_empty(self.message)

    @property
    def length(self) -> int:
        """How long it is, in Unicode code points, tool calls included."""
        calls = self.message.get("tool_calls") or ()
        return len(corrections.text_of(self.message)) + sum(
            len(str(_function(call).get("arguments", ""))) for call in calls
        )


def essence(message: Message) -> dict[str, Any]:
    """Return what a reader takes from a message: its words, folded, its other parts, and its calls.

    Reasoning is left out, and so are the ids of calls, which differ each time.
    """
    content = message.get("content")
    return {
        "role": message.get("role"),
        "text": corrections.folded(corrections.text_of(message)),
        "parts": [part for part in content if part["type"] != "text"] if isinstance(content, list) else [],
        "calls": [_function(call) for call in message.get("tool_calls") or ()],
    }


def _function(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    return function
