"""Messages as trainers need them, and the rows they would silently learn wrongly from.

TRL itself trains without a word on empty answers, on two equal answers, on prompts that end with an assistant's turn;
chat templates drop roles they do not know. So the rules are here, each with a name.

How a tool call is written differs by trainer. The functions here take the one that writes it: `object_call`, which is
TRL's, `text_call` or `exact_call`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from exporters.arguments import arguments_for_datasets, arguments_object, arguments_text
from exporters.errors import RowRefused
from exporters.plain import ensure_plain
from exporters.rows import Message, Tool

Call = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool")


def object_call(call: Call) -> Call:
    """The call with its arguments as an object, for templates that write them with `tojson`."""
    return written_call(call, arguments_for_datasets)


def text_call(call: Call) -> Call:
    """The call with its arguments as JSON text, for trainers that parse it themselves."""
    return written_call(call, arguments_text)


def exact_call(call: Call) -> Call:
    """The call with its arguments as an object, for formats that put it into text of their own."""
    return written_call(call, arguments_object)


def training_prompt(prompt: list[Message], as_call: Callable[[Call], Call] = object_call) -> list[Message]:
    """The conversation up to the answer. It ends with a user's or a tool's message."""
    numbered = enumerate(prompt, start=1)
    messages = [training_message(message, f"message {n} of the prompt", as_call) for n, message in numbered]
    ensure_open(messages)
    ensure_system_first(messages)
    return messages


def ensure_open(messages: list[Message]) -> None:
    """A prompt ends with somebody to whom the model can answer."""
    if not messages:
        raise RowRefused("the prompt has no message", "empty_prompt")
    last = messages[-1]
    if last["role"] not in ("user", "tool"):
        raise RowRefused(f"the prompt ends with a message of role {last['role']}", "prompt_not_open")
    if last["role"] == "user" and not last["content"].strip():
        raise RowRefused("the user's last message is empty", "empty_prompt")


def training_answer(answer: Message, side: str, as_call: Callable[[Call], Call] = object_call) -> Message:
    """One answer. It is the assistant's, and says or calls something."""
    if answer.get("role") != "assistant":
        raise RowRefused(f"the {side} message has the role {answer.get('role')}", "answer_not_assistant")
    message = training_message(answer, f"the {side} message", as_call)
    if not message.get("tool_calls") and not message["content"].strip():
        raise RowRefused(f"the {side} message is empty", "empty_answer")
    return message


def training_tools(tools: list[Tool] | None) -> str | None:
    """The tools as one JSON text: TRL parses it, and no schema merges with another row's."""
    if not tools:
        return None
    ensure_functions(tools)
    ensure_plain(tools, "tools")  # before they become text, where nobody would look into them any more
    return orjson.dumps(tools).decode()


def ensure_functions(tools: list[Tool]) -> None:
    for tool in tools:
        if tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
            raise RowRefused(f"{tool.get('type')}: templates know functions only", "unsupported_tool")


def ensure_different(chosen: Message, rejected: Message) -> None:
    """Two answers that differ in white space or call ids only teach nothing."""
    if essence(chosen) == essence(rejected):
        raise RowRefused("the chosen and the rejected message say the same", "equal_sides")


def essence(message: Message) -> tuple[str, list[Any]]:
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return (message["content"] or "").strip(), [(call["name"], meaning(call["arguments"])) for call in calls]


def meaning(arguments: Any) -> Any:
    """Arguments that are JSON text may be spaced differently and mean the same."""
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def ensure_system_first(messages: list[Message]) -> None:
    """Templates take one system message, at the beginning; a later one they drop or refuse."""
    if any(message["role"] == "system" for message in messages[1:]):
        raise RowRefused("a system message comes after the first message", "system_message_not_first")


def training_message(message: Message, place: str, as_call: Callable[[Call], Call] = object_call) -> Message:
    """The message with the keys that templates read, and no other."""
    role = message.get("role")
    if role not in ROLES:
        raise RowRefused(f"{place} has the role {role}", "unknown_role")
    # Most templates drop a developer's message or fail on it; OpenAI's newer models call the system message so.
    training: Message = {"role": "system" if role == "developer" else role, "content": text_content(message, place)}
    for key in ("name", "tool_call_id"):
        if message.get(key) is not None:
            training[key] = message[key]
    if message.get("tool_calls"):
        training["tool_calls"] = [as_call(call) for call in message["tool_calls"]]
        # Some templates drop the calls of a message whose content is "", and none that of one whose content is null.
        training["content"] = training["content"] or None
    elif training["content"] is None:
        raise RowRefused(f"{place} has neither content nor tool calls", "message_without_content")
    return training


def text_content(message: Message, place: str) -> str | None:
    """What the message says. A refusal is what the model said instead of content, so it takes its place."""
    content, refusal = message.get("content"), message.get("refusal")
    text = joined_text(content, place) if isinstance(content, list) else content
    if text is not None and not isinstance(text, str):
        raise RowRefused(f"the content of {place} is a {type(text).__name__}", "content_not_text")
    if text and refusal:
        raise RowRefused(f"{place} has content and a refusal", "content_and_refusal")
    return refusal or text


def joined_text(parts: list[Any], place: str) -> str:
    """Text parts joined by line breaks, as vLLM does for models that take text only."""
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise RowRefused(f"{kind} in {place}; this format carries text only", "unsupported_content_part")
    return "\n".join(part["text"] for part in parts)


def written_call(call: Call, as_arguments: Callable[[Any, str], Any]) -> Call:
    called = call.get("function")
    if call.get("type", "function") != "function" or not isinstance(called, dict) or not called.get("name"):
        raise RowRefused(f"{call.get('type')}: templates know named functions only", "unsupported_tool_call")
    name = called["name"]
    function = {"name": name, "arguments": as_arguments(called.get("arguments", ""), name)}
    identity = {"id": call["id"]} if call.get("id") is not None else {}
    return {**identity, "type": "function", "function": function}
