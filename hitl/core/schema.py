"""The database schema's version: brought up to date by Alembic, and compared before anything is served."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hitl.core.database import Database
from hitl.core.errors import Unavailable


class SchemaOutOfDate(Unavailable):
    """The database has another schema version than this program. Run `hitl db upgrade`."""

    code = "schema_out_of_date"


def alembic_config(database: Database) -> Config:
    """Return Alembic's configuration for this database; the migrations ship with the program."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["database"] = database
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to a revision."""
    command.upgrade(alembic_config(database), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to a revision."""
    command.downgrade(alembic_config(database), revision)


def newest_revision() -> str | None:
    """Return the schema version that this program was written for."""
    return ScriptDirectory(str(files("migrations"))).get_current_head()


def ensure_current(database: Database) -> None:
    """Raise SchemaOutOfDate unless the database has this program's schema."""
    with database.engine.connect().execution_options(readonly=True) as connection:
        if MigrationContext.configure(connection).get_current_revision() != newest_revision():
            raise SchemaOutOfDate
