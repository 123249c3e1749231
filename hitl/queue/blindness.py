"""What reviewers may see of what was captured: what was said, and nothing that tells by which model."""

from collections.abc import Mapping
from typing import Any

SHOWN_OF_PASSAGE = ("title", "text", "content", "source")


def blind_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without what programs write beside its words.

    They name the model in an assistant's `name`, or in keys of their own that they add to a piece of text.
    """
    shown = {key: value for key, value in message.items() if key != "name" or message["role"] != "assistant"}
    if isinstance(shown.get("content"), list):
        shown["content"] = [_blind_part(part) for part in shown["content"]]
    return shown


def blind_passage(passage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a retrieved passage: its words, its title and where they are from."""
    return {key: passage[key] for key in SHOWN_OF_PASSAGE if key in passage}


def _blind_part(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part["text"]} if part["type"] == "text" else dict(part)
