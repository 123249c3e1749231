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
    """Return what writes tables of this schema into an open file."""
    return pq.ParquetWriter(file, schema, compression="zstd", compression_level=1)
