"""A database of one's own, on either kind of server, gone after the run."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from benchmarks.bench import Bench
from hitl.app import import_parts
from hitl.core import schema
from hitl.core.instance import Instance, open_instance
from hitl.core.settings import Settings
from tests.machine.postgresql import postgresql_server

_numbers = count()


@contextmanager
def own_database(kind: str) -> Iterator[str]:
    """The URL of an empty database. kind: "sqlite" or "postgresql"."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'hitl.sqlite3'}"
        return
    with postgresql_server() as server:
        try:
            yield server.create_database(f"hitl_bench_{os.getpid()}_{next(_numbers)}")
        finally:
            server.drop_databases()


@contextmanager
def own_instance(kind: str, *, web_threads: int = 64) -> Iterator[Instance]:
    """An installation with an up-to-date, empty database and a storage folder, in this process.

    web_threads: as many connections stand ready, and as many again under load.
    """
    with own_database(kind) as url, tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder:
        import_parts()
        settings = Settings(
            database_url=url, secret="a secret only for benchmarks" * 2, storage_url=folder, web_threads=web_threads
        )
        instance = open_instance(settings)
        schema.upgrade(instance.database)
        try:
            yield instance
        finally:
            instance.database.close()


def settle_down(url: str) -> None:
    """Let a database that was just filled write everything down and learn its statistics, as one in use has."""
    if url.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def note_server(bench: Bench, kind: str, url: str) -> None:
    """Say which server it was and how safely it writes, once."""
    if kind == "sqlite":
        import sqlite3

        said = f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=NORMAL"
    else:
        with psycopg.connect(url) as connection:
            version = connection.info.server_version // 10_000
            shown = {name: connection.execute(f"SHOW {name}").fetchone() for name in SHOWN}
        settings = ", ".join(f"{name}={value[0]}" for name, value in shown.items() if value)
        said = f"PostgreSQL {version}, {settings}"
    if said not in bench.notes:
        bench.note(said)


SHOWN = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
