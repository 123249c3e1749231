"""Where rows are from, in columns: ids spelled alike on both databases, and the hash of each row's lineage.

A row's lineage hash is the SHA-256 of its lineage's canonical JSON.
"""

import hashlib
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hitl.core.canonical import canonical_json
from hitl.datasets.rows import DIGEST_BYTES, LEFT_OUT_SCHEMA, lineage_schema, scratch_schema

_ID_COLUMNS = frozenset(
    name
    for name in (*lineage_schema("verdict").names, *LEFT_OUT_SCHEMA.names)
    if name.endswith(("_id", "_ids")) and name != "row_id"
)
_DASHED_LENGTH = 36
_PLACES_OF_DASHES = (0, 8, 12, 16, 20, None)
_LARGE = pa.large_string()


def with_lineage(gathered: pa.Table, kind: str) -> pa.Table:
    """Return gathered rows as the first pass leaves them: with their lineage whole, and its hash."""
    spelled = with_dashes(gathered)
    response_ids = spelled.column("response_ids").combine_chunks()
    first = response_ids.values.take(response_ids.offsets[:-1])  # a row is made of at least one response
    spelled = spelled.append_column("response_id", first)
    lineage = spelled.rename_columns({"id": "row_id"}).select(lineage_schema(kind).names)
    return spelled.append_column("lineage_hash", _hashes(lineage)).select(scratch_schema(kind).names)


def with_dashes(table: pa.Table) -> pa.Table:
    """Return a table whose ids are spelled as Python's UUID spells them: SQLite keeps the 32 digits alone."""
    for place, field in enumerate(table.schema):
        if field.name in _ID_COLUMNS:
            column = table.column(place).combine_chunks()
            if pa.types.is_list(field.type):
                spelled = pa.ListArray.from_arrays(column.offsets, _dashed(column.values))
            else:
                spelled = _dashed(column)
            table = table.set_column(place, field, spelled)
    return table


def _dashed(ids: pa.StringArray) -> pa.StringArray:
    if len(ids) == 0 or len(ids[0].as_py()) == _DASHED_LENGTH:
        return ids
    parts = [pc.utf8_slice_codeunits(ids, start, stop) for start, stop in pairwise(_PLACES_OF_DASHES)]
    return pc.binary_join_element_wise(*parts, "-")


def _hashes(lineage: pa.Table) -> pa.Array:
    """Return the hash of each row. Ids and pseudonyms are ASCII that needs no escape."""
    parts: list[Any] = []
    for name in sorted(lineage.schema.names):
        parts += [f'{"," if parts else "{"}"{name}":', _spelled(lineage.column(name).combine_chunks())]
    joined = [pa.scalar(part, _LARGE) if isinstance(part, str) else part.cast(_LARGE) for part in [*parts, "}"]]
    texts = pc.binary_join_element_wise(*joined, pa.scalar("", _LARGE))
    offsets, data = memoryview(texts.buffers()[1]).cast("q"), memoryview(texts.buffers()[2])
    digests = [hashlib.sha256(data[start:end]).digest() for start, end in pairwise(offsets[: len(texts) + 1])]
    return pa.array(digests, pa.binary(DIGEST_BYTES))


def _spelled(column: pa.Array) -> pa.Array:
    """Return a column's values as canonical JSON."""
    if pa.types.is_list(column.type):
        joined = pc.binary_join_element_wise('["', pc.binary_join(column, '","'), '"]', "")
        return pc.if_else(pc.equal(pc.list_value_length(column), 0), "[]", joined)
    if pa.types.is_string(column.type):
        return pc.binary_join_element_wise('"', column, '"', "")
    different = column.dictionary_encode()  # there are few different rates, and many rows
    numbers = [canonical_json(value).decode() for value in different.dictionary.to_pylist()]
    return pa.array(numbers, pa.string()).take(different.indices).fill_null("null")
