"""One side of a judgement: an answer, and when two answers are the same."""

from hashlib import sha256
from typing import Any

import orjson

from hitl.core.canonical import canonical_json, content_hash
from hitl.review import corrections

Message = dict[str, Any]

# Of a long answer, so much is looked at for its first word.
_GLANCE = 200


class Side:
    """An answer. Two sides with the same `folded` hash are the same answer, whoever wrote them.

    It is made of the message's JSON text; the rest is worked out when it is first asked for, and most never is.
    """

    __slots__ = ("_exact", "_folded", "_message", "_spelled", "_text", "response_id")

    def __init__(self, text: bytes | None, response_id: str | None = None, message: Message | None = None) -> None:
        self._text = text
        self._message = message
        self._spelled: bytes | None = None
        self._exact: str | None = None
        self._folded: str | None = None
        self.response_id = response_id  # none: a person wrote it

    @classmethod
    def of(cls, message: Message, response_id: str | None = None) -> "Side":
        """Return the side that this message is."""
        return cls(None, response_id, message)

    @property
    def message(self) -> Message:
        """The message, its keys in the order of their capture."""
        if self._message is None:
            self._message = orjson.loads(self._text or b"{}")
        return self._message

    @property
    def spelled(self) -> bytes:
        """The message's canonical JSON."""
        if self._spelled is None:
            self._spelled = canonical_json(self.message)
        return self._spelled

    @property
    def exact(self) -> str:
        """The hash of the message's canonical JSON."""
        if self._exact is None:
            self._exact = sha256(self.spelled).hexdigest()
        return self._exact

    @property
    def folded(self) -> str:
        """The hash of what a reader takes from it: NFC, white space folded, reasoning left out."""
        if self._folded is None:
            self._folded = content_hash(essence(self.message))
        return self._folded

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing and calls no tool."""
        return self.first_word is None and corrections.is_empty(self.message)

    @property
    def first_word(self) -> str | None:
        """Its first word, where that is plain: ASCII only, and early in a content that is one text."""
        content = self.message.get("content")
        if type(content) is not str:
            return None
        words = content[:_GLANCE].split(None, 1)
        is_whole = len(words) == 2 or (len(words) == 1 and len(content) <= _GLANCE)
        return words[0] if is_whole and words[0].isascii() else None

    @property
    def length(self) -> int:
        """How long it is, in Unicode code points, tool calls included."""
        message = self.message
        calls = message.get("tool_calls")
        length = len(corrections.text_of(message))
        return length + sum(len(str(_function(call).get("arguments", ""))) for call in calls) if calls else length


def are_same(one: Side, other: Side) -> bool:
    """Whether both have the same `folded` hash. Nearly always a word or two tell, without any hash."""
    words = one.first_word, other.first_word
    if None not in words and words[0] != words[1]:  # what folding does leaves a plain first word as it is
        return False
    if corrections.folded(corrections.text_of(one.message)) != corrections.folded(corrections.text_of(other.message)):
        return False
    return one.folded == other.folded


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
