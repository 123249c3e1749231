import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.core.database import Database
from tests.hitl import factories


class TestDatabase:
    def test_it_lets_a_reading_transaction_write_nothing(self, shared_database: Database) -> None:
        with shared_database.reading() as db:
            db.add(User(email="a@example.org", name="A"))
            with pytest.raises(DBAPIError):
                db.flush()
            db.rollback()

    def test_it_can_write_again_on_a_connection_that_was_reading(self, shared_database: Database) -> None:
        for _ in range(3):
            with shared_database.reading() as db:
                db.scalars(select(User)).all()
            with shared_database.writing() as db:
                db.add(User(email=f"{time.monotonic_ns()}@example.org", name="A"))

        with shared_database.reading() as db:
            assert len(db.scalars(select(User)).all()) == 3

    def test_it_keeps_times_with_their_zone(self, db: Session) -> None:
        moment = datetime(2026, 5, 25, 9, 14, 7, 123456, tzinfo=timezone(timedelta(hours=2)))
        user = factories.User(created_at=moment)
        db.expire_all()

        assert db.get_one(User, user.id).created_at == moment
        assert db.get_one(User, user.id).created_at.tzinfo is UTC

    def test_it_refuses_a_time_without_a_zone(self, db: Session) -> None:
        with pytest.raises(StatementError, match="without a zone"):
            factories.User(created_at=datetime(2026, 5, 25))  # noqa: DTZ001  the point of the test


class TestSqliteWriteLock:
    def test_it_lets_writers_wait_for_each_other_instead_of_failing(self, database: Database) -> None:
        def add(number: int) -> None:
            with database.writing() as db:
                db.execute(text("INSERT INTO counted VALUES (:n)"), {"n": number})

        with database.writing() as db:
            db.execute(text("CREATE TABLE counted (n INTEGER)"))
        writers = [threading.Thread(target=add, args=(n,)) for n in range(40)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        with database.reading() as db:
            assert db.scalar(text("SELECT count(*) FROM counted")) == 40

    def test_it_frees_the_lock_after_a_failure(self, database: Database) -> None:
        for _ in range(3):
            with contextlib.suppress(RuntimeError), database.writing() as db:
                db.execute(text("SELECT 1"))
                raise RuntimeError
        with pytest.raises(DBAPIError), database.writing() as db:
            db.execute(text("no such statement"))

        with database.writing() as db:
            assert db.scalar(text("SELECT 1")) == 1

    def test_it_reads_while_another_writes(self, database: Database) -> None:
        with database.writing() as writer:
            writer.execute(text("CREATE TABLE seen (n INTEGER)"))
            with database.reading() as reader:
                assert reader.scalar(text("SELECT 1")) == 1

    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return Database(f"sqlite:///{tmp_path}/hitl.sqlite3")
