"""Preference pairs and demonstrations for verl."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from exporters.errors import RowRefused
from exporters.exporter import Exporter
from exporters.files import ParquetRows
from exporters.rows import Demonstration, PreferencePair, Row
from exporters.text_only import text_answer, text_prompt
from exporters.training import ensure_different

MESSAGE = pa.struct([pa.field("role", pa.string(), nullable=False), pa.field("content", pa.string(), nullable=False)])

SCHEMAS = {
    "preference": pa.schema([pa.field(name, pa.string()) for name in ("id", "prompt", "chosen", "rejected")]),
    "demonstration": pa.schema([pa.field("id", pa.string()), pa.field("messages", pa.list_(MESSAGE))]),
}


class Verl(Exporter[PreferencePair | Demonstration]):
    """Parquet: conversations for MultiTurnSFTDataset, plain texts for RMDataset.

    {"id": "…", "messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    {"id": "…", "prompt": "…", "chosen": "…", "rejected": "…"}
    https://verl.readthedocs.io/en/latest/preparation/prepare_data.html
    https://github.com/volcengine/verl/tree/main/verl/utils/dataset

    RMDataset joins the texts as they are, without a chat template: a conversation of several turns, or one with a
    system message, is no such text and is refused. So are rows with tools, which Parquet would merge across rows.
    """

    name = "verl"
    kind = frozenset({"preference", "demonstration"})
    suffix = "parquet"

    def row(self, example: PreferencePair | Demonstration) -> Row:
        prompt = text_prompt(example.prompt, example.tools)
        if isinstance(example, Demonstration):
            return {"id": example.id, "messages": [*prompt, text_answer(example.completion, "completion")]}
        chosen, rejected = text_answer(example.chosen, "chosen"), text_answer(example.rejected, "rejected")
        ensure_different(chosen, rejected)
        if len(prompt) > 1:
            raise RowRefused("the prompt is more than one user's message", "several_turns")
        texts = {"prompt": prompt[0], "chosen": chosen, "rejected": rejected}
        return {"id": example.id, **{column: message["content"] for column, message in texts.items()}}

    def open(self, path: Path, kind: str) -> ParquetRows:
        return ParquetRows(path, SCHEMAS[kind])
