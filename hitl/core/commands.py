"""`hitl db`: the schema."""

import click

from hitl.core import schema
from hitl.core.instance import open_instance


@click.group()
def db() -> None:
    """Bring the database schema up to date, or check it."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this program's version."""
    schema.upgrade(open_instance().database)
    click.echo(f"The schema is at {schema.newest_revision()}.")


@db.command()
def check() -> None:
    """Say whether the schema is this program's. Exit code 1 when it is not."""
    schema.ensure_current(open_instance().database)
    click.echo(f"The schema is at {schema.newest_revision()}, as it should be.")
