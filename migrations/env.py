"""Runs the migrations in one transaction, on SQLite by rebuilding tables where it cannot alter them."""

from alembic import context

from hitl.app import import_parts
from hitl.core.database import Base, Database
from hitl.core.settings import Settings

import_parts()
database: Database = context.config.attributes.get("database") or Database(Settings().database_url)

with database.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
