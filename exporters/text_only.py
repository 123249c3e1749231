"""Conversations of nothing but text: for trainers that drop the rest without a word, or merge it across rows."""

from __future__ import annotations

from exporters.errors import RowRefused
from exporters.rows import Message, Tool
from exporters.training import training_answer, training_prompt

# A list of messages, as `datasets` writes it in the YAML of a dataset card.
MESSAGES = """list:
    - name: role
      dtype: string
    - name: content
      dtype: string"""


def text_prompt(prompt: list[Message], tools: list[Tool] | None) -> list[Message]:
    """The conversation up to the answer, each message with role and content only."""
    if tools:
        raise RowRefused("the model had tools, which this format has no place for", "tools_not_supported")
    messages = training_prompt(prompt)
    return [text_message(message, f"message {n} of the prompt") for n, message in enumerate(messages, start=1)]


def text_answer(answer: Message, side: str) -> Message:
    return text_message(training_answer(answer, side), f"the {side} message")


def text_message(message: Message, place: str) -> Message:
    if message.get("tool_calls") or message["role"] == "tool":
        raise RowRefused(f"{place} is part of a tool call", "tools_not_supported")
    if message.get("name"):
        raise RowRefused(f"{place} has a name, which this format has no place for", "name_not_supported")
    return {"role": message["role"], "content": message["content"]}
