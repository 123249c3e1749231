"""Where the files of dataset versions lie: a folder, or any place that Arrow's file systems know."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs
from sqlalchemy.orm import Session

from hitl.datasets.errors import StorageTrouble


def storage_of(db: Session) -> "Storage":
    """Return the storage of the instance whose database this session talks to."""
    return Storage(db.info["storage_url"])


def without_credentials(url: str) -> str:
    """Return a storage's URL without the key and secret that it may carry before the host or as parameters."""
    return re.sub(r"(?<=://)[^/]*@", "", url).partition("?")[0] if "://" in url else url


class Storage:
    """Files under one root, by names with slashes."""

    def __init__(self, url: str) -> None:
        """Open a storage. Raises StorageTrouble for a URL that Arrow does not know."""
        self.url = without_credentials(url)  # as messages name it
        try:
            if "://" in url:
                files, root = fs.FileSystem.from_uri(url)
            else:
                files, root = fs.LocalFileSystem(), str(Path(url).absolute())
        except (ValueError, OSError) as error:
            reason = str(error).replace(url, self.url)
            raise StorageTrouble(f"HITL_STORAGE_URL “{self.url}” cannot be opened: {reason}") from None
        # A local storage is made safe against power loss, and its folders are made; object stores have neither need.
        self._folder = Path(root) if isinstance(files, fs.LocalFileSystem) else None
        self.files: fs.FileSystem = fs.SubTreeFileSystem(root, files)

    @contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        """Write a file; when this returns, the disk has it. A failure leaves nothing under the name. Raises OSError."""
        folder = name.rpartition("/")[0]
        self.files.create_dir(folder, recursive=True)
        try:
            with self.files.open_output_stream(name) as stream:
                yield stream
            self._sync(name)
            self._sync(folder)
        except BaseException:
            self._discard(name)
            raise

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """Read a file. Raises StorageTrouble when it is not there or cannot be read."""
        with self.open(name) as file:
            yield file

    def open(self, name: str) -> Any:
        """Open a file for reading; whoever takes it closes it. Raises StorageTrouble when it is not there."""
        try:
            return self.files.open_input_file(name)
        except OSError as error:
            raise StorageTrouble(f"{name} cannot be read from {self.url}: {error}") from error

    def names(self, name: str = "") -> list[str]:
        """Return the names of all files in a folder and those below it, or of the one file of this name.

        Raises StorageTrouble.
        """
        try:
            if name and self.files.get_file_info(name).is_file:
                return [name]
            found = self.files.get_file_info(fs.FileSelector(name, allow_not_found=True, recursive=True))
        except OSError as error:
            raise StorageTrouble(f"{self.url} cannot be listed: {error}") from error
        return sorted(info.path for info in found if info.is_file)

    def remove_folder(self, name: str) -> None:
        """Remove a folder and what is in it, if it is there."""
        if self.files.get_file_info(name).type != fs.FileType.NotFound:
            self.files.delete_dir(name)

    def _discard(self, name: str) -> None:
        if self.files.get_file_info(name).type != fs.FileType.NotFound:
            self.files.delete_file(name)

    def _sync(self, name: str) -> None:
        """Wait until the disk has it, where the storage is a disk of ours."""
        if self._folder is None:
            return
        descriptor = os.open(self._folder / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
