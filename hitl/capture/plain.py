"""Rows as most are, read in a fraction of the time that the full check takes.

A row is plain when each of its values is of the simplest kind that its place allows: messages that are a role and a
text, short texts, numbers. What `plain_row` returns of it is what ResponseRow says (a test holds the two together); any
other row, good or bad, is left to `read_row`, which also knows how to say what is wrong.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import orjson
from pydantic_core import PydanticCustomError

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import MAX_TEXT_CHARACTERS, MAX_WHOLE_NUMBER, ensure_storable
from hitl.capture.messages import MAX_MESSAGES, is_words_alone
from hitl.capture.rows import MAX_COUNT, MAX_ID_CHARACTERS, MAX_METADATA_BYTES, MAX_SIGNALS, read_time

# Of a value that is not plain, None: null is looked at before.
Reader: TypeAlias = Callable[[Any], Any]
# Two objects of this size have fewer entries than a row may have, and are less deep.
PLAIN_BYTES = MAX_METADATA_BYTES // 8


def plain_row(raw: Any) -> dict[str, Any] | None:
    """Return what a plain row says, by the fields of ResponseRow without those that are null; None of any other row."""
    if type(raw) is not dict or raw.get("input") is None or raw.get("output") is None:
        return None
    row = {}
    for key, value in raw.items():
        read = _READERS.get(key)
        if read is None:
            return None
        if value is not None:
            value = read(value)
            if value is None:
                return None
            row[key] = value
    return row


def _is_storable(text: str, longest: int) -> bool:
    return len(text) <= longest and "\0" not in text and (text.isascii() or _has_whole_characters(text))


def _has_whole_characters(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _word(value: Any) -> str | None:
    return value if type(value) is str and _is_storable(value, MAX_ID_CHARACTERS) else None


def _name(value: Any) -> str | None:
    return _word(value) or None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def _amount(value: Any) -> float | None:
    return float(value) if type(value) in (float, int) and 0 <= value <= MAX_WHOLE_NUMBER else None


def _input(value: Any) -> dict[str, Any] | None:
    if type(value) is not dict or not value.keys() <= _INPUT_KEYS or value.get("tools"):
        return None
    if type(value.get("tools")) not in (list, type(None)):
        return None
    messages = value.get("messages")
    if type(messages) is not list or not 0 < len(messages) <= MAX_MESSAGES:
        return None
    for message in messages:
        if not is_words_alone(message) or not _is_storable(message["content"], MAX_TEXT_CHARACTERS):
            return None
    return {"messages": messages, "tools": []}


_INPUT_KEYS = {"messages", "tools"}


def _output(value: Any) -> dict[str, Any] | None:
    is_answer = is_words_alone(value) and value["role"] == "assistant"
    return value if is_answer and _is_storable(value["content"], MAX_TEXT_CHARACTERS) else None


def _small_object(value: Any) -> dict[str, Any] | None:
    if type(value) is not dict:
        return None
    if not value:
        return value
    try:
        ensure_storable([value])  # as deep as it lies in its row
        return value if len(orjson.dumps(value)) <= PLAIN_BYTES else None
    except (RowInvalid, orjson.JSONEncodeError):
        return None


def _signals(value: Any) -> dict[str, float] | None:
    if type(value) is not dict or len(value) > MAX_SIGNALS:
        return None
    for name, number in value.items():
        if _word(name) is None or type(number) is not float or not abs(number) <= MAX_WHOLE_NUMBER:
            return None
    return value


def _no_passages(value: Any) -> list[Any] | None:
    return value if value == [] else None


def _may_train(value: Any) -> str | None:
    return value if type(value) is str and value in ("yes", "no", "unknown") else None


def _time(value: Any) -> datetime | None:
    if _word(value) is None:
        return None
    try:
        return read_time(value)
    except PydanticCustomError:
        return None


_READERS: dict[str, Reader] = {
    "client_id": _name,
    "input": _input,
    "output": _output,
    "model": _word,
    "model_version": _word,
    "prompt_name": _word,
    "prompt_version": _word,
    "parameters": _small_object,
    "input_tokens": _count,
    "output_tokens": _count,
    "latency_seconds": _amount,
    "cost_usd": _amount,
    "trace_id": _word,
    "context": _no_passages,
    "signals": _signals,
    "metadata": _small_object,
    "may_train": _may_train,
    "conversation_id": _name,
    "turn": _count,
    "end_user": _name,
    "created_at": _time,
}
