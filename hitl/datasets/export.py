"""Exports: a version's rows, streamed from Parquet into a trainer's files."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from exporters.errors import ExportError, ExportFailed
from exporters.exporter import Exported
from exporters.registry import EXPORTERS, exporter
from exporters.rows import Demonstration, Example, PreferencePair, Verdict
from hitl.datasets.errors import ExportRefused, StorageTrouble
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import SPLITS
from hitl.datasets.storage import Storage
from hitl.datasets.versions import JSON_COLUMNS, ensure_frozen

READ_ROWS = 1_000


def export_version(
    storage: Storage,
    version: DatasetVersion,
    format: str,
    out: Path,
    splits: Collection[str] = SPLITS,
    report: Callable[[float], None] | None = None,
) -> Exported:
    """Write a version in a format into a folder that is empty or not there; all of it, or nothing.

    report: told after some rows which share of them was read.
    Raises ExportRefused, naming the format, the folder or the kind at fault; StorageTrouble when a disk says no;
    VersionNotFrozen.
    """
    ensure_frozen(version)
    source = {
        "dataset": version.dataset.name,
        "version": version.number,
        "content_hash": version.content_hash,
        "lineage_hash": version.lineage_hash,
    }
    try:
        return exporter(format).write(_examples(storage, version, splits, report), out, source)
    except ExportFailed as error:
        raise StorageTrouble(str(error)) from error
    except ExportError as error:
        raise ExportRefused(str(error)) from error


def rehearse_export(storage: Storage, version: DatasetVersion, format: str, rows: int) -> Exported:
    """Say what an export would write and refuse of the first rows, without writing anything.

    Raises ExportRefused, naming the format or the kind at fault; StorageTrouble; VersionNotFrozen.
    """
    ensure_frozen(version)
    try:
        return exporter(format).rehearse(islice(_examples(storage, version, SPLITS), rows))
    except ExportError as error:
        raise ExportRefused(str(error)) from error


def formats_for(kind: str) -> list[str]:
    """Return the names of the formats that take rows of this kind."""
    return [name for name, known in EXPORTERS.items() if kind in known.kind]


# What an example of each kind is made of, in the order of its fields.
COLUMNS: dict[str, tuple[type[Example], tuple[str, ...]]] = {
    one.kind: (one, tuple(field.name for field in fields(one))) for one in (PreferencePair, Demonstration, Verdict)
}


def _examples(
    storage: Storage,
    version: DatasetVersion,
    splits: Collection[str],
    report: Callable[[float], None] | None = None,
) -> Iterator[Example]:
    """Yield a version's rows, read column by column: a row as a dictionary would cost as much as all the rest."""
    make, names = COLUMNS[version.dataset.kind]
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows, done = pq.ParquetFile(file), 0
        for batch in rows.iter_batches(READ_ROWS, columns=list(names)):
            columns = [_values(batch, name) for name in names]
            for split, values in zip(batch.column("split").to_pylist(), zip(*columns, strict=True), strict=True):
                if split in splits:
                    yield make(*values)
            done += batch.num_rows
            if report is not None:
                report(done / rows.metadata.num_rows)


def _values(batch: pa.RecordBatch, name: str) -> Iterable[Any]:
    values: list[Any] = batch.column(name).to_pylist()
    if name not in JSON_COLUMNS:
        return values
    return [None if text is None else orjson.loads(text) for text in values]
