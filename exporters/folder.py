"""A folder that is either complete or not there."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporters.errors import ExportFailed, OutputNotEmpty

OCCUPIED = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` in one step when the block ends well, and is removed when it does not.

    It lies beside `out`, on the same disk, so that a rename suffices. A process that is killed leaves it there under
    its own name (`.NAME.….part`), never under the name of a finished export; the next export to `out` removes it.
    Raises OutputNotEmpty before anything is written, and also when someone else filled `out` in the meantime.
    """
    out = out.resolve()
    ensure_empty(out)
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    with reporting(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(out)
        part.mkdir()
        lock = os.open(part, os.O_RDONLY)
    try:
        hold(lock)
        yield part
        with reporting(out):
            sync_folder(part)
            put_in_place(part, out)
            sync_folder(out.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def remove_abandoned(out: Path) -> None:
    """Remove what exports to `out` have left whose process was killed: the kernel has let go of their locks."""
    for part in out.parent.glob(f".{glob.escape(out.name)}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError):  # another export is at work there, or has just ended
            lock = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if hold(lock):
                    shutil.rmtree(part, ignore_errors=True)
            finally:
                os.close(lock)


def hold(lock: int) -> bool:
    """Lock an open folder until it is closed or its process dies; False where others hold it or a disk has no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def ensure_empty(out: Path) -> None:
    with reporting(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputNotEmpty(out)


def put_in_place(part: Path, out: Path) -> None:
    try:
        # POSIX lets a folder take the place of an empty one, and of nothing else.
        part.rename(out)
    except OSError as error:
        if error.errno in OCCUPIED:
            raise OutputNotEmpty(out) from error
        raise


def sync_folder(folder: Path) -> None:
    """Without this a power cut may forget the names of files whose bytes are safe."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn the disk's refusal into one that names the path, as it would have been, and says what to do."""
    try:
        yield
    except OSError as error:
        raise ExportFailed(path, error) from error
