"""Exports: a version's rows, streamed from Parquet into a trainer's files."""

from collections.abc import Callable, Collection, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporters.batches import columns_of, examples_of
from exporters.errors import ExportError, ExportFailed, WrongKind
from exporters.exporter import Exported
from exporters.registry import EXPORTERS, exporter
from exporters.rows import Example
from hitl.datasets.errors import ExportRefused, StorageTrouble
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import SPLITS
from hitl.datasets.storage import Storage
from hitl.datasets.versions import ensure_frozen

READ_ROWS = 2_000


def export_version(
    storage: Storage,
    version: DatasetVersion,
    format: str,
    out: Path,
    splits: Collection[str] = SPLITS,
    report: Callable[[float], None] | None = None,
    licence: str = "",
) -> Exported:
    """Write a version in a format into a folder that is empty or not there; all of it, or nothing.

    licence: under which the rows may be used, as the Hugging Face Hub calls it; "" where nobody said.
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
        **({"license": licence} if licence else {}),
    }
    try:
        batches = _batches(storage, version, splits, report)
        return exporter(format).write_batches(batches, version.dataset.kind, out, source)
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
        return exporter(format).rehearse(islice(_examples(storage, version), rows))
    except ExportError as error:
        raise ExportRefused(str(error)) from error


def ensure_exportable(version: DatasetVersion, format: str) -> None:
    """Raise ExportRefused for a format that is not known, or takes no rows of this kind; VersionNotFrozen."""
    ensure_frozen(version)
    kind = version.dataset.kind
    try:
        wanted = exporter(format).kind
        if kind not in wanted:
            raise WrongKind(format, kind, wanted)
    except ExportError as error:
        raise ExportRefused(str(error)) from error


def formats_for(kind: str) -> list[str]:
    """Return the names of the formats that take rows of this kind."""
    return [name for name, known in EXPORTERS.items() if kind in known.kind]


def _examples(storage: Storage, version: DatasetVersion) -> Iterator[Example]:
    kind = version.dataset.kind
    return chain.from_iterable(examples_of(batch, kind) for batch in _batches(storage, version, SPLITS))


def _batches(
    storage: Storage,
    version: DatasetVersion,
    splits: Collection[str],
    report: Callable[[float], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield a version's rows of these splits in columns."""
    with storage.reading(f"{version.location}/rows.parquet") as file:
        # A reader that buffers ahead keeps all that it has read until it is done, and so the whole file.
        rows, done = pq.ParquetFile(file, pre_buffer=False), 0
        for batch in rows.iter_batches(READ_ROWS, columns=columns_of(version.dataset.kind)):
            yield batch.filter(pc.is_in(batch.column("split"), pa.array(splits, pa.string())))
            done += batch.num_rows
            if report is not None:
                report(done / rows.metadata.num_rows)
