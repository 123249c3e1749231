"""Parquet with everything we know of a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from exporters.batches import ANY_ANSWER, ANY_PROMPT, Plain
from exporters.exporter import Exporter, Made
from exporters.files import ParquetRows
from exporters.jsonl import Jsonl
from exporters.plain import ensure_plain
from exporters.rows import Example, Row

# Columns that hold JSON text. As Arrow structs, tool arguments would merge across rows: {"room": "hall"} would come
# back as {"room": "hall", "deg": None} because some other row has `deg`.
JSON_TEXT = frozenset({"prompt", "chosen", "rejected", "completion", "tools"})

PREFERENCE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # JSON: a list of messages
        pa.field("chosen", pa.string(), nullable=False),  # JSON: one message
        pa.field("rejected", pa.string(), nullable=False),  # JSON: one message
        pa.field("tools", pa.string()),  # JSON: a list of tools; null where the model had none
        pa.field("origin", pa.string(), nullable=False),
        pa.field("agreement", pa.float64(), nullable=False),  # 0 to 1
        pa.field("margin", pa.float64()),
    ]
)

DEMONSTRATION = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # JSON: a list of messages
        pa.field("completion", pa.string(), nullable=False),  # JSON: one message
        pa.field("tools", pa.string()),  # JSON: a list of tools; null where the model had none
        pa.field("origin", pa.string(), nullable=False),
    ]
)

VERDICT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # JSON: a list of messages
        pa.field("completion", pa.string(), nullable=False),  # JSON: one message
        pa.field("is_good", pa.bool_(), nullable=False),
        pa.field("tools", pa.string()),  # JSON: a list of tools; null where the model had none
        pa.field("origin", pa.string(), nullable=False),
        pa.field("agreement", pa.float64(), nullable=False),  # 0 to 1
    ]
)

SCHEMAS = {"preference": PREFERENCE, "demonstration": DEMONSTRATION, "verdict": VERDICT}


class Parquet(Exporter[Example]):
    """The rows of `jsonl` in columns; messages and tools are JSON text, to be read with any JSON parser.

    id: "…", split: "train", prompt: '[{"role":"user",…}]', chosen: '{"role":"assistant",…}',
    rejected: '{"role":"assistant",…}', tools: null, origin: "correction", agreement: 1.0, margin: 2.0
    https://parquet.apache.org/docs/file-format/
    """

    name = "parquet"
    kind = frozenset({"preference", "demonstration", "verdict"})
    suffix = "parquet"

    def row(self, example: Example) -> Row:
        row = Jsonl().row(example)
        ensure_plain(row)  # before it becomes text, where nobody would look into it any more
        return {column: as_text(value) if column in JSON_TEXT else value for column, value in row.items()}

    def made(self, batch: pa.RecordBatch, kind: str) -> Made:
        is_plain = Plain(ANY_PROMPT, ANY_ANSWER, may_be_equal=True).rows(batch)
        plain = batch.filter(is_plain)
        schema = SCHEMAS[kind]
        return Made(is_plain, pa.table([plain.column(name) for name in schema.names], schema=schema))

    def open(self, path: Path, kind: str) -> ParquetRows:
        return ParquetRows(path, SCHEMAS[kind])


def as_text(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
