"""What reviewers may see of what was captured: what was said, and nothing that tells by which model.

Nor may anything about a comparison tell its responses apart. Their ids begin with the time of capture, so whoever
compared a few would know the older model from the newer one. A reviewer therefore gets a name for each response that
holds in this item alone, and an order of their own: by a seed that every lease of theirs on the item records.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core.secrets import keys_of
from hitl.queue.models import Item, ItemTarget

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


def blind_output(item: Item, output: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model said and called in answer to an item.

    Beside others, some models would be known by the way their provider numbers calls, or because they think aloud.
    """
    shown = blind_message(output)
    if item.kind == "comparison":
        shown.pop("reasoning_content", None)
        if "tool_calls" in shown:
            calls = enumerate(shown["tool_calls"], start=1)
            shown["tool_calls"] = [{**call, "id": f"call_{number}"} for number, call in calls]
    return shown


def _blind_part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part has its content under the key that its type names: {"type": "image_url", "image_url": {…}}."""
    return {key: part[key] for key in ("type", part["type"]) if key in part}


def blind_name(db: Session, item: Item, response_id: UUID) -> str:
    """Return what reviewers of an item call one of its responses; the response's id if there is nothing to compare."""
    if item.kind != "comparison":
        return str(response_id)
    digest = hmac.digest(keys_of(db).pseudonyms, b"response" + item.id.bytes + response_id.bytes, "sha256")
    return str(UUID(bytes=digest[:16], version=4))


def fresh_seed() -> int:
    """Return a seed for the order in which somebody sees what an item compares, from 0 to 2^31 - 1."""
    return secrets.randbits(31)


def in_blind_order(targets: Iterable[ItemTarget], seed: int) -> list[ItemTarget]:
    """Return the targets of a comparison in the order that a seed says: by the hash of the seed and each place."""
    return sorted(targets, key=lambda target: hashlib.sha256(f"{seed} {target.position}".encode()).digest())
