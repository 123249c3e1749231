"""Turning the pages of a version: which rows match a filter, and what comes before and after."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hitl.datasets.models import DatasetVersion
from hitl.datasets.storage import Storage
from hitl.datasets.versions import ensure_frozen


@dataclass(frozen=True)
class Matches:
    """The positions of the rows that match, in their order."""

    positions: Sequence[int]

    @property
    def count(self) -> int:
        """How many rows match."""
        return len(self.positions)

    def rank(self, position: int) -> int:
        """Return how many matching rows come before this position."""
        return bisect_left(self.positions, position)

    def before(self, position: int, rows: int = 1) -> int | None:
        """Return the position so many matching rows before; the first one if there are fewer; None at the start."""
        rank = self.rank(position)
        return self.positions[max(rank - rows, 0)] if rank else None

    def after(self, position: int) -> int | None:
        """Return the next matching position; None at the end."""
        rank = self.rank(position + 1)
        return self.positions[rank] if rank < self.count else None


def matches(storage: Storage, version: DatasetVersion, split: str | None, origin: str | None) -> Matches:
    """Return which rows are of this split and origin. Reads two narrow columns, and none when there is no filter."""
    ensure_frozen(version)
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows = pq.ParquetFile(file)
        wanted = {name: value for name, value in (("split", split), ("origin", origin)) if value is not None}
        if not wanted:
            return Matches(range(rows.metadata.num_rows))
        return Matches(_positions(rows.read(columns=list(wanted)), wanted))


def ids_at(storage: Storage, version: DatasetVersion, positions: Sequence[int]) -> dict[int, str]:
    """Return the ids of the rows at these positions."""
    found: dict[int, str] = {}
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows = pq.ParquetFile(file)
        start = 0
        for group in range(rows.num_row_groups):
            end = start + rows.metadata.row_group(group).num_rows
            inside = [position for position in positions if start <= position < end]
            if inside:
                ids = rows.read_row_group(group, columns=["id"]).column("id")
                found.update((position, ids[position - start].as_py()) for position in inside)
            start = end
    return found


def _positions(columns: pa.Table, wanted: dict[str, str]) -> Sequence[int]:
    mask = None
    for name, value in wanted.items():
        hit = pc.equal(columns.column(name), value)
        mask = hit if mask is None else pc.and_(mask, hit)
    positions: Sequence[int] = pc.indices_nonzero(mask).to_pylist()
    return positions
