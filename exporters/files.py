"""Writing rows to a file, hashed on the way, one row in memory at a time (or a small batch, for Parquet)."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from exporters.batches import as_lines, lines_buffer
from exporters.rows import Row


class HashedFile:
    """A new file, open for writing, that knows the SHA-256 and the length of what was written to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._sha256.update(data)
        self.bytes += memoryview(data).nbytes
        return memoryview(data).nbytes

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.bytes

    def close(self) -> None:
        """Close once the disk has it all: a full disk may show only here."""
        if self._file.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Let go of a file that is about to be deleted, whether or not the disk takes the rest."""
        with suppress(OSError):
            self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class RowFile(ABC):
    """Where one split's rows go: one file, or several."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, row: Row) -> None:
        self.put(row)
        self.rows += 1

    @abstractmethod
    def put(self, row: Row) -> None: ...

    def add_batch(self, made: Any, rows: list[Row], order: pa.Array) -> None:
        """Add rows that are spelled already, as the format made them, and others.

        order: the places of both, one after the other, in the order in which they come to lie.
        """
        self.put_batch(made, rows, order)
        self.rows += len(order)

    def put_batch(self, made: Any, rows: list[Row], order: pa.Array) -> None:
        """What `add_batch` asks of the files of formats that have a short way; no other is asked."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Write what is not yet written, and close once the disk has it all."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of files that are about to be deleted."""

    @abstractmethod
    def files(self) -> list[OneFile]:
        """The files as they lie there, once they are closed."""


class OneFile(RowFile):
    """One split's rows in one file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.file = HashedFile(path)

    def close(self) -> None:
        self.file.close()

    def abandon(self) -> None:
        self.file.abandon()

    def files(self) -> list[OneFile]:
        return [self]


class JsonLines(OneFile):
    """One JSON object a line, UTF-8, keys in the order the exporter gave them. https://jsonlines.org"""

    BUFFERED = 2**18  # bytes that wait until they are worth a write

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waiting = bytearray()

    def put(self, row: Row) -> None:
        self.waiting += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if len(self.waiting) > self.BUFFERED:
            self.write_waiting()

    def put_batch(self, made: pa.LargeStringArray, rows: list[Row], order: pa.Array) -> None:
        self.write_waiting()
        lines = pa.concat_arrays([made, as_lines(rows)]).take(order) if rows else made
        self.file.write(lines_buffer(lines))

    def write_waiting(self) -> None:
        self.file.write(self.waiting)
        self.waiting = bytearray()

    def close(self) -> None:
        self.write_waiting()
        super().close()


class ParquetRows(OneFile):
    """Parquet, zstd. Rows are gathered until a batch is worth a row group, by number or by size."""

    BATCH_ROWS = 10_000
    BATCH_CHARACTERS = 16 * 2**20  # so that long conversations do not pile up in memory

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path)
        self.schema = schema
        self.batch: list[Row] = []
        self.characters = 0
        self.tables: list[pa.Table] = []
        self.writer = pq.ParquetWriter(self.file, schema, compression="zstd", compression_level=1)

    def put(self, row: Row) -> None:
        self.batch.append(row)
        self.characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(self.batch) == self.BATCH_ROWS or self.characters > self.BATCH_CHARACTERS:
            self.write_batch()

    def put_batch(self, made: pa.Table, rows: list[Row], order: pa.Array) -> None:
        self.tables.append(pa.concat_tables([made, self.table(rows)]).take(order) if rows else made)
        if (
            sum(table.num_rows for table in self.tables) >= self.BATCH_ROWS
            or sum(table.nbytes for table in self.tables) > self.BATCH_CHARACTERS
        ):
            self.write_batch()

    def write_batch(self) -> None:
        if self.batch:
            self.tables.append(self.table(self.batch))
        if self.tables:
            self.writer.write_table(pa.concat_tables(self.tables).combine_chunks())
        self.batch, self.characters, self.tables = [], 0, []

    def table(self, rows: list[Row]) -> pa.Table:
        return pa.Table.from_pylist(rows, schema=self.schema)

    def close(self) -> None:
        self.write_batch()
        self.writer.close()
        super().close()

    def abandon(self) -> None:
        self.writer.is_open = False  # else it would write the footer to a closed file when it is collected
        super().abandon()
