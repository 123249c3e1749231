"""Making a backup while the service runs: all tables as they are at one moment, and the files they name."""

from collections.abc import Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.backup.archive import PIECE_BYTES, SECRET, Manifest, Writer
from hitl.backup.rows import kept_tables, lines_of
from hitl.core import clock, feeds, schema
from hitl.core.instance import Instance
from hitl.datasets.models import DatasetVersion, VersionExport
from hitl.datasets.storage import Storage


def back_up(instance: Instance, target: Path, secret: str | None = None) -> tuple[Path, Manifest]:
    """Write a backup of an installation and return its file and what it says of itself.

    target: a file that is not there yet, or a folder, in which it is named after the time.
    secret: put into it, for whoever can keep the file as safe as the secret.
    Raises BackupExists, BackupFailed; StorageTrouble when a file of the storage cannot be read.
    """
    now = clock.now()
    file = target / f"hitl-{now:%Y%m%dT%H%M%SZ}.zip" if target.is_dir() else target
    storage = Storage(instance.settings.storage_url)
    with instance.database.snapshot() as db, Writer(file) as writer:
        rows = {table.name: _write_table(writer, db, table) for table in kept_tables()}
        # A frozen version's files never change, so they may be read after the rows that name them.
        missing = list(_write_files(writer, db, storage))
        if secret is not None:
            with writer.member(SECRET) as stream:
                stream.write(secret.encode())
        manifest = Manifest(
            version=version_of("hitl"),
            schema_revision=schema.newest_revision() or "",
            database="sqlite" if instance.database.is_sqlite else "postgresql",
            made_at=now.isoformat(),
            secret_fingerprint=instance.keys.fingerprint,
            # Numbers may be given out since the snapshot; a higher one does no harm.
            last_feed_number=feeds.last_given(db),
            rows=rows,
            missing_files=missing,
            members=writer.members,
        )
        writer.seal(manifest)
    return file, manifest


def named_places(db: Session) -> list[str]:
    """Return the folders and files of the storage that the database names."""
    versions = select(DatasetVersion.location).where(DatasetVersion.location.is_not(None))
    exports = select(VersionExport.location).where(VersionExport.location.is_not(None))
    return sorted({*db.scalars(versions), *db.scalars(exports)})


def _write_table(writer: Writer, db: Session, table: Any) -> int:
    count = 0
    with writer.member(f"tables/{table.name}.jsonl") as stream:
        for line in lines_of(db, table):
            stream.write(line)
            count += 1
    return count


def _write_files(writer: Writer, db: Session, storage: Storage) -> Iterator[str]:
    """Write the files that the database names, and yield the places where there is nothing."""
    written: set[str] = set()
    for place in named_places(db):
        names = storage.names(place)
        if not names:
            yield place
        for name in names:
            if name in written:  # an export lies in its version's folder
                continue
            written.add(name)
            with storage.reading(name) as source, writer.member(f"files/{name}", is_packed=True) as stream:
                while piece := source.read(PIECE_BYTES):
                    stream.write(piece)
