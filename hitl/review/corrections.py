"""Corrections: the whole response as it should have been, and whether that differs from what was said."""

import unicodedata
from typing import Any

# What belongs to the old words alone: a refusal that is answered after all, the reasoning that led to the error.
_TIED_TO_THE_OLD_WORDS = ("refusal", "reasoning_content")


def with_text(output: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the assistant message with other words. Tool calls, and parts that are not text, stay."""
    kept = {key: value for key, value in output.items() if key not in _TIED_TO_THE_OLD_WORDS}
    return kept | {"content": _content_with_text(output.get("content"), text)}


def text_of(output: dict[str, Any]) -> str:
    """Return the words of an assistant message: what a reviewer sees in the editor."""
    content = output.get("content")
    if isinstance(content, list):
        return "\n\n".join(part["text"] for part in content if part["type"] == "text")
    return content or output.get("refusal") or ""


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two assistant messages say and call the same, but for white space and the spelling of characters."""
    return _essence(one) == _essence(other)


def is_empty(output: dict[str, Any]) -> bool:
    """Whether an assistant message neither says nor calls anything."""
    text, parts, calls = _essence(output)
    return not (text or parts or calls)


def folded(text: str) -> str:
    """Return the text in Unicode normal form C, each run of white space as one blank and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _essence(output: dict[str, Any]) -> tuple[str, list[Any], list[Any]]:
    content = output.get("content")
    other_parts = [part for part in content if part["type"] != "text"] if isinstance(content, list) else []
    return folded(text_of(output)), other_parts, output.get("tool_calls") or []


def _content_with_text(content: Any, text: str) -> Any:
    if not isinstance(content, list):
        return text
    other_parts = [part for part in content if part["type"] != "text"]
    return [{"type": "text", "text": text}, *other_parts] if other_parts else text
