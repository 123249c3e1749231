"""Many rows at a time, their JSON never parsed: the short way for what most rows are, conversations of plain text.

A row is plain when patterns say that each of its texts is spelled just as orjson spells it, and holds nothing that a
format rewrites or refuses. Such a row is written as its texts between fixed ones, or as the columns it lies in. All
other rows go the long way, by `Exporter.row`. Both write the same, which a property test holds them to.

Patterns are RE2's, matched by Arrow: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from exporters.rows import SPLITS, Demonstration, Example, PreferencePair, Row, Verdict

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

# At the edges of an answer, all that str.strip() takes away, and some more.
BLANK = r"(?:[\x20\x7f-\x9f\pZ]|\\[bfnrt]|\\u00[01][0-9a-f])"
BLANK_EDGES = (rf'\A\{{"role":"assistant","content":"{BLANK}*', rf'{BLANK}*"\}}\z')

BARE = r"\A[ !#-\[\]-~]*\z"  # ASCII that stands for itself between quotation marks
ANSWERS = ("chosen", "rejected", "completion")

# Between two messages of a plain prompt, and nowhere else: within a text the quotation marks have a backslash.
BETWEEN = '"},{"role":"'
MARK = "\x01"  # which no JSON text holds as it is

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
            pc.is_in(batch.column("split"), pa.array(SPLITS)),
            pc.is_null(batch.column("tools")),
            matches(batch, "id", BARE),
            matches(batch, "origin", BARE),
            matches(batch, "prompt", self.prompt),
            *(matches(batch, name, self.answer) for name in ANSWERS if name in batch.schema.names),
            *(is_number(batch, name) for name in ("agreement", "margin") if name in batch.schema.names),
        ]
        if "chosen" in batch.schema.names and not self.may_be_equal:
            checks.append(differ_for_sure(batch))
        return pc.fill_null(reduce(pc.and_, checks), False)


@dataclass(frozen=True, slots=True)
class Line:
    """How a format of JSON lines spells a plain row: names of columns in <>, between fixed text.

    made: columns that the format makes of a batch's own, by name.
    """

    spelling: str
    plain: Plain = Plain()
    made: Mapping[str, Callable[[pa.RecordBatch], pa.Array]] = field(default_factory=dict)

    def of(self, batch: pa.RecordBatch) -> pa.LargeStringArray:
        """Return the lines of plain rows."""
        fixed_and_named = re.split("<([a-z_]+)>", self.spelling + "\n")
        parts: list[Any] = [*fixed_and_named]
        parts[1::2] = [self.column(batch, name) for name in fixed_and_named[1::2]]
        return joined(*parts)

    def column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        return self.made[name](batch) if name in self.made else as_text(batch.column(name))


def matches(batch: pa.RecordBatch, name: str, pattern: str) -> pa.BooleanArray:
    return pc.match_substring_regex(batch.column(name), pattern)


def differ_for_sure(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Say whether the two answers differ in more than the white space around them; where in doubt, no."""
    chosen, rejected = (without_blank_edges(batch.column(side)) for side in ("chosen", "rejected"))
    return pc.not_equal(chosen, rejected)


def without_blank_edges(answers: pa.Array) -> pa.Array:
    """Answers cut at both ends so that those that say the same are equal. Of some, more is cut than white space."""
    return reduce(lambda texts, edge: pc.replace_substring_regex(texts, edge, ""), BLANK_EDGES, answers)


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
    inner = pc.utf8_slice_codeunits(prompts, 1, -1)
    lists = pc.split_pattern(pc.replace_substring(inner, BETWEEN, BETWEEN.replace(",", MARK)), MARK)
    return as_lists(lists.offsets, lists.values, kind)


def conversations(prompts: pa.Array, answers: pa.Array) -> pa.LargeStringArray:
    """Plain prompts, each with its answer as the last message."""
    return joined(pc.utf8_slice_codeunits(prompts, 0, -1), ",", answers, "]")


def conversation(batch: pa.RecordBatch) -> pa.LargeStringArray:
    """The prompts of plain demonstrations, each with its answer."""
    return conversations(batch.column("prompt"), batch.column("completion"))


def with_member(texts: pa.Array, member: str, role: str = "[a-z]+") -> pa.Array:
    """Plain messages, or lists of them, in which those of a role have one member more, such as `"weight":0`."""
    message_but_end = rf'(\{{"role":"{role}","content":"(?:[^"\\]|\\.)*")\}}'
    return pc.replace_substring_regex(texts, message_but_end, rf"\1,{member}}}")


def lone_messages(answers: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Each answer as a list of one message."""
    return as_lists(range(len(answers) + 1), answers, kind)


def as_lists(offsets: Any, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.cast(kind.value_type), type=kind)


def joined(*parts: str | pa.Array) -> pa.LargeStringArray:
    """Columns of text and fixed texts, one after the other."""
    large = [pa.scalar(part, LARGE) if isinstance(part, str) else part.cast(LARGE) for part in parts]
    return pc.binary_join_element_wise(*large, pa.scalar("", LARGE))


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
