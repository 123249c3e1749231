"""One side of a judgement: an answer, and when two answers are the same."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hitl.core.canonical import content_hash

Message = dict[str, Any]

_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Side:
    """An answer. Two sides with the same `folded` hash are the same answer, whoever wrote them."""

    message: Message
    exact: str  # hash of the message as it is
    folded: str  # hash of what a reader takes from it: NFC, white space folded, reasoning left out
    response_id: UUID | None  # none: a person wrote it

    @classmethod
    def of(cls, message: Message, response_id: UUID | None = None) -> "Side":
        """Return the side that this message is."""
        return cls(message, content_hash(message), content_hash(folded(message)), response_id)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing and calls no tool."""
        return not self.message.get("tool_calls") and not text_of(self.message).strip() and not _other_parts(self.message)

    @property
    def length(self) -> int:
        """How long it is, in Unicode code points, tool calls included."""
        calls = self.message.get("tool_calls") or ()
        return len(text_of(self.message)) + sum(len(str(_function(call).get("arguments", ""))) for call in calls)


def folded(message: Message) -> Message:
    """Return a message without what makes no difference: Unicode spelling, amount of white space, reasoning.

    Tool calls count as they are, except for their ids, which differ at each call.
    """
    kept = {"role": message.get("role"), "content": _folded_content(message.get("content"))}
    if message.get("refusal"):
        kept["refusal"] = folded_text(message["refusal"])
    if message.get("tool_calls"):
        kept["tool_calls"] = [_function(call) for call in message["tool_calls"]]
    return kept


def folded_text(text: str) -> str:
    """Return a text in NFC with each run of white space as one space, and none around it."""
    return _WHITE_SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def text_of(message: Message) -> str:
    """Return the words of a message: its content's text, and its refusal."""
    content = message.get("content")
    words = [content] if isinstance(content, str) else [part["text"] for part in content or () if _is_text(part)]
    return "\n".join([*words, *([message["refusal"]] if message.get("refusal") else [])])


def _folded_content(content: Any) -> Any:
    if content is None:
        return ""
    if isinstance(content, str):
        return folded_text(content)
    parts = [folded_text(part["text"]) if _is_text(part) else part for part in content]
    # A list of texts and one string are two spellings of the same words.
    return " ".join(parts) if all(isinstance(part, str) for part in parts) else parts


def _other_parts(message: Message) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(not _is_text(part) for part in content)


def _is_text(part: Any) -> bool:
    return part.get("type") == "text"


def _function(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    return function
