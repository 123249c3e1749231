"""Rows as most are, read in a fraction of the time that the full check takes.

A row is plain when each of its values is of the simplest kind that its place allows: messages that are a role and a
text, short texts, numbers. What `plain_rows` returns of it is what ResponseRow says (a test holds the two together);
any other row, good or bad, is left to `read_row`, which also knows how to say what is wrong.

A batch is read field by field: one question about all its values costs little more than about one of them.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

import orjson
from pydantic_core import PydanticCustomError

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import MAX_TEXT_CHARACTERS, ensure_storable
from hitl.capture.messages import MAX_MESSAGES, are_words_alone
from hitl.capture.rows import MAX_COUNT, MAX_ID_CHARACTERS, MAX_METADATA_BYTES, MAX_SIGNALS, read_time
from hitl.core.canonical import MAX_WHOLE_NUMBER

# Takes values of one field, at least one and never null, and returns what they say; None unless all of them are plain.
Reader: TypeAlias = Callable[[list[Any]], list[Any] | None]
# Two objects of this size have fewer entries than a row may have, and are less deep.
PLAIN_BYTES = MAX_METADATA_BYTES // 8


def plain_rows(raws: Iterable[Any]) -> list[dict[str, Any] | None]:
    """Return what each plain row says, by the fields of ResponseRow without those that are null; None of any other."""
    rows = [dict(raw) if _has_both_sides(raw) else {} for raw in raws]
    for field in set().union(*rows):
        _read_field([row for row in rows if field in row], field)
    return [row or None for row in rows]


def _has_both_sides(raw: Any) -> bool:
    return type(raw) is dict and raw.get("input") is not None and raw.get("output") is not None


def _read_field(rows: list[dict[str, Any]], field: str) -> None:
    """Put what it says in place of one field, which all these rows have; empty those that are not plain."""
    rows = _without_null(rows, field)
    if not rows:
        return
    read = _READERS.get(field, _nothing)
    values = [row[field] for row in rows]
    said = read(values)
    if said is None:
        for row, value in zip(rows, values, strict=True):
            if (alone := read([value])) is None:
                row.clear()
            else:
                (row[field],) = alone
    elif said is not values:
        for row, value in zip(rows, said, strict=True):
            row[field] = value


def _without_null(rows: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Take a null out of its row, and return the other rows."""
    others = []
    for row in rows:
        if row[field] is None:
            del row[field]
        else:
            others.append(row)
    return others


def _nothing(_values: list[Any]) -> None:
    """An unknown field is never plain."""


def _are(kinds: set[type], values: Iterable[Any]) -> bool:
    return kinds.issuperset(map(type, values))


def _are_storable(texts: Sequence[Any], longest: int) -> bool:
    if not _are({str}, texts) or max(map(len, texts)) > longest:
        return False
    together = "".join(texts)
    return "\0" not in together and (together.isascii() or _has_whole_characters(together))


def _has_whole_characters(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _words(values: list[Any]) -> list[str] | None:
    return values if _are_storable(values, MAX_ID_CHARACTERS) else None


def _names(values: list[Any]) -> list[str] | None:
    return _words(values) if all(values) else None


def _counts(values: list[Any]) -> list[int] | None:
    return values if _are({int}, values) and min(values) >= 0 and max(values) <= MAX_COUNT else None


def _amounts(values: list[Any]) -> list[float] | None:
    if not _are({float, int}, values) or not all(0 <= value <= MAX_WHOLE_NUMBER for value in values):
        return None
    return values if _are({float}, values) else list(map(float, values))


def _inputs(values: list[Any]) -> list[dict[str, Any]] | None:
    if not _are({dict}, values) or not set().union(*values) <= {"messages", "tools"}:
        return None
    if not all(value.get("tools") is None or value["tools"] == [] for value in values):
        return None
    talks = [value.get("messages") for value in values]
    if not _are({list}, talks) or not all(0 < len(talk) <= MAX_MESSAGES for talk in talks):
        return None
    messages = list(chain.from_iterable(talks))
    if not are_words_alone(messages) or not _are_storable(_contents(messages), MAX_TEXT_CHARACTERS):
        return None
    return [{"messages": talk, "tools": []} for talk in talks]


def _outputs(values: list[Any]) -> list[dict[str, Any]] | None:
    are_answers = are_words_alone(values) and all(message["role"] == "assistant" for message in values)
    return values if are_answers and _are_storable(_contents(values), MAX_TEXT_CHARACTERS) else None


def _contents(messages: list[Any]) -> list[str]:
    return [message["content"] for message in messages]


def _small_objects(values: list[Any]) -> list[dict[str, Any]] | None:
    return values if _are({dict}, values) and all(not value or _is_small(value) for value in values) else None


def _is_small(value: dict[str, Any]) -> bool:
    try:
        ensure_storable([value])  # as deep as it lies in its row
        return len(orjson.dumps(value)) <= PLAIN_BYTES
    except (RowInvalid, orjson.JSONEncodeError):
        return False


def _signals(values: list[Any]) -> list[dict[str, float]] | None:
    if not _are({dict}, values) or max(map(len, values)) > MAX_SIGNALS:
        return None
    names = list(chain.from_iterable(values))
    numbers = list(chain.from_iterable(value.values() for value in values))
    if names and not _are_storable(names, MAX_ID_CHARACTERS):
        return None
    return values if _are({float}, numbers) and all(abs(number) <= MAX_WHOLE_NUMBER for number in numbers) else None


def _no_passages(values: list[Any]) -> list[Any] | None:
    return values if all(value == [] for value in values) else None


def _may_train(values: list[Any]) -> list[str] | None:
    return values if _are({str}, values) and {"yes", "no", "unknown"}.issuperset(values) else None


def _times(values: list[Any]) -> list[datetime] | None:
    if _words(values) is None:
        return None
    try:
        return list(map(read_time, values))
    except PydanticCustomError:
        return None


_READERS: dict[str, Reader] = {
    "client_id": _names,
    "input": _inputs,
    "output": _outputs,
    "model": _words,
    "model_version": _words,
    "prompt_name": _words,
    "prompt_version": _words,
    "parameters": _small_objects,
    "input_tokens": _counts,
    "output_tokens": _counts,
    "latency_seconds": _amounts,
    "cost_usd": _amounts,
    "trace_id": _words,
    "context": _no_passages,
    "signals": _signals,
    "metadata": _small_objects,
    "may_train": _may_train,
    "conversation_id": _names,
    "turn": _counts,
    "end_user": _names,
    "created_at": _times,
}
