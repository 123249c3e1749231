"""The second pass of a freeze: from the scratch file to the files that stay, each row in its split."""

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitl.datasets.attempt import Attempt, parquet
from hitl.datasets.behind import written_behind
from hitl.datasets.rows import DIGEST_BYTES, ROWS_PER_GROUP, hash_of_all, lineage_schema, raw_bytes, row_schema
from hitl.datasets.selection import SPLITS, Split


@dataclass(frozen=True, slots=True)
class FrozenFiles:
    """What the files of a version hold, once they are written."""

    folder: str
    content_hash: str
    lineage_hash: str
    files: dict[str, int]  # name → rows
    statistics: dict[str, Any]
    tested: list[str]  # input hashes in the test split, in their order; at the edge of a batch, one may come twice
    tested_ties: set[bytes]  # digests of what ties rows to those in the test split


def write_files(attempt: Attempt, seed: str) -> FrozenFiles:
    """Give each row its split, and write rows and lineage. Columns at a time: no row is parsed again."""
    plan = attempt.plan
    splits = attempt.groups.splits(seed, plan.selection.shares)
    counts: Counter[Split] = Counter(dict.fromkeys(SPLITS, 0))
    content = bytearray()
    tested: list[str] = []
    tested_ties: set[bytes] = set()
    with (
        attempt.storage.reading(attempt.scratch) as scratch,
        attempt.storage.writing(attempt.name("rows.parquet")) as rows_file,
        attempt.storage.writing(attempt.name("lineage.parquet")) as lineage_file,
        parquet(rows_file, row_schema(plan.kind)) as rows,
        parquet(lineage_file, lineage_schema(plan.kind)) as origins,
        written_behind(rows) as write_rows,
        written_behind(origins) as write_origins,
    ):
        lineage_hash = hash_of_all(_lineage_hashes(scratch))
        for batch in _opened(scratch).iter_batches(ROWS_PER_GROUP):
            inputs = batch.column("input_hash").to_pylist()
            split_of_row = [splits.of(input_hash) for input_hash in inputs]
            counts.update(split_of_row)
            table = pa.Table.from_batches([batch])
            write_rows(table.append_column("split", pa.array(split_of_row)).select(rows.schema.names))
            write_origins(table.rename_columns({"id": "row_id"}).select(origins.schema.names))
            content += _hashes(batch, split_of_row)
            is_tested = [split == "test" for split in split_of_row]
            tested += dict.fromkeys(compress(inputs, is_tested))
            tested_ties.update(*batch.column("ties").filter(pa.array(is_tested)).to_pylist())
    attempt.storage.files.delete_file(attempt.scratch)
    statistics = {
        **attempt.figures.as_json(),
        "rows_per_split": dict(counts),
        "groups": attempt.groups.count,
        "large_groups": [asdict(group) for group in splits.large_groups],
    }
    left_out = attempt.figures.left_out.total()
    return FrozenFiles(
        attempt.folder,
        hash_of_all(content),
        lineage_hash,
        {"rows.parquet": counts.total(), "lineage.parquet": counts.total(), "left_out.parquet": left_out},
        statistics,
        tested,
        tested_ties,
    )


def _opened(scratch: Any) -> pq.ParquetFile:
    # A reader that buffers ahead keeps all that it has read until it is done: of a million rows, more than a gigabyte.
    return pq.ParquetFile(scratch, pre_buffer=False)


def _hashes(batch: pa.RecordBatch, split_of_row: list[Split]) -> bytes:
    """Return the hash of each row in the split that it got, one after the other."""
    hashes, width = raw_bytes(batch.column("hashes")), len(SPLITS) * DIGEST_BYTES
    places = [index * width + SPLITS.index(split) * DIGEST_BYTES for index, split in enumerate(split_of_row)]
    return b"".join([hashes[place : place + DIGEST_BYTES] for place in places])


def _lineage_hashes(scratch: Any) -> bytearray:
    """Return the lineage hash of each row, one after the other."""
    found = bytearray()
    for batch in _opened(scratch).iter_batches(columns=["lineage_hash"]):
        found += raw_bytes(batch.column(0))
    return found
