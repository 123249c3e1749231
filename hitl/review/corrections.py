"""Corrections: the whole response as it should have been, and whether that differs from what was said."""

from typing import Any

from hitl.capture.words import essence_of
from hitl.capture.words import folded as folded
from hitl.capture.words import text_of as text_of  # what a reviewer sees in the editor

# What belongs to the old words alone: a refusal that is answered after all, the reasoning that led to the error.
_TIED_TO_THE_OLD_WORDS = ("refusal", "reasoning_content")


def with_text(output: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the assistant message with other words. Tool calls, and parts that are not text, stay."""
    kept = {key: value for key, value in output.items() if key not in _TIED_TO_THE_OLD_WORDS}
    return kept | {"content": _content_with_text(output.get("content"), text)}


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two assistant messages say and call the same, but for white space and the spelling of characters."""
    return essence_of(one) == essence_of(other)


def is_empty(output: dict[str, Any]) -> bool:
    """Whether an assistant message neither says nor calls anything."""
    text, parts, calls = essence_of(output)
    return not (text or parts or calls)


def _content_with_text(content: Any, text: str) -> Any:
    if not isinstance(content, list):
        return text
    other_parts = [part for part in content if part["type"] != "text"]
    return [{"type": "text", "text": text}, *other_parts] if other_parts else text
