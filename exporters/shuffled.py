"""Rows in an order that has nothing to do with the one they came in, yet is the same each time."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import orjson

from exporters.files import OneFile, RowFile
from exporters.rows import Row

BUCKETS = 256  # a file each; one of them is in memory at a time
BUFFERED = 16_384  # bytes of a bucket that wait in memory until they are worth a write
KEY = 64  # characters of a SHA-256


class ShuffledRows(RowFile):
    """Rows that reach their file in the order of the SHA-256 of each row's `id`.

    Trainers that keep a file's order need rows about the same input apart from each other. The rows are first dealt
    into 256 files by the first byte of that hash; at the end each is sorted on its own. So memory holds a 256th of the
    rows, however many there are, and the disk for a while all of them once more.
    """

    def __init__(self, behind: RowFile, folder: Path) -> None:
        """behind: gets the rows in their new order. folder: a new one for the scratch files, removed at the end."""
        super().__init__()
        self.behind = behind
        self.folder = folder
        self.folder.mkdir()
        self.waiting = [bytearray() for _ in range(BUCKETS)]

    def put(self, row: Row) -> None:
        key = sha256(row["id"].encode()).hexdigest()
        bucket = int(key[:2], 16)
        self.waiting[bucket] += key.encode() + orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if len(self.waiting[bucket]) > BUFFERED:
            self.deal(bucket)

    def deal(self, bucket: int) -> None:
        with self.scratch(bucket).open("ab") as file:
            file.write(self.waiting[bucket])
        self.waiting[bucket] = bytearray()

    def close(self) -> None:
        for bucket in range(BUCKETS):
            for line in sorted(self.lines(bucket)):  # of equal ids, the one with the smaller text comes first
                self.behind.add(orjson.loads(line[KEY:]))
        shutil.rmtree(self.folder)
        self.behind.close()

    def lines(self, bucket: int) -> list[bytes]:
        dealt = self.scratch(bucket)
        before = dealt.read_bytes() if dealt.exists() else b""
        dealt.unlink(missing_ok=True)  # so that the disk gets back what it is about to take
        return (before + self.waiting[bucket]).splitlines(keepends=True)

    def scratch(self, bucket: int) -> Path:
        return self.folder / f"{bucket:02x}"

    def abandon(self) -> None:
        self.behind.abandon()

    def files(self) -> list[OneFile]:
        return self.behind.files()


def shuffled(behind: RowFile, path: Path) -> ShuffledRows:
    """The rows of a split, shuffled on their way to the file at `path`."""
    return ShuffledRows(behind, path.with_name(f".{path.name}.shuffle"))
