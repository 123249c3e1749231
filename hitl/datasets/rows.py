"""How rows and their lineage lie in Parquet, and the hashes that name them.

A row's training content is what a trainer learns from: {"prompt", "chosen", "rejected", "tools"} or {"prompt",
"completion", "tools"}. Its id is the SHA-256 of that content's canonical JSON (RFC 8785), so a row keeps its id from
version to version. A version's content hash is the SHA-256 over the sorted hashes, one hexadecimal line each, of every
row's canonical JSON of training content and split.

Messages lie in Parquet as JSON text: Arrow structs would merge the keys of all tool arguments across rows.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from hitl.core.canonical import canonical_json
from hitl.datasets.selection import SPLITS, Split
from hitl.datasets.sides import Side

ROWS_PER_GROUP = 2_000

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())

SIDES_OF_KIND = {"preference": ("chosen", "rejected"), "demonstration": ("completion",)}

LINEAGE_SCHEMA = pa.schema(
    [
        ("row_id", _TEXT),
        ("response_id", _TEXT),  # whose input it is
        ("response_ids", _TEXTS),  # all that were judged for it
        ("evidence_ids", _TEXTS),  # or, in a dataset of demonstrations, their ids
        ("revision_ids", _TEXTS),
        ("reviewers", _TEXTS),  # pseudonyms
        ("rubric_version_ids", _TEXTS),
        ("selection_ids", _TEXTS),
        ("rule_version_ids", _TEXTS),
        ("inclusion_probability", pa.float64()),  # of the response; none when it was picked by hand
    ]
)

LEFT_OUT_SCHEMA = pa.schema([("reason", _TEXT), ("response_id", _TEXT), ("evidence_ids", _TEXTS)])


def row_schema(kind: str) -> pa.Schema:
    """Return the columns of a version's rows."""
    return pa.schema(
        [
            ("id", _TEXT),
            ("split", _TEXT),
            ("prompt", _TEXT),
            *((side, _TEXT) for side in SIDES_OF_KIND[kind]),
            ("tools", _TEXT),  # none: no tools
            ("origin", _TEXT),
            ("agreement", pa.float64()),
            ("margin", pa.float64()),
            ("input_hash", _TEXT),
        ]
    )


def scratch_schema(kind: str) -> pa.Schema:
    """Return the columns of the first pass: the row without its split, its hash in each split, and its lineage."""
    hashes = [(f"hash_{split}", pa.binary(32)) for split in SPLITS]
    row = [field for field in row_schema(kind) if field.name != "split"]
    return pa.schema([*row, *hashes, *(field for field in LINEAGE_SCHEMA if field.name != "row_id")])


@dataclass(frozen=True, slots=True)
class Content:
    """A row's training content and the hashes that follow from it."""

    columns: dict[str, str | None]  # as they lie in Parquet
    id: str
    hash_in_split: dict[Split, bytes]

    @classmethod
    def of(cls, prompt: list[Any], tools: list[Any] | None, sides: dict[str, Side]) -> "Content":
        """Return the content of a row. Keys keep the order of their capture: templates render tools in it."""
        asked = {"prompt": prompt, "tools": tools or None}
        values = {**asked, **{name: side.message for name, side in sides.items()}}
        columns = {name: None if value is None else orjson.dumps(value).decode() for name, value in values.items()}
        spelled = {name: canonical_json(value) for name, value in asked.items()}
        spelled.update((name, side.spelled) for name, side in sides.items())
        in_split = {split: _digest({**spelled, "split": f'"{split}"'.encode()}) for split in SPLITS}
        return cls(columns, _digest(spelled).hex(), in_split)


def _digest(spelled: dict[str, bytes]) -> bytes:
    """Return the SHA-256 of the canonical JSON object whose values are already spelled."""
    members = b",".join(b'"%s":%s' % (name.encode(), spelled[name]) for name in sorted(spelled))
    return hashlib.sha256(b"{%s}" % members).digest()


def hash_of_all(digests: Iterable[bytes]) -> str:
    """Return the SHA-256 over the sorted hashes, one hexadecimal line each: `sort hashes | sha256sum`."""
    whole = hashlib.sha256()
    for digest in sorted(digests):
        whole.update(digest.hex().encode() + b"\n")
    return whole.hexdigest()
