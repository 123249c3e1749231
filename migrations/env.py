"""Runs the migrations in one transaction, on SQLite by rebuilding tables where it cannot alter them."""

from typing import Literal

from alembic import context

from hitl.app import import_parts
from hitl.core.database import Base, Database, UtcDateTime
from hitl.core.settings import Settings


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Spell our own column types by what they are in the database: old migrations must not depend on today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


import_parts()
database: Database = context.config.attributes.get("database") or Database(Settings().database_url)

with database.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
