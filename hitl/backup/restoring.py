"""Restoring a backup into an empty installation, on either kind of database: all of it, or nothing."""

from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, func, insert, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hitl.backup.archive import FORMAT, PIECE_BYTES, Manifest, Reader
from hitl.backup.errors import (
    BackupDamaged,
    BackupOfOtherSecret,
    BackupOfOtherVersion,
    DatabaseNotEmpty,
    RowUnfit,
    StorageNotEmpty,
)
from hitl.backup.rows import batches_of, kept_tables
from hitl.core import feeds, schema, secrets
from hitl.core.database import Database
from hitl.core.instance import Instance
from hitl.datasets.storage import Storage


def restore(instance: Instance, file: Path, *, with_new_secret: bool = False) -> Manifest:
    """Put a backup into an installation whose database and storage are empty; return what the backup says of itself.

    A database without any tables gets them. with_new_secret: the old one is lost, and with it what hangs on it.
    Raises BackupDamaged, BackupOfOtherVersion, BackupOfOtherSecret, DatabaseNotEmpty, StorageNotEmpty, RowUnfit,
    StorageTrouble; then neither a row nor a file is left.
    """
    with Reader(file) as reader:
        _ensure_fits(reader, instance, with_new_secret)
        reader.ensure_whole()
        storage = Storage(instance.settings.storage_url)
        if storage.names():
            raise StorageNotEmpty(f"{storage.url} holds files. A backup is restored into an empty storage only.")
        _ensure_tables(instance.database)
        written: list[str] = []
        try:
            with instance.database.writing() as db:
                _ensure_empty(db)
                _write_rows(db, reader)
                _write_fingerprint(db, instance)
                feeds.continue_above(db, reader.manifest.last_feed_number)
                _write_files(storage, reader, written)
        except BaseException:
            for name in written:
                storage.files.delete_file(name)
            raise
    return reader.manifest


def _ensure_fits(reader: Reader, instance: Instance, with_new_secret: bool) -> None:
    manifest = reader.manifest
    newest = schema.newest_revision()
    if manifest.format != FORMAT or manifest.schema_revision != newest:
        raise BackupOfOtherVersion(
            f"This backup was made by hitl {manifest.version} with schema {manifest.schema_revision}; "
            f"this program has schema {newest}. Restore it with its own version, then run `hitl db upgrade`."
        )
    if manifest.secret_fingerprint != instance.keys.fingerprint and not with_new_secret:
        raise BackupOfOtherSecret(_IT_DIFFERS + (_IT_IS_HERE if reader.secret else _IT_MAY_BE_LOST))


_IT_DIFFERS = "This backup comes from an installation with another HITL_SECRET: set that one. "
_IT_IS_HERE = "The backup holds it: `unzip -p FILE secret` prints it."
_IT_MAY_BE_LOST = (
    "If it is lost, --new-secret goes on with this one: everybody signs in again; end users and reviewers get new "
    "pseudonyms, so what they say from now on is not joined with what they said before; rules draw other responses; "
    "drafts of comparisons are lost. Passwords and API keys go on."
)


def _ensure_tables(database: Database) -> None:
    """Make the tables where there are none at all. Raises SchemaOutOfDate when there are others than ours."""
    with database.engine.connect().execution_options(readonly=True) as connection:
        is_bare = not inspect(connection).get_table_names()
    if is_bare:
        schema.upgrade(database)
    schema.ensure_current(database)


def _ensure_empty(db: Session) -> None:
    for table in kept_tables():
        # The instance's one row is written by the first command that looks at a new database.
        if table is not secrets.Instance.__table__ and db.scalar(select(func.count()).select_from(table)):
            raise DatabaseNotEmpty(
                f"The table {table.name} holds rows. A backup is restored into an empty database only: make a new one."
            )


def _write_rows(db: Session, reader: Reader) -> None:
    for table in kept_tables():
        name = f"tables/{table.name}.jsonl"
        if table is secrets.Instance.__table__:
            continue
        count = 0
        with reader.open(name) as lines:
            for batch in batches_of(table, lines):
                _insert(db, table, batch)
                count += len(batch)
        if count != reader.manifest.rows.get(table.name):
            raise BackupDamaged(f"{name} has not as many rows as the manifest says. Nothing was restored.")


def _insert(db: Session, table: Table, batch: list[dict[str, Any]]) -> None:
    try:
        db.execute(insert(table), batch)
    except (DBAPIError, ValueError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        first = {column.name: str(batch[0][column.name]) for column in table.primary_key.columns}
        raise RowUnfit(
            f"This database cannot hold a row of {table.name}, one of {len(batch)} from {first} on: {reason}. "
            "Nothing was restored."
        ) from error


def _write_fingerprint(db: Session, instance: Instance) -> None:
    db.execute(delete(secrets.Instance))
    db.add(secrets.Instance(id=1, secret_fingerprint=instance.keys.fingerprint))
    db.flush()


def _write_files(storage: Storage, reader: Reader, written: list[str]) -> None:
    for name in reader.names("files"):
        with reader.open(f"files/{name}") as source, storage.writing(name) as stream:
            written.append(name)
            while piece := source.read(PIECE_BYTES):
                stream.write(piece)
