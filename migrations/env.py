"""Runs the migrations in one transaction, on SQLite by rebuilding tables where it cannot alter them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from hitl.app import import_parts
from hitl.core.database import Base, Database, UtcDateTime
from hitl.core.settings import Settings


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Spell our own column types by what they are in the database: old migrations must not depend on today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


@contextmanager
def references_at_rest(connection: Connection) -> Iterator[None]:
    """Let SQLite rebuild a table without deleting, with the old one, every row that refers to it.

    Must be entered before the transaction begins: within one, SQLite does not listen.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        connection.rollback()  # if it failed: nor does it listen then
        raw.execute("PRAGMA foreign_keys=ON")


def ensure_references_hold(connection: Connection) -> None:
    """Raise RuntimeError, which takes the migration back, if it left a row that refers to none."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise RuntimeError(f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out what searches: each database has its own, which models cannot say (see hitl/queue/search.py)."""
    of_search = {"table": ("searched_words",), "column": ("vector",), "index": ("ix_searched_",)}
    return not (name or "").startswith(of_search.get(kind, ("\0",)))


import_parts()
database: Database = context.config.attributes.get("database") or Database(Settings().database_url)

with database.engine.connect() as connection, references_at_rest(connection):
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
        include_name=include_name,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
        ensure_references_hold(connection)
    connection.commit()
