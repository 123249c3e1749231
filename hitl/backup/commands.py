"""`hitl backup | restore`: everything of an installation in one file, and back."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from hitl.backup.archive import Reader
from hitl.backup.making import back_up
from hitl.backup.restoring import restore
from hitl.core.instance import open_instance, open_ready_instance
from hitl.core.secrets import secret_file, secret_in_use
from hitl.core.settings import Settings


@click.command()
@click.argument("target", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option("--with-secret", is_flag=True, help="Put the secret into it, too: then guard the file like the secret.")
def backup(target: Path, with_secret: bool) -> None:
    """Write all tables, as they are at one moment, and the files of datasets into one ZIP file.

    The service may go on meanwhile. It can be restored on SQLite and on PostgreSQL, wherever it was made.
    """
    instance = open_ready_instance()
    secret = secret_in_use(instance.settings) if with_secret else None
    file, manifest = back_up(instance, target, secret)
    files = [name for name in manifest.members if name.startswith("files/")]
    click.echo(f"{file}: {sum(manifest.rows.values())} rows, {len(files)} files.")
    for place in manifest.missing_files:
        click.echo(f"Not in the storage, and so not in the backup: {place}", err=True)
    if secret is None:
        click.echo("The secret is not in it. Keep HITL_SECRET, or the file beside the SQLite database, elsewhere.")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--new-secret", is_flag=True, help="The secret of the backup is lost: go on with this one.")
def restore_backup(file: Path, new_secret: bool) -> None:
    """Put a backup into an empty database and an empty storage: all of it, or nothing."""
    settings = Settings()
    with _secret_from_backup(file, settings):
        instance = open_instance(settings)
        manifest = restore(instance, file, with_new_secret=new_secret)
    click.echo(f"{sum(manifest.rows.values())} rows restored, as they were at {manifest.made_at}.")
    if manifest.secret_fingerprint != instance.keys.fingerprint:
        click.echo("With the new secret, everybody signs in again, and end users have new pseudonyms from now on.")
    for place in manifest.missing_files:
        click.echo(f"Was missing when the backup was made: {place}", err=True)


@contextmanager
def _secret_from_backup(file: Path, settings: Settings) -> Iterator[None]:
    """Lay the secret of a backup beside a new SQLite database that has none yet; take it away if all fails."""
    kept = secret_file(settings)
    with Reader(file) as reader:
        secret = reader.secret
    if settings.secret is not None or kept is None or kept.exists() or secret is None:
        yield
        return
    descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secret)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            kept.unlink()
        raise
