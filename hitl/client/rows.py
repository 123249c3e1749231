"""A row as it waits: already JSON, so that nobody can change it any more and its size is known."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal
from uuid import UUID

Kind = Literal["responses", "feedback"]  # as in the address of the service

OVERHEAD_BYTES = 200  # what Python needs to keep a row besides its text, about
LOOKED_AT = 2_000  # values looked at for a size; a conversation of 500 messages has about as many
MOST_ENTRIES = 50_000  # keys and list entries that the service takes in one row

Fields = Mapping[str, Any]


class Unsendable(Exception):
    """This cannot be sent as a row."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(slots=True)
class Row:
    """One response or piece of feedback.

    name: what a report calls it; text: its JSON; since: when it was given, by the monotonic clock;
    epoch: how often `flush` had been asked for by then.
    """

    kind: Kind
    name: str
    text: bytes
    since: float
    epoch: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return len(self.text) + OVERHEAD_BYTES


def row_of(kind: Kind, name: str, fields: Fields, *, most_bytes: int) -> Row:
    """Return the row that says this. What is None is left out. Raises Unsendable."""
    said = {key: value for key, value in fields.items() if value is not None}
    if _is_huge(said, most_bytes):
        raise _too_big(most_bytes)
    text = _as_json(said)
    if len(text) > most_bytes:
        raise _too_big(most_bytes)
    return Row(kind, name, text, time.monotonic())


def _too_big(most_bytes: int) -> Unsendable:
    return Unsendable("row_too_big", f"A row has at most {most_bytes:,} bytes as JSON.")


def _is_huge(value: Any, most: int) -> bool:
    """Whether it is plainly too much, found out without writing it all down in the caller's time."""
    characters = 0
    looked_at = 0
    ahead = [value]
    while ahead and looked_at < LOOKED_AT:
        here = ahead.pop()
        looked_at += 1
        if isinstance(here, str | bytes):
            characters += len(here)
        elif isinstance(here, dict | list | tuple):
            if len(here) > MOST_ENTRIES:
                return True
            ahead.extend(here.values() if isinstance(here, dict) else here)
        if characters > most:
            return True
    return False


def _as_json(value: Any) -> bytes:
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        raise Unsendable("not_json", "It is nested too deeply.") from None
    except Exception as error:  # a value's own code may run here and raise what it likes
        raise Unsendable(
            "not_json", f"It cannot be written as JSON ({type(error).__name__}: {_words(error)})."
        ) from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: the service refuses this row by name, and no other
        return json.dumps(json.loads(text)).encode()


def _words(error: Exception) -> str:
    """Say what an error says, if it can say anything."""
    try:
        return str(error)[:200]
    except Exception:
        return "no words"


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON does not know. Raises TypeError for what nothing stands for."""
    if hasattr(value, "model_dump"):  # pydantic, and so what the `openai` package returns
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, UUID | PurePath):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    for as_plain in ("isoformat", "__index__", "__float__"):  # times, and the numbers of numpy and decimal
        if hasattr(value, as_plain):
            return getattr(value, as_plain)()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
