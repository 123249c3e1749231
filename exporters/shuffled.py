"""Rows in an order that has nothing to do with the one they came in, yet is the same each time."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import orjson

from exporters.files import JsonLines
from exporters.rows import Row

BUCKETS = 256  # a file each; one of them is in memory at a time
BUFFERED = 16_384  # bytes of a bucket that wait in memory until they are worth a write
KEY = 64  # characters of a SHA-256


class ShuffledJsonLines(JsonLines):
    """JSON Lines in the order of the SHA-256 of each row's `id`.

    Trainers that keep a file's order need rows about the same input apart from each other. The rows are first dealt
    into 256 files beside the real one, by the first byte of that hash; at the end each is sorted on its own. So memory
    holds a 256th of the rows, however many there are, and the disk for a while all of them once more.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.folder = path.with_name(f".{path.name}.shuffle")
        self.folder.mkdir()
        self.waiting = [bytearray() for _ in range(BUCKETS)]

    def put(self, row: Row) -> None:
        key = sha256(row["id"].encode()).hexdigest()
        bucket = int(key[:2], 16)
        waiting = self.waiting[bucket]
        waiting += key.encode() + orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if len(waiting) > BUFFERED:
            self.deal(bucket)

    def deal(self, bucket: int) -> None:
        with self.bucket(bucket).open("ab") as file:
            file.write(self.waiting[bucket])
        self.waiting[bucket] = bytearray()

    def close(self) -> None:
        for bucket in range(BUCKETS):
            for line in sorted(self.lines(bucket)):  # of equal ids, the one with the smaller text comes first
                self.file.write(line[KEY:])
        shutil.rmtree(self.folder)
        super().close()

    def lines(self, bucket: int) -> list[bytes]:
        dealt = self.bucket(bucket)
        before = dealt.read_bytes() if dealt.exists() else b""
        dealt.unlink(missing_ok=True)  # so that the disk never holds the rows three times
        return (before + self.waiting[bucket]).splitlines(keepends=True)

    def bucket(self, bucket: int) -> Path:
        return self.folder / f"{bucket:02x}"
