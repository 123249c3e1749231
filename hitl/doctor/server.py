"""What the doctor asks of the database: which it is, how it is set up, whether it is this program's."""

import time
from collections.abc import Iterator
from typing import Any

from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hitl.core import jobs, schema, secrets
from hitl.doctor.findings import Finding, fine, note, trouble

LEAST_POSTGRESQL = 14
LEAST_SQLITE = (3, 35)  # the first with RETURNING
SKEW_NOTED_SECONDS = 2.0
SKEW_SECONDS = 30.0
LONG_TRANSACTION_SECONDS = 300


def look_at_server(db: Session) -> Iterator[Finding]:
    """Its version, encoding and durability."""
    version = db.connection().dialect.server_version_info or ()
    written = ".".join(map(str, version))
    if _is_sqlite(db):
        if version < LEAST_SQLITE:
            yield trouble("database", f"SQLite {written} is too old.", "Use a Python with SQLite 3.35 or newer.")
        yield from _encoding(db.scalar(text("PRAGMA encoding")), "UTF-8")
        journal, synchronous = db.scalar(text("PRAGMA journal_mode")), db.scalar(text("PRAGMA synchronous"))
        if journal != "wal":
            yield trouble(
                "database",
                f"SQLite's journal is “{journal}”, not WAL: readers and the writer wait for each other.",
                "Put the file on a local disk, where WAL works.",
            )
        keeps = "a power loss too" if synchronous >= 2 else "the death of every process, not a power loss"
        yield fine("database", f"SQLite {written}, journal {journal}. What is acknowledged survives {keeps}.")
        return
    if version < (LEAST_POSTGRESQL,):
        yield trouble("database", f"PostgreSQL {written} is too old.", f"Use {LEAST_POSTGRESQL} or newer.")
    yield from _encoding(db.scalar(text("SHOW server_encoding")), "UTF8")
    loose = [name for name in ("fsync", "synchronous_commit") if db.scalar(text(f"SHOW {name}")) == "off"]
    if loose:
        yield note("database", f"{' and '.join(loose)} are off: a power loss can undo acknowledged work.", "Set to on.")
    yield fine("database", f"PostgreSQL {written}.")


def _encoding(found: Any, wanted: str) -> Iterator[Finding]:
    if found != wanted:
        remedy = "Make a new database with ENCODING 'UTF8' TEMPLATE template0, and restore a backup into it."
        yield trouble("encoding", f"The database's encoding is {found}: it cannot hold every text.", remedy)
    else:
        yield fine("encoding", f"{found}.")


def look_at_revision(db: Session) -> Iterator[Finding]:
    """Whether the schema is this program's."""
    found = MigrationContext.configure(db.connection()).get_current_revision()
    newest = schema.newest_revision()
    if found != newest:
        remedy = "Run `hitl db upgrade`; if that finds no such revision, this program is older than the database."
        yield trouble("schema", f"The database has schema {found}, this program {newest}.", remedy)
    else:
        yield fine("schema", f"{found}, this program's.")


def look_at_fingerprint(db: Session) -> Iterator[Finding]:
    """Whether the secret is the one that the database was set up with."""
    known = db.scalar(select(secrets.Instance.secret_fingerprint))
    if known is not None and known != secrets.keys_of(db).fingerprint:
        yield trouble("secret", secrets.SecretDiffers().message, "Set HITL_SECRET to the one it was set up with.")


def look_at_clocks(db: Session) -> Iterator[Finding]:
    """How far this machine's clock is from the database's, and in which zone each shows its times."""
    before = time.time()
    there = float(db.scalar(select(jobs.database_now())) or 0.0)
    skew = there - (before + time.time()) / 2
    says = f"The database's clock is {skew:+.1f} seconds from this machine's."
    if abs(skew) >= SKEW_SECONDS:
        yield trouble("clock", says, "Let both machines keep time by NTP: leases end, and jobs run, by these clocks.")
    elif abs(skew) >= SKEW_NOTED_SECONDS:
        yield note("clock", says, "Let both machines keep time by NTP.")
    else:
        yield fine("clock", says)
    zone = "none of its own" if _is_sqlite(db) else db.scalar(text("SHOW TimeZone"))
    yield fine(
        "time zone", f"Here {time.tzname[0]}, in the database {zone}; times are stored in UTC whatever they are."
    )


def look_at_long_transactions(db: Session) -> Iterator[Finding]:
    """Transactions that have been open for long: they hold feeds and cleaning back."""
    if _is_sqlite(db):
        return
    age = db.scalar(
        text(
            "SELECT max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )
    if age is not None and age > LONG_TRANSACTION_SECONDS:
        yield note(
            "transactions",
            f"A transaction has been open for {float(age) / 60:,.0f} minutes: feeds may stop short of it.",
            "pg_stat_activity shows whose it is; a backup or an export may take that long.",
        )


def look_thoroughly(db: Session) -> Iterator[Finding]:
    """Read all of a SQLite database and check it."""
    if not _is_sqlite(db):
        return
    broken = [str(row) for (row,) in db.execute(text("PRAGMA quick_check(3)")) if row != "ok"]
    broken += [
        f"{row[0]} refers to a {row[2]} that is not there" for row in db.execute(text("PRAGMA foreign_key_check"))
    ][:3]
    if broken:
        yield trouble("integrity", f"The file is damaged: {'; '.join(broken)}.", "Restore the newest backup.")
    else:
        yield fine("integrity", "Every page is sound.")


def _is_sqlite(db: Session) -> bool:
    return db.connection().dialect.name == "sqlite"
