"""Exchanges that could not be recorded yet, on disk until they are.

A file holds a batch, one exchange a line. It is complete and on the disk before it gets its name, and goes away only
after the database has committed what it holds. Several processes may share a folder: whoever holds a file's lock
records it.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from hitl.core.ids import new_id
from hitl.gateway.exchanges import Exchange

log = structlog.get_logger()

LOCAL_FOLDER = "hitl-spool"  # where the storage is no folder of this machine


def spool_folder(storage_url: str) -> Path:
    """Return where exchanges wait: below the storage, if that is a folder."""
    if "://" in storage_url and not storage_url.startswith("file://"):
        return Path(LOCAL_FOLDER)
    return Path(storage_url.removeprefix("file://")) / "gateway-spool"


class Spool:
    """A folder of batches."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.spooled_count = 0  # by this process
        self.lost_count = 0

    def keep(self, exchanges: Sequence[Exchange]) -> None:
        """Write exchanges to disk. One that the disk does not take either is lost, counted and said in the log."""
        if not exchanges:
            return
        try:
            self._write(f"{new_id()}.jsonl", exchanges)
            self.spooled_count += len(exchanges)
        except OSError as error:
            self.lost_count += len(exchanges)
            log.error("gateway_exchanges_lost", error=str(error), exchanges=len(exchanges))

    def put_aside(self, exchange: Exchange) -> None:
        """Keep an exchange that cannot be recorded, for a person to look at."""
        try:
            self._write(f"{exchange.id}.refused", [exchange])
        except OSError as error:
            self.lost_count += 1
            log.error("gateway_exchanges_lost", error=str(error), exchanges=1)

    def waiting(self) -> list[Path]:
        """Return the files that wait, the oldest first."""
        return sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else []

    def waiting_count(self) -> int:
        """Return how many exchanges wait on disk."""
        count = 0
        for path in self.waiting():
            with contextlib.suppress(OSError):
                count += path.read_bytes().count(b"\n")
        return count

    def replay(self, record: Callable[[Sequence[Exchange]], None]) -> bool:
        """Record the oldest file that nobody else is at, and delete it; False if there is none.

        Raises what `record` raises, and then the file stays; OSError.
        """
        for path in self.waiting():
            with _locked(path) as lines:
                if lines is not None:
                    record(_exchanges(path, lines))
                    path.unlink(missing_ok=True)
                    return True
        return False

    def _write(self, name: str, exchanges: Sequence[Exchange]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        unfinished = path.with_suffix(".unfinished")
        # Only for the eyes of the service: it holds what people wrote.
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(exchange.to_json() + b"\n" for exchange in exchanges)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[list[bytes] | None]:
    """Yield the lines of a file, held so that no other process takes it; None if one has, or it is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Whoever had the lock before may have recorded and deleted it.
        yield file.read().splitlines() if path.exists() else None


def _exchanges(path: Path, lines: Sequence[bytes]) -> list[Exchange]:
    found = []
    for line in lines:
        try:
            found.append(Exchange.from_json(line))
        except (ValueError, KeyError, TypeError) as error:
            log.error("gateway_spool_line_unreadable", file=path.name, error=str(error))
    return found
