from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from hitl.app import import_parts
from hitl.core import schema
from hitl.core.database import Database


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


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    import_parts()
    database = Database(database_url)
    yield database
    database.close()
