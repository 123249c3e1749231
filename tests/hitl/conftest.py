"""A real database for every test of the product, rolled back at the end."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from hitl.app import import_parts
from hitl.core.database import Base, Database
from hitl.core.secrets import Keys
from tests.hitl import factories


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, database_urls: dict[str, str]) -> Iterator[Database]:
    """A database with all tables, the same for all tests of this run: leave nothing committed in it."""
    import_parts()
    database = Database(database_urls[request.param], session_info={"keys": Keys.derive("a secret only for tests" * 2)})
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def db(database: Database) -> Iterator[Session]:
    """A session in a transaction that is rolled back; the factories write into it."""
    with database.engine.connect() as connection:
        outer = connection.begin()
        with Session(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False, info=database.session_info
        ) as session:
            factories.bind(session)
            yield session
            factories.unbind()
        outer.rollback()


@pytest.fixture
def shared_database(database: Database) -> Iterator[Database]:
    """The database for tests that must commit, because several connections look on. Emptied afterwards."""
    yield database
    with database.writing() as db:
        for table in reversed(Base.metadata.sorted_tables):
            db.execute(table.delete())
