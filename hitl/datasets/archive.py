"""A version in a trainer's format as one file to carry away."""

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from exporters.exporter import Exported
from hitl.datasets.errors import StorageTrouble
from hitl.datasets.export import export_version
from hitl.datasets.models import DatasetVersion
from hitl.datasets.storage import Storage


@dataclass(frozen=True)
class Archive:
    """A .zip file, open for reading. Its folder is gone already: closing the file gives the disk back."""

    name: str
    file: BinaryIO
    bytes: int
    exported: Exported


def open_archive(
    storage: Storage,
    version: DatasetVersion,
    format: str,
    report: Callable[[float], None] | None = None,
    licence: str = "",
) -> Archive:
    """Export a version into a .zip with one folder. Whoever takes it closes it, however far they come with reading.

    report: told now and then which share of the rows is written.
    Raises ExportRefused, StorageTrouble, VersionNotFrozen.
    """
    stem = f"{version.dataset.name}-{version.number}-{format}"
    with tempfile.TemporaryDirectory(prefix="hitl-export-", ignore_cleanup_errors=True) as work:
        folder = Path(work) / stem
        exported = export_version(storage, version, format, folder, report=report, licence=licence)
        archive = _zipped(folder)
        return Archive(archive.name, archive.open("rb"), archive.stat().st_size, exported)


def _zipped(folder: Path) -> Path:
    archive = folder.with_name(f"{folder.name}.zip")
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    zipped.write(file, file.relative_to(folder.parent))
    except OSError as error:
        raise StorageTrouble(f"The server's disk refused to write the export: {error.strerror or error}.") from error
    return archive
