"""Messages as OpenAI's fine-tuning takes them: tool arguments stay JSON text, and every call has its id."""

from __future__ import annotations

from exporters.errors import RowRefused
from exporters.rows import Message, Tool
from exporters.training import Call, ensure_functions, text_call, training_answer, training_prompt


def openai_prompt(prompt: list[Message]) -> list[Message]:
    """The conversation up to the answer. It ends with a user's or a tool's message."""
    messages = [without_tool_name(message) for message in training_prompt(prompt, identified_call)]
    for n, message in enumerate(messages, start=1):
        if message["role"] == "tool" and not message.get("tool_call_id"):
            raise RowRefused(
                f"message {n} of the prompt does not say which call it answers", "tool_message_without_call"
            )
    return messages


def without_tool_name(message: Message) -> Message:
    """A tool's message has no name there: it is that of the call it answers."""
    return {key: message[key] for key in message if key != "name"} if message["role"] == "tool" else message


def openai_answer(answer: Message, side: str) -> Message:
    """One answer. A refusal is what the model said, so it is the content."""
    return training_answer(answer, side, identified_call)


def openai_tools(tools: list[Tool] | None) -> dict[str, list[Tool]]:
    """The row's `tools`, where the model had any."""
    ensure_functions(tools or [])
    return {"tools": tools} if tools else {}


def identified_call(call: Call) -> Call:
    written = text_call(call)
    if not written.get("id"):
        raise RowRefused(f"the call of {written['function']['name']} has no id", "tool_call_without_id")
    return written
