"""One attempt at the files of a version: where they go, and what both passes over its rows share."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from hitl.datasets.figures import Figures
from hitl.datasets.plan import Plan
from hitl.datasets.splits import Groups
from hitl.datasets.storage import Storage

# Columns with few different values; looking for them in all others, such as texts, would cost much and find none.
_REPEATING = frozenset(
    {"split", "tools", "origin", "agreement", "margin", "reason", "reviewers", "rubric_version_ids", "rule_version_ids"}
    | {"inclusion_probability"}
)
# Columns by which rows are found later: a reader skips the groups that cannot hold them.
_LOOKED_UP = frozenset({"id", "row_id", "input_hash", "split", "origin", "response_id"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A folder of its own, of which nobody knows until the version names it; and what the first pass counts."""

    storage: Storage
    folder: str
    plan: Plan
    figures: Figures = field(default_factory=Figures)
    groups: Groups = field(default_factory=Groups)

    def name(self, file: str) -> str:
        """Return the name in the storage of one of its files."""
        return f"{self.folder}/{file}"

    @property
    def scratch(self) -> str:
        """The name of the file that the first pass leaves to the second."""
        return self.name("scratch.parquet")


def folder_of(version_id: UUID) -> str:
    """Return the folder in the storage that holds all attempts at a version."""
    return f"datasets/{version_id}"


def parquet(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Return what writes tables of this schema into an open file, for good."""
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[path for path in map(_path, schema) if path.partition(".")[0] in _REPEATING],
        write_statistics=[name for name in schema.names if name in _LOOKED_UP],
    )


def scratch_parquet(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """The same for a file that is read once and removed: fast before small."""
    return pq.ParquetWriter(file, schema, compression="lz4", use_dictionary=False, write_statistics=False)


def _path(field: pa.Field) -> str:
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)
