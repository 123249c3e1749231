"""The second pass of a freeze: from the scratch file to the files that stay, each row in its split."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitl.core.canonical import canonical_json
from hitl.datasets.attempt import Attempt, parquet
from hitl.datasets.rows import LINEAGE_SCHEMA, ROWS_PER_GROUP, hash_of_all, row_schema
from hitl.datasets.selection import SPLITS, Split


@dataclass(frozen=True, slots=True)
class FrozenFiles:
    """What the files of a version hold, once they are written."""

    folder: str
    content_hash: str
    lineage_hash: str
    files: dict[str, int]  # name → rows
    statistics: dict[str, Any]
    tested: list[str]  # input hashes in the test split


def write_files(attempt: Attempt, seed: str, held_out: frozenset[str]) -> FrozenFiles:
    """Give each row its split, and write rows and lineage. Columns at a time: no row is parsed again.

    held_out: input hashes that were in test in an earlier version, and stay there.
    """
    plan = attempt.plan
    splits = attempt.groups.splits(seed, plan.selection.shares, held_out)
    counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
    content: list[bytes] = []
    lineage: list[bytes] = []
    with (
        attempt.storage.reading(attempt.scratch) as scratch,
        attempt.storage.writing(attempt.name("rows.parquet")) as rows_file,
        attempt.storage.writing(attempt.name("lineage.parquet")) as lineage_file,
        parquet(rows_file, row_schema(plan.kind)) as rows,
        parquet(lineage_file, LINEAGE_SCHEMA) as origins,
    ):
        for batch in pq.ParquetFile(scratch).iter_batches(ROWS_PER_GROUP):
            split_of_row: list[Split] = [splits[input_hash] for input_hash in batch.column("input_hash").to_pylist()]
            for split in split_of_row:
                counts[split] += 1
            table = pa.Table.from_batches([batch])
            rows.write_table(table.append_column("split", pa.array(split_of_row)).select(rows.schema.names))
            origin = table.rename_columns({"id": "row_id"}).select(LINEAGE_SCHEMA.names)
            origins.write_table(origin)
            hashes = {split: table.column(f"hash_{split}").to_pylist() for split in SPLITS}
            content.extend(hashes[split][index] for index, split in enumerate(split_of_row))
            lineage.extend(_digest_of(row) for row in origin.to_pylist())
    attempt.storage.files.delete_file(attempt.scratch)
    statistics = {
        **attempt.figures.as_json(),
        "rows_per_split": counts,
        "groups": attempt.groups.count,
        "large_groups": [asdict(group) for group in attempt.groups.large_groups(splits)],
    }
    left_out = attempt.figures.left_out.total()
    return FrozenFiles(
        attempt.folder,
        hash_of_all(content),
        hash_of_all(lineage),
        {"rows.parquet": len(content), "lineage.parquet": len(lineage), "left_out.parquet": left_out},
        statistics,
        [input_hash for input_hash, split in splits.items() if split == "test"],
    )


def _digest_of(row: dict[str, Any]) -> bytes:
    return hashlib.sha256(canonical_json(row)).digest()
