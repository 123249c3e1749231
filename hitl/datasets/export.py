"""Exports: a version's rows, streamed from Parquet into a trainer's files."""

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from exporters.errors import ExportError, ExportFailed
from exporters.exporter import Exported
from exporters.registry import EXPORTERS, exporter
from exporters.rows import Demonstration, Example, PreferencePair, Verdict
from hitl.datasets.errors import ExportRefused, StorageTrouble
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import SPLITS
from hitl.datasets.storage import Storage
from hitl.datasets.versions import ensure_frozen

READ_ROWS = 1_000


def export_version(
    storage: Storage, version: DatasetVersion, format: str, out: Path, splits: Collection[str] = SPLITS
) -> Exported:
    """Write a version in a format into a folder that is empty or not there; all of it, or nothing.

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
        return exporter(format).write(_examples(storage, version, splits), out, source)
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


def _examples(storage: Storage, version: DatasetVersion, splits: Collection[str]) -> Iterator[Example]:
    examples: dict[str, Callable[[dict[str, Any]], Example]]
    examples = {"preference": _pair, "demonstration": _demonstration, "verdict": _verdict}
    example = examples[version.dataset.kind]
    with storage.reading(f"{version.location}/rows.parquet") as file:
        for batch in pq.ParquetFile(file).iter_batches(READ_ROWS):
            for row in batch.to_pylist():
                if row["split"] in splits:
                    yield example(row)


def _pair(row: dict[str, Any]) -> PreferencePair:
    return PreferencePair(
        prompt=orjson.loads(row["prompt"]),
        chosen=orjson.loads(row["chosen"]),
        rejected=orjson.loads(row["rejected"]),
        tools=_tools(row),
        split=row["split"],
        id=row["id"],
        origin=row["origin"],
        agreement=row["agreement"],
        margin=row["margin"],
    )


def _demonstration(row: dict[str, Any]) -> Demonstration:
    return Demonstration(
        prompt=orjson.loads(row["prompt"]),
        completion=orjson.loads(row["completion"]),
        tools=_tools(row),
        split=row["split"],
        id=row["id"],
        origin=row["origin"],
    )


def _verdict(row: dict[str, Any]) -> Verdict:
    return Verdict(
        prompt=orjson.loads(row["prompt"]),
        completion=orjson.loads(row["completion"]),
        is_good=row["is_good"],
        tools=_tools(row),
        split=row["split"],
        id=row["id"],
        origin=row["origin"],
        agreement=row["agreement"],
    )


def _tools(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    return None if row["tools"] is None else orjson.loads(row["tools"])
