"""Which column of a table is which field of a response: guessed from names and first cells, or said, and shown first.

input ← question (texts, each one user message)
output ← answer (texts)
"""

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

import orjson

from hitl.capture.errors import FileUnreadable, RowInvalid
from hitl.capture.tables import TableRow, printable

# By field, the names that a column may have, the most telling first; compared in small letters, other signs as `_`.
NAMES: dict[str, tuple[str, ...]] = {
    "input": (
        "input",
        "messages",
        "conversations",
        "prompt",
        "question",
        "instruction",
        "query",
        "user_message",
        "user",
    ),
    "output": ("output", "response", "answer", "completion", "reply", "assistant", "model_output", "generated_text"),
    "system": ("system", "system_prompt", "system_message"),
    "tools": ("tools",),
    "client_id": ("client_id", "id", "uuid", "response_id", "request_id", "message_id", "row_id"),
    "conversation_id": ("conversation_id", "conversation", "session_id", "thread_id", "chat_id", "dialogue_id"),
    "turn": ("turn", "turn_index", "turn_id"),
    "end_user": ("end_user", "user_id", "customer_id"),
    "model": ("model", "model_name", "model_id"),
    "model_version": ("model_version",),
    "prompt_name": ("prompt_name",),
    "prompt_version": ("prompt_version",),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "latency_seconds": ("latency_seconds",),
    "cost_usd": ("cost_usd",),
    "trace_id": ("trace_id",),
    "may_train": ("may_train",),
    "created_at": ("created_at", "timestamp", "created", "datetime", "time", "date"),
    "parameters": ("parameters",),
    "context": ("context",),
    "signals": ("signals",),
    "metadata": ("metadata",),
    "thumbs": ("thumbs", "thumbs_up", "feedback", "liked"),
    "stars": ("stars", "rating"),
}
WHOLE = ("turn", "input_tokens", "output_tokens")
FRACTIONS = ("latency_seconds", "cost_usd")
JSON_FIELDS = ("tools", "parameters", "context", "signals", "metadata")
FEEDBACK = ("thumbs", "stars")
UP, DOWN = (
    ("true", "1", "1.0", "yes", "up", "good", "like", "👍"),
    ("false", "0", "0.0", "-1", "no", "down", "bad", "dislike", "👎"),
)
SAMPLE = 20  # rows that are looked at before guessing


class MappingUnclear(FileUnreadable):
    """It is not clear which column is which."""

    code = "mapping_unclear"


@dataclass(frozen=True)
class Mapping:
    """By field, its column; and whether the texts to answer are whole conversations."""

    columns: dict[str, str]
    has_messages: bool  # the input is a list of messages (or an object with them), not one text
    answer_is_last: bool  # there is no column for the output: it is the last message
    assume_utc: bool = False

    def row_of(self, row: TableRow) -> dict[str, Any]:
        """Return a row as the API takes it. Raises RowInvalid, which names the column."""
        if row.problem is not None:
            raise row.problem
        given = {field: row.cells[column] for field, column in self.columns.items() if not _is_empty(row.cells[column])}
        made = {
            field: self._read(field, value)
            for field, value in given.items()
            if field not in ("input", "output", "system", "tools", *FEEDBACK)
        }
        return {**made, **self._exchange(given)}

    def feedback_of(self, row: TableRow) -> list[dict[str, Any]]:
        """Return what end users said about a row, without its subject. Raises RowInvalid."""
        said = []
        for kind in FEEDBACK:
            cell = row.cells.get(self.columns.get(kind, ""))
            if not _is_empty(cell):
                said.append({"kind": kind, "value": self._read(kind, cell)})
        return said

    def _exchange(self, given: MappingType[str, Any]) -> dict[str, Any]:
        if "input" not in given:
            raise self._problem("input", "is empty")
        asked = given["input"]
        taken = (
            self._messages(asked) if self.has_messages else {"messages": [{"role": "user", "content": _text(asked)}]}
        )
        messages = list(taken["messages"])
        if "system" in given:
            messages.insert(0, {"role": "system", "content": _text(given["system"])})
        if "tools" in given:
            taken = {**taken, "tools": self._json("tools", given["tools"])}
        if self.answer_is_last:
            if len(messages) < 2 or not isinstance(messages[-1], dict) or messages[-1].get("role") != "assistant":
                raise self._problem("input", "does not end with an answer of the assistant")
            return {"input": {**taken, "messages": messages[:-1]}, "output": messages[-1]}
        if "output" not in given:
            raise self._problem("output", "is empty")
        return {"input": {**taken, "messages": messages}, "output": _answer(given["output"])}

    def _messages(self, cell: Any) -> dict[str, Any]:
        found: Any = self._json("input", cell)
        found = {"messages": found} if isinstance(found, list) else found
        if not isinstance(found, dict) or not isinstance(found.get("messages"), list):
            raise self._problem("input", "is not a list of messages, as it is in the first rows")
        return {key: _without_nulls(below) for key, below in found.items()}

    def _read(self, field: str, cell: Any) -> Any:
        if field in JSON_FIELDS:
            return _without_nulls(self._json(field, cell))
        if field == "stars":
            return self._stars(cell)
        if field in WHOLE:
            return self._number(field, cell, int)
        if field in FRACTIONS:
            return self._number(field, cell, float)
        if field == "thumbs":
            return self._thumbs(cell)
        if field == "created_at" and isinstance(cell, str):
            has_zone = re.search(r"(Z|[+-]\d\d:?\d\d)$", cell.strip())
            return cell.strip() if has_zone or not self.assume_utc else f"{cell.strip()}Z"
        return _text(cell)

    def _json(self, field: str, cell: Any) -> Any:
        if not isinstance(cell, str):
            return cell
        try:
            return orjson.loads(cell)
        except orjson.JSONDecodeError as error:
            raise self._problem(field, f"is not JSON: {error}") from error

    def _number(self, field: str, cell: Any, kind: Callable[[Any], float]) -> Any:
        try:
            number = float(cell)
            if kind is int and number != int(number):
                raise ValueError
            return kind(number)
        except (TypeError, ValueError, OverflowError):
            raise self._problem(field, "is not a number" if kind is float else "is not a whole number") from None

    def _thumbs(self, cell: Any) -> bool:
        said = str(cell).strip().lower()
        if said not in (*UP, *DOWN):
            raise self._problem("thumbs", "says neither up nor down")
        return said in UP

    def _stars(self, cell: Any) -> Any:
        stars = self._number("stars", cell, int)
        if stars not in range(1, 6):
            raise self._problem("stars", "is not from 1 to 5")
        return stars

    def _problem(self, field: str, what: str) -> RowInvalid:
        return RowInvalid(f"The cell in {printable(self.columns[field])} {what}.", param=f"/{field}")

    def in_words(self, all_columns: Sequence[str]) -> list[str]:
        """Return the mapping as lines for a person."""
        notes = {"input": "messages" if self.has_messages else "texts, each one user message"}
        lines = [
            f"{field} ← {printable(column)}" + (f" ({notes[field]})" if field in notes else "")
            for field, column in self.columns.items()
        ]
        if self.answer_is_last:
            lines.append("output ← the last of the messages")
        left = [column for column in all_columns if column not in self.columns.values()]
        return [*lines, f"not stored: {_listed(left)}"] if left else lines


