"""The file of a backup: a ZIP that any tool opens.

    manifest.json         what is in it: versions, counts, and the SHA-256 of every other file
    tables/<name>.jsonl   one JSON object a row, columns by name, in the order of the primary key
    files/<name>          the files of dataset versions, by their names in the storage
    secret                only if it was asked for

Written in one pass and read member by member, so neither needs memory for more than a row.
"""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hitl.backup.errors import BackupDamaged, BackupExists, BackupFailed

FORMAT = 1
MANIFEST = "manifest.json"
SECRET = "secret"  # noqa: S105  the name of a member
PIECE_BYTES = 1 << 20


class Member(BaseModel):
    """One file of the archive."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What a backup says of itself."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    version: str  # of this product
    schema_revision: str
    database: str  # the kind it was made from
    made_at: str
    secret_fingerprint: str
    last_feed_number: int
    rows: dict[str, int]  # by table
    missing_files: list[str]  # that the database names and the storage lacked
    members: dict[str, Member]


class Writer:
    """A new archive; it has its name only once it is whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.members: dict[str, Member] = {}

    def __enter__(self) -> "Writer":
        if self.file.exists():
            raise BackupExists(f"{self.file} is there already. A backup never overwrites a file.")
        try:
            # Mode 0600: it holds what people wrote, and password hashes.
            self._raw = tempfile.NamedTemporaryFile(dir=self.file.parent, prefix=f".{self.file.name}.", delete=False)
        except OSError as error:
            raise BackupFailed(f"{self.file.parent} cannot be written to: {error.strerror}.") from error
        self._zip = zipfile.ZipFile(self._raw, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            else:
                with suppress(OSError, ValueError):
                    self._zip.close()
        except OSError as full:
            raise BackupFailed(f"{self.file} could not be written: {full.strerror}.") from full
        finally:
            self._raw.close()
            Path(self._raw.name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BackupFailed(f"{self.file} could not be written: {error.strerror}.") from error

    @contextmanager
    def member(self, name: str, *, is_packed: bool = False) -> "Iterator[HashingWriter]":
        """Write one member. is_packed: its bytes are compressed already."""
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as stream:
            hashing = HashingWriter(stream)
            yield hashing
        self.members[name] = Member(sha256=hashing.digest.hexdigest(), bytes=hashing.bytes)

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest, as the last member."""
        self._zip.writestr(MANIFEST, manifest.model_dump_json(indent=1))

    def _finish(self) -> None:
        self._zip.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        try:
            os.link(self._raw.name, self.file)  # unlike a rename, it does not overwrite
        except FileExistsError as error:
            raise BackupExists(f"{self.file} is there already. A backup never overwrites a file.") from error
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class HashingWriter:
    """Writes on, and hashes what it writes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Write some bytes."""
        self.digest.update(data)
        self.bytes += len(data)
        self._stream.write(data)


class Reader:
    """An archive that is there. Raises BackupDamaged when it is none, or not whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._zip = zipfile.ZipFile(file)
            self.manifest = Manifest.model_validate_json(self._zip.read(MANIFEST))
        except OSError as error:
            raise BackupDamaged(f"{file} cannot be read: {error.strerror}.") from error
        except (zipfile.BadZipFile, KeyError, ValidationError, EOFError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise BackupDamaged(
                f"{file} is no backup of this product, or not a whole one. Nothing was restored."
            ) from error

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: Any) -> None:
        self._zip.close()

    def ensure_whole(self) -> None:
        """Read every member once and compare its hash. Raises BackupDamaged, naming the one at fault."""
        names = {name for name in self._zip.namelist() if name != MANIFEST}
        for name in sorted(names ^ set(self.manifest.members)):
            raise self._damaged(name)
        for name, member in self.manifest.members.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise self._damaged(name)
            digest = hashlib.sha256()
            with self.open(name) as stream:
                while piece := self._read(stream, name):
                    digest.update(piece)
            if digest.hexdigest() != member.sha256:
                raise self._damaged(name)

    def open(self, name: str) -> IO[bytes]:
        """Open a member. Raises BackupDamaged."""
        try:
            return self._zip.open(name)
        except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise self._damaged(name) from error

    def names(self, folder: str) -> list[str]:
        """Return the names of the members in a folder, without the folder's own."""
        start = f"{folder}/"
        return [name.removeprefix(start) for name in self.manifest.members if name.startswith(start)]

    @property
    def secret(self) -> str | None:
        """Return the secret, if the archive holds it."""
        if SECRET not in self.manifest.members:
            return None
        with self.open(SECRET) as stream:
            return stream.read().decode()

    def _read(self, stream: IO[bytes], name: str) -> bytes:
        try:
            return stream.read(PIECE_BYTES)
        except (OSError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise self._damaged(name) from error

    def _damaged(self, name: str) -> BackupDamaged:
        return BackupDamaged(f"{self.file} is damaged: {name} is not what the manifest says. Nothing was restored.")
