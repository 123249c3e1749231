"""One split in as many Parquet files as it needs, named as the Hugging Face Hub wants them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from exporters.files import OneFile, ParquetRows, RowFile
from exporters.folder import sync_folder
from exporters.rows import Row


class ParquetShards(RowFile):
    """Parquet files train-00000-of-00003.parquet and so on, each of at most some 500 MB.

    How many there are is known at the end, so they get their names there.
    """

    SHARD_BYTES = 500_000_000  # as `datasets` makes them

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """path: where they will lie, with a `*` in place of the numbers."""
        super().__init__()
        self.path = path
        self.schema = schema
        self.shards: list[JsonParquetRows] = []

    def put(self, row: Row) -> None:
        self.shard().add(row)

    def put_batch(self, made: pa.Table, rows: list[Row], order: pa.Array) -> None:
        self.shard().add_batch(made, rows, order)

    def shard(self) -> JsonParquetRows:
        if not self.shards or self.shards[-1].file.bytes >= self.SHARD_BYTES:
            self.open_next()
        return self.shards[-1]

    def open_next(self) -> None:
        if self.shards:
            self.shards[-1].close()
        self.shards.append(JsonParquetRows(self.named(f"{len(self.shards):05d}"), self.schema))

    def close(self) -> None:
        self.shards[-1].close()
        for number, shard in enumerate(self.shards):
            shard.path = shard.path.rename(self.named(f"{number:05d}-of-{len(self.shards):05d}"))
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        for shard in self.shards:
            shard.abandon()

    def files(self) -> list[OneFile]:
        return list(self.shards)

    def named(self, numbers: str) -> Path:
        return self.path.with_name(self.path.name.replace("*", numbers))


class JsonParquetRows(ParquetRows):
    """Parquet with columns of Arrow's JSON type, which Arrow makes from text only by a cast."""

    def table(self, rows: list[Row]) -> pa.Table:
        texts = pa.schema([(field.name, as_storage(field.type)) for field in self.schema])
        return pa.Table.from_pylist(rows, schema=texts).cast(self.schema)


def as_storage(kind: pa.DataType) -> pa.DataType:
    """The type that holds the same values as text."""
    if isinstance(kind, pa.ListType):
        return pa.list_(as_storage(kind.value_type))
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
