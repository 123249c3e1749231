"""A folder as the Hugging Face Hub has them: Parquet in shards, and a dataset card that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from exporters.batches import Plain, lone_messages, messages_of
from exporters.exporter import Exported, Exporter, Made
from exporters.files import RowFile
from exporters.hub_card import hub_card
from exporters.plain import ensure_plain
from exporters.rows import Demonstration, Example, PreferencePair, Row
from exporters.shards import ParquetShards
from exporters.shuffled import shuffled
from exporters.trl.preference import TrlPreference
from exporters.trl.prompt_completion import TrlPromptCompletion
from exporters.trl.unpaired_preference import TrlUnpairedPreference

MESSAGE_LISTS = frozenset({"prompt", "chosen", "rejected", "completion"})

# Arrow's type for JSON text: `datasets` 4.7 and later read messages from it, older readers the text of each message.
MESSAGES = pa.list_(pa.json_())

PROVENANCE = [("tools", pa.string()), ("origin", pa.string())]

SCHEMAS = {
    "preference": pa.schema(
        [
            ("id", pa.string()),
            ("prompt", MESSAGES),
            ("chosen", MESSAGES),
            ("rejected", MESSAGES),
            *PROVENANCE,
            ("agreement", pa.float64()),
            ("score_margin", pa.float64()),
        ]
    ),
    "demonstration": pa.schema([("id", pa.string()), ("prompt", MESSAGES), ("completion", MESSAGES), *PROVENANCE]),
    "verdict": pa.schema(
        [
            ("id", pa.string()),
            ("prompt", MESSAGES),
            ("completion", MESSAGES),
            ("label", pa.bool_()),
            *PROVENANCE,
            ("agreement", pa.float64()),
        ]
    ),
}


class Huggingface(Exporter[Example]):
    """TRL's rows with what we know of their origin, as data/train-00000-of-00001.parquet, to be put on the Hub.

    {"id": "…", "prompt": [{"role": "user", "content": "…"}], "chosen": [{"role": "assistant", "content": "…"}],
     "rejected": […], "tools": null, "origin": "correction", "agreement": 1.0, "score_margin": 2.0}
    {"id": "…", "prompt": […], "completion": […], "tools": null, "origin": "approval"}
    {"id": "…", "prompt": […], "completion": […], "label": true, "tools": null, "origin": "reviewer", "agreement": 1.0}
    https://huggingface.co/docs/hub/datasets-cards https://huggingface.co/docs/hub/datasets-file-names-and-splits

    The distance on the scale is `score_margin` and not `margin`, which TRL's RewardTrainer puts into its loss unasked.
    """

    name = "huggingface"
    kind = frozenset({"preference", "demonstration", "verdict"})
    suffix = "parquet"

    def row(self, example: Example) -> Row:
        row = trl_row(example)
        ensure_plain(row)  # before it becomes text, where nobody would look into it any more
        row = {column: as_texts(value) if column in MESSAGE_LISTS else value for column, value in row.items()}
        row |= {"tools": row.get("tools"), "origin": example.origin}
        if not isinstance(example, Demonstration):
            row["agreement"] = example.agreement
        if isinstance(example, PreferencePair):
            row["score_margin"] = example.margin
        return row

    def made(self, batch: pa.RecordBatch, kind: str) -> Made | None:
        if kind == "verdict":  # which are shuffled row by row
            return None
        is_plain = Plain().rows(batch)
        plain = batch.filter(is_plain)
        schema = SCHEMAS[kind]
        return Made(is_plain, pa.table([_column(plain, name) for name in schema.names], schema=schema))

    def file_name(self, split: str) -> str:
        return f"data/{split}-*.parquet"

    def open(self, path: Path, kind: str) -> RowFile:
        shards = ParquetShards(path, SCHEMAS[kind])
        return shuffled(shards, path) if kind == "verdict" else shards

    def card(self, exported: Exported, source: Mapping[str, Any]) -> str:
        return hub_card(exported, source, SCHEMAS[exported.kind])


def _column(plain: pa.RecordBatch, name: str) -> pa.Array:
    if name == "prompt":
        return messages_of(plain.column(name), MESSAGES)
    if name in MESSAGE_LISTS:
        return lone_messages(plain.column(name), MESSAGES)
    return plain.column("margin" if name == "score_margin" else name)


def trl_row(example: Example) -> Row:
    if isinstance(example, PreferencePair):
        return TrlPreference().row(example)
    if isinstance(example, Demonstration):
        return TrlPromptCompletion().row(example)
    return TrlUnpairedPreference().row(example)


def as_texts(messages: list[dict[str, Any]]) -> list[str]:
    return [orjson.dumps(message).decode() for message in messages]
