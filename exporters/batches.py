"""Many rows at a time, their JSON never parsed: the short way for what most rows are, conversations of plain text.

A row is plain when patterns say that each of its texts is spelled just as orjson spells it, and holds nothing that a
format rewrites or refuses. Such a row is written as its texts between fixed ones, or as the columns it lies in. All
other rows go the long way, by `Exporter.row`. Both write the same, which a property test holds them to.

Patterns are RE2's, matched by Arrow: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from exporters.rows import Demonstration, Example, PreferencePair, Row, Verdict

LARGE = pa.large_string()  # for a batch of long conversations may have more than 2 GB of text

# One character of a JSON text as orjson writes it; no NUL, which no format takes.
UNIT = r'(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u00(?:0[1-7be-f]|1[0-9a-f]))'
# One that str.strip() would leave.
INK = r'(?:[^"\\\x00-\x20\x7f-\x9f\pZ]|\\["\\])'


def message(role: str, content: str) -> str:
    return rf'\{{"role":"{role}","content":"{content}"\}}'


def prompt(*, first: str, then: str, last: str) -> str:
    return rf"\A\[(?:{first},)?(?:{then},)*{last}\]\z"


ANY_MESSAGE = message("(?:system|developer|user|assistant)", f"{UNIT}*")

# What `jsonl` and `parquet` write as it is.
ANY_PROMPT = prompt(first=ANY_MESSAGE, then=ANY_MESSAGE, last=ANY_MESSAGE)
ANY_ANSWER = rf"\A{ANY_MESSAGE}\z"

# What trainers learn from: see exporters/training.py.
SYSTEM = message("system", f"{UNIT}*")
LAST = message("user", f"{UNIT}*{INK}{UNIT}*")
TRAINING_PROMPT = prompt(first=SYSTEM, then=message("(?:user|assistant)", f"{UNIT}*"), last=LAST)
TRAINING_ANSWER = rf"\A{message('assistant', f'{UNIT}*{INK}{UNIT}*')}\z"
TRIMMED_ANSWER = rf"\A{message('assistant', f'{INK}(?:{UNIT}*{INK})?')}\z"

BARE = r"\A[ !#-\[\]-~]*\z"  # ASCII that stands for itself between quotation marks
SPLITS = pa.array(["train", "validation", "test"])
ANSWERS = ("chosen", "rejected", "completion")

MESSAGE = re.compile(r'\{"role":"[a-z]+","content":"(?:[^"\\]+|\\.)*+"\}')

KINDS: dict[str, type[Example]] = {one.kind: one for one in (PreferencePair, Demonstration, Verdict)}
JSON_COLUMNS = frozenset({"prompt", *ANSWERS, "tools"})


@dataclass(frozen=True, slots=True)
class Plain:
    """Which rows of a format are plain, by what their texts look like."""

    prompt: str = TRAINING_PROMPT
    answer: str = TRAINING_ANSWER
    may_be_equal: bool = False  # the two answers of a pair

    def rows(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Say of each row whether it is plain."""
        checks = [
            pc.is_in(batch.column("split"), SPLITS),
            pc.is_null(batch.column("tools")),
            matches(batch, "id", BARE),
            matches(batch, "origin", BARE),
            matches(batch, "prompt", self.prompt),
            *(matches(batch, name, self.answer) for name in ANSWERS if name in batch.schema.names),
            *(is_number(batch, name) for name in ("agreement", "margin") if name in batch.schema.names),
        ]
        found = pc.fill_null(reduce(pc.and_, checks), False)
        if "chosen" in batch.schema.names and not self.may_be_equal:
            return pc.and_(found, differ(batch, found))
        return found


