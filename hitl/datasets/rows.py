"""How rows and their lineage lie in Parquet, and the hashes that name them.

A row's training content is what a trainer learns from: {"prompt", "chosen", "rejected", "tools"}, {"prompt",
"completion", "tools"} or {"prompt", "completion", "is_good", "tools"}. Its id is the SHA-256 of that content's
canonical JSON (RFC 8785), so a row keeps its id from version to version. A version's content hash is the SHA-256 over
the sorted hashes, one hexadecimal line each, of every row's canonical JSON of training content and split.

Messages lie in Parquet as JSON text: Arrow structs would merge the keys of all tool arguments across rows.
"""

import hashlib
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hitl.core.canonical import canonical_json
from hitl.datasets.selection import SPLITS
from hitl.datasets.sides import Side

ROWS_PER_GROUP = 2_000
DIGEST_BYTES = 32
_HASHED_AT_ONCE = 16_384  # digests
_SPLIT_MEMBERS = [b',"split":"%b","tools":' % split.encode() for split in SPLITS]

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())

SIDES_OF_KIND = {
    "preference": ("chosen", "rejected"),
    "demonstration": ("completion",),
    "verdict": ("completion",),
}

LEFT_OUT_SCHEMA = pa.schema([("reason", _TEXT), ("response_id", _TEXT), ("evidence_ids", _TEXTS)])


def lineage_schema(kind: str) -> pa.Schema:
    """Return the columns that say where a version's rows are from."""
    columns = [
        ("row_id", _TEXT),
        ("response_id", _TEXT),  # whose input it is
        ("response_ids", _TEXTS),  # all that were judged for it
        ("evidence_ids", _TEXTS),  # or, in a dataset of demonstrations or verdicts, their ids
        ("revision_ids", _TEXTS),
        ("intervention_ids", _TEXTS),  # in live conversations
        ("reviewers", _TEXTS),  # pseudonyms, of those who intervened too
        ("rubric_version_ids", _TEXTS),
        ("selection_ids", _TEXTS),
        ("rule_version_ids", _TEXTS),
        ("inclusion_probability", pa.float64()),  # of the response; none when it was picked by hand
    ]
    return pa.schema([*columns, ("feedback_ids", _TEXTS)] if kind == "verdict" else columns)


def row_schema(kind: str) -> pa.Schema:
    """Return the columns of a version's rows."""
    return pa.schema(
        [
            ("id", _TEXT),
            ("split", _TEXT),
            ("prompt", _TEXT),
            *((side, _TEXT) for side in SIDES_OF_KIND[kind]),
            *([("is_good", pa.bool_())] if kind == "verdict" else []),
            ("tools", _TEXT),  # none: no tools
            ("origin", _TEXT),
            ("agreement", pa.float64()),
            ("margin", pa.float64()),
            ("input_hash", _TEXT),
        ]
    )


def gathered_schema(kind: str) -> pa.Schema:
    """Return the columns that are gathered row by row: what the others follow from."""
    row = [field for field in row_schema(kind) if field.name != "split"]
    lineage = [field for field in lineage_schema(kind) if field.name not in ("row_id", "response_id")]
    hashes = ("hashes", pa.binary(len(SPLITS) * DIGEST_BYTES))  # the row's hash in each split
    return pa.schema([*row, hashes, ("ties", pa.list_(pa.binary(16))), *lineage])


def scratch_schema(kind: str) -> pa.Schema:
    """Return the columns of the first pass: the row without its split, its hashes, its ties, and its lineage."""
    return pa.schema([*gathered_schema(kind), ("response_id", _TEXT), ("lineage_hash", pa.binary(DIGEST_BYTES))])


class Content(NamedTuple):
    """A row's training content and the hashes that follow from it."""

    columns: dict[str, Any]  # as they lie in Parquet, texts as UTF-8
    id: str
    hashes: bytes  # of the row in each split, in the order of SPLITS

    @classmethod
    def of(
        cls, prompt: list[Any], tools: list[Any] | None, sides: dict[str, Side], is_good: bool | None = None
    ) -> "Content":
        """Return the content of a row. Keys keep the order of their capture: templates render tools in it."""
        columns: dict[str, Any] = {"prompt": orjson.dumps(prompt), "tools": orjson.dumps(tools) if tools else None}
        spelled = {"prompt": canonical_json(prompt)}
        for name, side in sides.items():
            columns[name] = orjson.dumps(side.message)
            spelled[name] = side.spelled
        if is_good is not None:
            columns["is_good"] = is_good
            spelled["is_good"] = b"true" if is_good else b"false"
        members = b",".join([b'"%b":%b' % (name.encode(), spelled[name]) for name in sorted(spelled)])
        return cls(columns, *id_and_hashes(b"{" + members, canonical_json(tools) if tools else b"null"))


def id_and_hashes(members: bytes, tools: bytes = b"null") -> tuple[str, bytes]:
    """Return a row's id and its hash in each split.

    members: the canonical JSON of its content up to "split" and "tools". Of all names only "tools" comes after "split",
        so that what differs between the four objects is at the end.
    """
    common = hashlib.sha256(members)
    in_splits = b""
    for split in _SPLIT_MEMBERS:
        whole = common.copy()
        whole.update(split + tools + b"}")
        in_splits += whole.digest()
    common.update(b',"tools":' + tools + b"}")
    return common.hexdigest(), in_splits


def table_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Return rows, given as values in the order of the columns, as an Arrow table."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.Table.from_arrays(
        [array_of(field, values) for field, values in zip(schema, columns, strict=True)], schema=schema
    )


def array_of(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    """Return the values of a column as an Arrow array."""
    if not pa.types.is_list(field.type):
        return pa.array(values, field.type)
    # Whole at a time, for Arrow's own way looks into each list twice.
    offsets = pa.array(list(accumulate(map(len, values), initial=0)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(list(chain.from_iterable(values)), field.type.value_type))


def hash_of_all(digests: bytes | bytearray) -> str:
    """Return the SHA-256 over the sorted hashes, one hexadecimal line each: `sort hashes | sha256sum`.

    digests: of DIGEST_BYTES each, one after the other. Sorted by number, for a million as Python values are large.
    """
    count = len(digests) // DIGEST_BYTES
    given = pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST_BYTES), count, [None, pa.py_buffer(digests)])
    order = pc.sort_indices(given)
    whole = hashlib.sha256()
    for start in range(0, count, _HASHED_AT_ONCE):
        part = given.take(order.slice(start, _HASHED_AT_ONCE))
        whole.update(raw_bytes(part).hex("\n", DIGEST_BYTES).encode() + b"\n")
    return whole.hexdigest()


def raw_bytes(array: pa.FixedSizeBinaryArray) -> memoryview:
    """Return the values of a fixed-size array without nulls, one after the other."""
    width = array.type.byte_width
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
