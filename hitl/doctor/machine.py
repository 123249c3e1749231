"""What the doctor asks of the machine: settings, secret, disks, file systems."""

import ipaddress
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from hitl.core.errors import AppError
from hitl.core.secrets import load_keys, secret_file
from hitl.core.settings import Settings, sqlite_file
from hitl.datasets.errors import StorageTrouble
from hitl.datasets.storage import Storage, without_credentials
from hitl.doctor.findings import Finding, fine, note, trouble

MOUNTS = Path("/proc/self/mountinfo")  # Linux; elsewhere the file system stays unknown
LEAST_FREE_BYTES = 1_000_000_000
NETWORK_FILE_SYSTEMS = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "ocfs2", "gfs2",
    "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.glusterfs", "fuse.gcsfuse", "fuse.davfs",
    "davfs", "vboxsf", "virtiofs",
)  # fmt: skip


@dataclass(frozen=True)
class Surroundings:
    """What is looked at, and by which measure."""

    settings: Settings
    mounts: Path = MOUNTS
    least_free_bytes: int = LEAST_FREE_BYTES


def look_at_settings(around: Surroundings) -> Iterator[Finding]:
    """Settings that are each right but do not go together."""
    settings = around.settings
    if settings.database_url.startswith("sqlite") and settings.web_processes > 1:
        yield trouble("settings", "SQLite is served by one process.", "Set HITL_WEB_PROCESSES=1, or use PostgreSQL.")
    host = settings.public_url.host or ""
    if not settings.is_https and not _is_local(host):
        yield note(
            "settings",
            f"HITL_PUBLIC_URL is {settings.public_url}: without https, cookies can be read on the way.",
            "Put a proxy that ends TLS in front, and set HITL_PUBLIC_URL to its https address.",
        )
    yield fine("settings", f"Links begin with {settings.public_url}.")


def look_at_secret(around: Surroundings) -> Iterator[Finding]:
    """That there is a secret, long enough and kept from others. Makes none."""
    settings = around.settings
    kept = secret_file(settings)
    if settings.secret is None and kept is not None:
        if not kept.exists():
            yield trouble(
                "secret", f"There is no secret at {kept}.", "Set HITL_SECRET to the one of this installation."
            )
            return
        if stat.S_IMODE(kept.stat().st_mode) & 0o077:
            yield trouble("secret", f"Others on this machine may read {kept}.", f"chmod 600 {kept}")
    try:
        load_keys(settings)
    except AppError as error:
        yield trouble("secret", error.message, "Set HITL_SECRET to the one of this installation.")
        return
    yield fine("secret", "It is there and long enough.")


def look_at_storage(around: Surroundings) -> Iterator[Finding]:
    """That files can be written, read and taken away, and that there is room."""
    url = around.settings.storage_url
    name = f"doctor-{uuid4().hex}/probe"
    remedy = "Check HITL_STORAGE_URL, the rights on its folder and the disk."
    try:
        storage = Storage(url)
        existed = bool(storage.names())
        with storage.writing(name) as stream:
            stream.write(b"probe")
        with storage.reading(name) as file:
            file.read()
        storage.remove_folder(name.partition("/")[0])
    except (OSError, StorageTrouble) as error:
        yield trouble("storage", f"{without_credentials(url)} cannot be used: {error}", remedy)
        return
    yield fine("storage", f"{storage.url} can be written to{'' if existed else ', and is empty'}.")
    if "://" not in url:
        yield _room("storage space", Path(url), around.least_free_bytes)


def look_at_database_file(around: Surroundings) -> Iterator[Finding]:
    """That SQLite's file is there, on a disk of this machine with room."""
    file = sqlite_file(around.settings.database_url)
    if file is None:
        return
    if not file.exists():
        yield trouble(
            "database", f"There is no database at {file}.", "Check HITL_DATABASE_URL, or run `hitl db upgrade`."
        )
        return
    kind = file_system_of(file, around.mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        yield trouble(
            "file system",
            f"{file} lies on {kind}, a network file system, where SQLite's locks do not hold: it can be damaged.",
            "Move it to a disk of this machine, or use PostgreSQL: `hitl backup` and `hitl restore` carry it over.",
        )
    else:
        yield fine("file system", f"{file} lies on {kind or 'an unknown file system'}.")
    yield _room("database space", file.parent, around.least_free_bytes)


def file_system_of(path: Path, mounts: Path) -> str | None:
    """Return the type of the file system that a path lies on; None where the machine does not tell.

    Source: proc(5), /proc/pid/mountinfo.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    here = path.resolve()
    found: tuple[int, str | None] = (-1, None)
    for line in lines:
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4].encode().decode("unicode_escape"))  # a blank is written \040
        if here.is_relative_to(place) and len(place.parts) >= found[0]:
            found = (len(place.parts), after.split()[0])
    return found[1]


def _room(about: str, folder: Path, least: int) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    says = f"{free / 1e9:,.1f} GB are free at {folder.absolute()}."
    return fine(about, says) if free >= least else trouble(about, says, "Make room before the disk is full.")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