@dataclass(frozen=True, slots=True)
class Line:
    """How a format of JSON lines spells a plain row: the columns' names in <>, between fixed text."""

    spelling: str
    plain: Plain = Plain()

    def of(self, batch: pa.RecordBatch) -> pa.LargeStringArray:
        """Return the lines of plain rows."""
        fixed_and_named = re.split("<([a-z_]+)>", self.spelling + "\n")
        parts: list[Any] = [pa.scalar(part, LARGE) for part in fixed_and_named]
        parts[1::2] = [as_text(batch.column(name)).cast(LARGE) for name in fixed_and_named[1::2]]
        return pc.binary_join_element_wise(*parts, pa.scalar("", LARGE))


def matches(batch: pa.RecordBatch, name: str, pattern: str) -> pa.BooleanArray:
    return pc.match_substring_regex(batch.column(name), pattern)


def differ(batch: pa.RecordBatch, is_plain: pa.BooleanArray) -> pa.BooleanArray:
    """Say whether the two answers of plain rows differ in more than the white space around them."""
    found = pc.not_equal(batch.column("chosen"), batch.column("rejected"))
    are_trimmed = pc.and_(matches(batch, "chosen", TRIMMED_ANSWER), matches(batch, "rejected", TRIMMED_ANSWER))
    is_open = pc.and_(is_plain, pc.and_not(found, are_trimmed))
    if not is_open.true_count:
        return found
    asked = batch.filter(is_open)
    sides = zip(asked.column("chosen").to_pylist(), asked.column("rejected").to_pylist(), strict=True)
    looked_at = [orjson.loads(a)["content"].strip() != orjson.loads(b)["content"].strip() for a, b in sides]
    return pc.replace_with_mask(found, is_open, pa.array(looked_at, pa.bool_()))


def is_number(batch: pa.RecordBatch, name: str) -> pa.BooleanArray:
    column = batch.column(name)
    is_absent = pc.is_null(column) if name == "margin" else False  # a row without agreement is for `row` to look at
    return pc.or_(pc.fill_null(pc.is_finite(column), False), is_absent)


def as_text(column: pa.Array) -> pa.Array:
    """A column's values as JSON spells them; what is text already stays as it is."""
    if pa.types.is_string(column.type):
        return column
    different = column.dictionary_encode()  # there are few different figures, and many rows
    texts = [orjson.dumps(value).decode() for value in different.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(different.indices).fill_null("null")


def messages_of(prompts: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Plain prompts as lists of the JSON texts of their messages."""
    offsets, texts = [0], []
    for text in prompts.to_pylist():
        texts += MESSAGE.findall(text)
        offsets.append(len(texts))
    return as_lists(offsets, pa.array(texts, pa.string()), kind)


def lone_messages(answers: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Each answer as a list of one message."""
    return as_lists(range(len(answers) + 1), answers, kind)


def as_lists(offsets: Iterable[int], values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.cast(kind.value_type), type=kind)


def columns_of(kind: str) -> list[str]:
    """The columns of a batch of this kind: the fields of its examples, messages and tools as JSON text."""
    return [field.name for field in fields(KINDS[kind])]


def examples_of(batch: pa.RecordBatch, kind: str) -> Iterator[Example]:
    """The rows of a batch one by one, read column by column: a dictionary each would cost as much as all the rest."""
    make = KINDS[kind]
    columns = [values(batch, name) for name in columns_of(kind)]
    return (make(*row) for row in zip(*columns, strict=True))


def values(batch: pa.RecordBatch, name: str) -> list[Any]:
    found: list[Any] = batch.column(name).to_pylist()
    return [text if text is None else orjson.loads(text) for text in found] if name in JSON_COLUMNS else found


def lines_buffer(lines: pa.LargeStringArray) -> pa.Buffer:
    """The bytes of lines, one after the other."""
    offsets = memoryview(lines.buffers()[1]).cast("q")
    start, end = offsets[lines.offset], offsets[lines.offset + len(lines)]
    return lines.buffers()[2].slice(start, end - start)


def as_lines(rows: list[Row]) -> pa.LargeStringArray:
    return pa.array([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode() for row in rows], LARGE)
