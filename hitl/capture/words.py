"""The words of a message, and whether two messages say the same."""

import unicodedata
from typing import Any


def text_of(output: dict[str, Any]) -> str:
    """Return the words of an assistant message: its text parts as paragraphs."""
    content = output.get("content")
    if isinstance(content, list):
        return "\n\n".join(part["text"] for part in content if part["type"] == "text")
    return content or output.get("refusal") or ""


def folded(text: str) -> str:
    """Return the text in Unicode normal form C, each run of white space as one blank and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def essence_of(output: dict[str, Any]) -> tuple[str, list[Any], list[Any]]:
    """Return what an assistant message says and calls, whatever its white space and the spelling of its characters."""
    content = output.get("content")
    other_parts = [part for part in content if part["type"] != "text"] if isinstance(content, list) else []
    return folded(text_of(output)), other_parts, output.get("tool_calls") or []
