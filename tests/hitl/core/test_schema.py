from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from hitl.app import import_parts
from hitl.core import schema
from hitl.core.database import Base, Database

BEFORE_VERDICTS = "c526a19715bd"  # the last schema in which datasets knew no verdicts


class TestMigrations:
    def test_it_makes_from_nothing_what_the_models_say(self, database: Database) -> None:
        schema.upgrade(database)

        command.check(schema.alembic_config(database))  # raises when models and migrations differ

    def test_it_goes_down_each_step_and_up_again(self, database: Database) -> None:
        steps = ScriptDirectory(schema.alembic_config(database).get_main_option("script_location") or "")
        revisions = [step.revision for step in steps.walk_revisions()]
        schema.upgrade(database)

        for below in [*revisions[1:], "base"]:
            schema.downgrade(database, below)
        tables_left = set(inspect(database.engine).get_table_names()) - {"alembic_version"}
        schema.upgrade(database)

        assert tables_left == set()
        command.check(schema.alembic_config(database))

    def test_rows_that_refer_to_a_rebuilt_table_stay(self, database: Database) -> None:
        """SQLite rebuilds a table to alter it, and dropping the old one would take along what hangs on it."""
        schema.upgrade(database, BEFORE_VERDICTS)
        project_id, dataset_id, version_id = (uuid4() for _ in range(3))
        at = {"created_at": datetime(2026, 11, 24, tzinfo=UTC)}
        store(database, "projects", id=project_id, slug="bot", name="Bot", guidelines="", settings={}, **at)
        dataset = {"project_id": project_id, "name": "edits", "kind": "preference", "selection": {}, "seed": "7"}
        store(database, "datasets", id=dataset_id, **dataset, **at)
        frozen = {"number": 1, "state": "frozen", "selection": {}, "may_train_default": "yes"}
        store(database, "dataset_versions", id=version_id, dataset_id=dataset_id, **frozen, **at)

        schema.upgrade(database)
        assert ids_in(database, "dataset_versions") == [version_id]
        schema.downgrade(database, BEFORE_VERDICTS)
        assert ids_in(database, "dataset_versions") == [version_id]

    def test_it_leaves_the_database_guarding_its_references(self, database: Database) -> None:
        schema.upgrade(database)
        with pytest.raises(IntegrityError), database.writing() as db:
            db.execute(
                text("INSERT INTO compared_sets (responses_hash, item_id) VALUES ('a', :id)"), {"id": UUID(int=0).hex}
            )

    def test_it_is_one_straight_line(self, database: Database) -> None:
        steps = ScriptDirectory(schema.alembic_config(database).get_main_option("script_location") or "")

        assert len(steps.get_heads()) == 1
        assert not any(step.is_branch_point or step.is_merge_point for step in steps.walk_revisions())


class TestEnsureCurrent:
    def test_it_refuses_a_database_without_the_schema(self, database: Database) -> None:
        with pytest.raises(schema.SchemaOutOfDate, match="hitl db upgrade"):
            schema.ensure_current(database)

    def test_it_accepts_one_that_is_up_to_date(self, database: Database) -> None:
        schema.upgrade(database)

        schema.ensure_current(database)


def store(database: Database, table: str, **values: Any) -> None:
    with database.engine.begin() as connection:
        connection.execute(insert(table_of(connection, table)).values(values))


def ids_in(database: Database, table: str) -> list[UUID]:
    with database.engine.begin() as connection:
        return list(connection.scalars(select(table_of(connection, table).c.id)))


def table_of(connection: Connection, name: str) -> Table:
    """The table with as many of today's columns as the database has now."""
    there = {column["name"] for column in inspect(connection).get_columns(name)}
    columns = [Column(c.name, c.type) for c in Base.metadata.tables[name].c if c.name in there]
    return Table(name, MetaData(), *columns)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    import_parts()
    database = Database(database_url)
    yield database
    database.close()
