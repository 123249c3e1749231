"""A PostgreSQL server: the one named by TEST_PG_URL, the one that runs here, or one started for this run."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.machine.missing import missing

RUNNING = "postgresql://postgres@127.0.0.1:5432/postgres"
START_SECONDS = 30.0
REMEDY = "Install it (Debian, Ubuntu: apt-get install postgresql) or name a server of yours in TEST_PG_URL"


class PostgreSQL:
    """A server on which databases may be created, named by the URL of its maintenance database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._created: list[str] = []

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
        self._created.append(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_databases(self) -> None:
        """Drop what was created here, even while someone is connected to it."""
        while self._created:
            name = sql.Identifier(self._created.pop())
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def may_create_databases(self) -> bool:
        """Whether the server answers, and lets us."""
        try:
            with psycopg.connect(self.url, connect_timeout=3) as connection:
                query = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                row = connection.execute(query).fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and bool(row[0])

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Find a server or start one; stop it if it was started here."""
    if named := os.environ.get("TEST_PG_URL"):
        server = PostgreSQL(named)
        if not server.may_create_databases():
            missing("PostgreSQL", "The server of TEST_PG_URL does not answer, or its role may not create databases")
        yield server
        return
    running = PostgreSQL(RUNNING)
    if running.may_create_databases():
        yield running
        return
    programs = _programs()
    if programs is None:
        missing("PostgreSQL", REMEDY)
    with _own_server(programs) as server:
        yield server


def _programs() -> Path | None:
    """Return the folder of initdb and postgres: the newest that Debian keeps, or that of PATH."""
    by_version = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if by_version:
        return by_version[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def _own_server(programs: Path) -> Iterator[PostgreSQL]:
    """Run a throw-away server on a free port. It forgets on a power loss, which a test run may."""
    folder = Path(tempfile.mkdtemp(prefix="hitl-pg-"))
    data, log = folder / "data", folder / "log"
    as_its_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, user="postgres")
        as_its_user = ["runuser", "-u", "postgres", "--"]
    port = _free_port()
    try:
        initdb = [
            programs / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run([*as_its_user, *initdb], cwd="/", check=True, capture_output=True)
        options = ["fsync=off", "full_page_writes=off", "max_connections=200"]
        postgres = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*as_its_user, *postgres, *(part for option in options for part in ("-c", option))],
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            server = PostgreSQL(f"postgresql://postgres@127.0.0.1:{port}/postgres")
            _wait_until_ready(server, process, log)
            yield server
        finally:
            _stop(data, process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(server: PostgreSQL, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.may_create_databases():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


def _stop(data: Path, process: subprocess.Popen[bytes]) -> None:
    """Signal the server itself: runuser, whose child it is, would not pass it on."""
    pid_file = data / "postmaster.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)  # "fast": does not wait for those connected
    else:
        process.terminate()
    process.wait(timeout=START_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
