"""Messages as they leave the house, in every format."""

from __future__ import annotations

from exporters.rows import Message


def without_reasoning(message: Message) -> Message:
    """The message without `reasoning_content`.

    A model's reasoning was never shown to the reviewer, so nobody has judged it: no format exports it.
    """
    return {key: value for key, value in message.items() if key != "reasoning_content"}
