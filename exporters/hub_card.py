"""The dataset card of a folder for the Hugging Face Hub: what the rows are, and where they are from.

https://huggingface.co/docs/hub/datasets-cards https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from exporters.exporter import Exported

TAGS = {
    "preference": ["human-feedback", "preference", "dpo"],
    "demonstration": ["human-feedback", "sft"],
    "verdict": ["human-feedback", "kto"],
}

WHAT = {
    "preference": "To each prompt, an answer that people preferred and one that they did not.",
    "demonstration": "To each prompt, an answer that a person wrote or approved.",
    "verdict": "To each prompt, an answer that people found good or bad in itself. The rows are shuffled.",
}

COLUMNS = {
    "id": "SHA-256 of prompt, answers and tools; the same in every version that has the row",
    "prompt": "the conversation up to the answer: messages with role, content, name, tool_calls, tool_call_id",
    "chosen": "the preferred answer, one message",
    "rejected": "the other answer, one message",
    "completion": "the answer, one message",
    "label": "whether the answer was found good",
    "tools": "the tools the model had, as JSON text; null where it had none",
    "origin": "what the row follows from, such as a correction, a ranking or an end user's thumb",
    "agreement": "share of the judgements that agree with the row, 0 to 1",
    "score_margin": "mean distance of the two answers on the scale they were judged on; null where none was measured",
}

TYPES = {"string": "dtype: string", "double": "dtype: float64", "bool": "dtype: bool"}

# https://huggingface.co/docs/hub/datasets-cards#dataset-card-metadata: each below this number of rows
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}

CARD = """\
---
pretty_name: {title}
{licence}size_categories:
- {size}
tags:
{tags}
configs:
- config_name: default
  description: sha256 {files_hash}
  data_files:
{data_files}
dataset_info:
  features:
{features}
  splits:
{splits}
---

# {heading}

{what} Made from people's reviews of a model's responses.

## Columns

| column | meaning |
| --- | --- |
{columns}

## Splits

| split | rows |
| --- | --- |
{counts}

Conversations, end users and inputs that belong together are in one split. A tool call's arguments are objects.
Reasoning that nobody was shown is in no message. Rows left out because the format cannot hold them: {refused};
`manifest.json` names them with the reasons.

## Where it is from

| | |
| --- | --- |
{source}

`manifest.json` has the SHA-256 of every file.
"""


def hub_card(exported: Exported, source: Mapping[str, Any], schema: pa.Schema) -> str:
    """README.md for these files.

    source: may have `dataset`, `version` and `license`, an identifier the Hub knows. Without, no licence is named.
    """
    title = f"{source.get('dataset', 'Dataset')}, version {source.get('version', '?')}"
    known = source.get("license")
    return CARD.format(
        title=json.dumps(title),  # JSON is YAML
        licence=f"license: {json.dumps(known)}\n" if known else "",
        size=size_category(sum(exported.counts.values())),
        tags="\n".join(f"- {tag}" for tag in TAGS[exported.kind]),
        files_hash=exported.files_hash,
        data_files="\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in exported.counts),
        features="\n".join(f"  - name: {field.name}\n    {feature(field.type)}" for field in schema),
        splits="\n".join(
            f"  - name: {split}\n    num_examples: {rows}\n    num_bytes: {bytes_of(exported, split)}"
            for split, rows in exported.counts.items()
        ),
        heading=in_table(title),
        what=WHAT[exported.kind],
        columns="\n".join(f"| `{field.name}` | {COLUMNS[field.name]} |" for field in schema),
        counts="\n".join(f"| {split} | {rows} |" for split, rows in exported.counts.items()),
        refused=exported.refused_count,
        source="\n".join(f"| {in_table(name)} | {in_table(value)} |" for name, value in source.items()),
    )


def feature(kind: pa.DataType) -> str:
    """A column's type, as `datasets` writes it in YAML."""
    return "list: json" if isinstance(kind, pa.ListType) else TYPES[str(kind)]


def bytes_of(exported: Exported, split: str) -> int:
    return sum(file.bytes for file in exported.files if file.split == split)


def size_category(rows: int) -> str:
    return next((size for limit, size in SIZES.items() if rows < limit), "10M<n<100M")


def in_table(value: Any) -> str:
    """Words of others, so that they stay within a table's cell and mean nothing to Markdown or HTML."""
    plain = " ".join(str(value).split())
    return "".join(f"&#{ord(sign)};" if sign in MARKUP else sign for sign in plain)


MARKUP = frozenset("\\`*_{}[]<>()#+!|&~")