def mapping_of(
    columns: Sequence[str], sample: Sequence[TableRow], said: MappingType[str, str], *, assume_utc: bool = False
) -> Mapping:
    """Return which column is which: as said, else guessed.

    said: column by field; an empty column leaves the field out.
    Raises MappingUnclear for fields and columns that do not exist, and when nothing can be the input or the output.
    """
    for field, column in said.items():
        if field not in NAMES:
            raise MappingUnclear(f"There is no field {field}. Fields are {', '.join(NAMES)}.")
        if column and column not in columns:
            raise MappingUnclear(f"There is no column {column}. Columns are {_listed(columns)}.")
    chosen = {field: column for field, column in said.items() if column}
    rows = [row.cells for row in sample if row.problem is None]
    for field, names in NAMES.items():
        if field not in said:
            guess = _guess(names, [column for column in columns if column not in chosen.values()])
            if guess is not None and _fits(field, [cells[guess] for cells in rows]):
                chosen[field] = guess
    if "input" not in chosen:
        raise MappingUnclear(
            f"No column looks like the input. Name it: --map input=COLUMN. Columns: {_listed(columns)}."
        )
    has_messages = _are_messages([cells[chosen["input"]] for cells in rows])
    if "output" not in chosen and not has_messages:
        raise MappingUnclear(
            f"No column looks like the output. Name it: --map output=COLUMN. Columns: {_listed(columns)}."
        )
    ordered = {field: chosen[field] for field in NAMES if field in chosen}
    return Mapping(ordered, has_messages, "output" not in chosen, assume_utc)


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(printable, columns))


def _guess(names: Sequence[str], columns: Sequence[str]) -> str | None:
    spelled = {re.sub(r"\W+", "_", column.strip().lower()): column for column in reversed(columns)}
    return next((spelled[name] for name in names if name in spelled), None)


def _fits(field: str, cells: Sequence[Any]) -> bool:
    """Whether the first cells can be this field; names alone mislead: a `feedback` may be words, a `rating` of ten."""
    told = [cell for cell in cells if not _is_empty(cell)]
    if field == "thumbs":
        return all(str(cell).strip().lower() in (*UP, *DOWN) for cell in told)
    if field == "stars":
        return all(str(cell).strip() in {"1", "2", "3", "4", "5", "1.0", "2.0", "3.0", "4.0", "5.0"} for cell in told)
    if field in JSON_FIELDS:
        return all(not isinstance(cell, str) or cell.lstrip()[:1] in ("[", "{") for cell in told)
    if field in ("client_id", "conversation_id", "end_user", "model"):
        return all(isinstance(cell, str | int) for cell in told)
    return True


def _are_messages(cells: Sequence[Any]) -> bool:
    told = [cell for cell in cells if not _is_empty(cell)]
    return bool(told) and all(map(_is_list_of_messages, told))


def _is_list_of_messages(cell: Any) -> bool:
    if isinstance(cell, str):
        if cell.lstrip()[:1] not in ("[", "{"):
            return False
        try:
            cell = orjson.loads(cell)
        except orjson.JSONDecodeError:
            return False
    messages = cell.get("messages") if isinstance(cell, dict) else cell
    return isinstance(messages, list) and all(isinstance(one, dict) and "role" in one for one in messages)


def _answer(cell: Any) -> Any:
    """A text is what the assistant said; a message, or a list of one, is kept whole."""
    if isinstance(cell, str) and _is_list_of_messages(f"[{cell}]" if cell.lstrip().startswith("{") else cell):
        cell = orjson.loads(cell)
    if isinstance(cell, list) and len(cell) == 1:
        cell = cell[0]
    return _without_nulls(cell) if isinstance(cell, dict | list) else {"role": "assistant", "content": _text(cell)}


def _without_nulls(value: Any) -> Any:
    """Leave out empty keys: Arrow gives every object of a column the keys of all."""
    if isinstance(value, dict):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    if isinstance(value, list):
        return [_without_nulls(below) for below in value]
    return value


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else orjson.dumps(cell).decode()


def _is_empty(cell: Any) -> bool:
    return cell is None or cell == ""
