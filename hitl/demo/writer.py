"""A writer that hands in what others wrote: it looks up what five models once answered to the very same request.

It is no language model. Asked again, because a person refused a draft, it hands in what the next of the five wrote.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hitl.demo.real_data import writing_requests

NAME = "oasst-drafts"
LABEL = "Looks up what five Open Assistant models wrote; no language model."
NOT_KNOWN = "I can only write what I was asked for before: one of the requests of the Writing desk."


def draft(messages: Sequence[dict[str, Any]]) -> str:
    """Return a text for the first thing that was asked; after each refusal another one."""
    asked = next((str(message.get("content")) for message in messages if message.get("role") == "user"), "")
    drafts = _drafts().get(asked)
    if drafts is None:
        return NOT_KNOWN
    refusals = sum(message.get("role") == "system" for message in messages)
    return str(drafts[refusals % len(drafts)])


@cache
def _drafts() -> dict[str, list[str]]:
    return {request.text: request.drafts for request in writing_requests()}
