import contextlib
import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.models import Feedback, Response
from hitl.core import cursors, feeds
from hitl.core.database import Database
from hitl.core.feeds import BadCursor, CursorAhead, Place
from hitl.queue.items import Wish, add_items, change_priority
from hitl.queue.models import Item
from tests.hitl import factories
from tests.hitl.capture.rows import response_row
from tests.product import KEYS

WRITERS = 4
TRANSACTIONS = 12  # of each writer


class TestFollow:
    def test_a_reader_sees_every_row_once_whatever_commits_late(self, shared_database, project_id):
        follower = Follower(shared_database, project_id, seed=1)
        with ThreadPoolExecutor(WRITERS) as writers:
            stored = [writers.submit(write_at_random, shared_database, project_id, seed) for seed in range(WRITERS)]
            while not all(one.done() for one in stored):
                follower.look()
        follower.look_until_the_end()

        expected = [identifier for one in stored for identifier in one.result()]
        assert len(expected) > WRITERS * TRANSACTIONS / 2
        assert sorted(follower.seen) == sorted(expected)

    def test_the_same_holds_for_writers_in_other_processes(self, shared_database, project_id):
        url = shared_database.url.render_as_string(hide_password=False)
        follower = Follower(shared_database, project_id, seed=2)
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=write_from_outside, args=(url, project_id, seed)) for seed in (11, 12)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            follower.look()
            time.sleep(0.005)
        follower.look_until_the_end()

        with shared_database.reading() as db:
            stored = db.scalars(select(Response.id).where(Response.project_id == project_id)).all()
        assert [writer.exitcode for writer in writers] == [0, 0]
        assert stored
        assert sorted(follower.seen) == sorted(stored)

    def test_what_is_committed_after_a_later_row_is_not_passed_over(self, shared_database, project_id):
        follower = Follower(shared_database, project_id, seed=3)
        with shared_database.session(readonly=False) as slow:
            late = capture_one(slow, project_id)
            with ThreadPoolExecutor(1) as other:
                quick = other.submit(capture_and_commit, shared_database, project_id)
                time.sleep(0.1)  # on PostgreSQL the other has committed by now, on SQLite it waits
                follower.look()
                seen_too_early = list(follower.seen)
                slow.commit()
                early = quick.result()
        follower.look_until_the_end()

        assert seen_too_early == []
        assert follower.seen == [late, early]

    def test_a_writer_that_was_slow_to_lock_sends_no_reader_back(self, shared_database, project_id):
        """It read the last number, others came and went, and only then it locks what it read."""
        stored = [capture_and_commit(shared_database, project_id) for _ in range(3)]
        seen = stretch(shared_database, project_id, None, limit=9)
        with shared_database.writing() as db:
            if not shared_database.is_sqlite:
                early = feeds.decode(seen.resume_cursor).number - 3
                db.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": (feeds.LOCK_SPACE << 48) | early})
            again = stretch(shared_database, project_id, seen.resume_cursor, limit=9)

        assert [row.id for row in seen.rows] == stored
        assert (again.rows, again.resume_cursor) == ([], seen.resume_cursor)

    def test_another_database_of_the_same_server_holds_nothing_up(self, make_database, shared_database, project_id):
        kind = "sqlite" if shared_database.is_sqlite else "postgresql"
        elsewhere = Database(make_database(kind))
        feeds.Base.metadata.create_all(elsewhere.engine)
        with elsewhere.session(readonly=False) as busy:
            feeds.number_of(busy.connection())
            stored = capture_and_commit(shared_database, project_id)
            follower = Follower(shared_database, project_id, seed=4)
            follower.look_until_the_end()
        elsewhere.close()

        assert follower.seen == [stored]

    def test_a_number_taken_in_vain_is_not_given_to_two_transactions(self, shared_database, project_id):
        numbers = []
        for _ in range(3):
            with shared_database.writing() as db:
                with contextlib.suppress(ZeroDivisionError), db.begin_nested():
                    feeds.number_of(db.connection())
                    raise ZeroDivisionError
                identifier = capture_one(db, project_id)
            with shared_database.reading() as db:
                numbers.append(db.get_one(Response, identifier).feed_number)

        assert numbers == sorted(set(numbers))

    def test_the_end_says_where_to_go_on_and_pages_end_as_ever(self, shared_database, project_id):
        ids = [capture_and_commit(shared_database, project_id) for _ in range(4)]
        first = stretch(shared_database, project_id, None, limit=3)
        second = stretch(shared_database, project_id, first.next_cursor, limit=3)
        third = stretch(shared_database, project_id, second.resume_cursor, limit=3)
        ids.append(capture_and_commit(shared_database, project_id))
        fourth = stretch(shared_database, project_id, third.resume_cursor, limit=3)

        assert [[row.id for row in part.rows] for part in (first, second, third, fourth)] == [
            ids[:3],
            ids[3:4],
            [],
            ids[4:],
        ]
        assert first.next_cursor == first.resume_cursor
        assert second.next_cursor is third.next_cursor is None

    def test_a_cursor_from_before_feeds_were_numbered_goes_on(self, shared_database, project_id):
        ids = [capture_and_commit(shared_database, project_id) for _ in range(3)]
        with shared_database.writing() as db:
            db.execute(update(Response).where(Response.id.in_(ids[:2])).values(feed_number=0))

        found = stretch(shared_database, project_id, cursors.encode(ids[0]), limit=9)

        assert [row.id for row in found.rows] == ids[1:]

    def test_a_cursor_from_a_lost_future_is_refused(self, shared_database, project_id):
        with pytest.raises(CursorAhead):
            stretch(shared_database, project_id, feeds.encode(Place(2**40, uuid4())), limit=9)


class TestChangingRows:
    """Items and feedback come again when they change: where a slow change is, nothing later is told before it."""

    def test_a_slow_change_is_not_passed_over(self, shared_database, project_id):
        slow_rows, quick_rows = (capture_with_feedback_and_item(shared_database, project_id) for _ in range(2))
        followed = {table: resume(shared_database, project_id, table, None)[1] for table in (Feedback, Item)}
        with shared_database.session(readonly=False) as slow:
            change(slow, project_id, *slow_rows)
            with ThreadPoolExecutor(1) as other:
                quick = other.submit(change_and_commit, shared_database, project_id, *quick_rows)
                time.sleep(0.1)  # on PostgreSQL the other has committed by now, on SQLite it waits
                meanwhile = {table: resume(shared_database, project_id, table, followed[table]) for table in followed}
                slow.commit()
                quick.result()

        for place, table in enumerate(followed):
            seen_too_early, cursor = meanwhile[table]
            assert seen_too_early == []
            assert resume(shared_database, project_id, table, cursor)[0] == [slow_rows[place], quick_rows[place]]


class TestContinueAfterRestore:
    def test_numbers_go_on_above_those_of_the_restored_rows(self, shared_database, project_id):
        restored = capture_and_commit(shared_database, project_id)
        high = 10_000_000 + random.randrange(1_000_000)
        with shared_database.writing() as db:  # as if it came from a database that had given out many more
            db.execute(update(Response).where(Response.id == restored).values(feed_number=high))

        for _ in range(2):
            feeds.continue_after_restore(shared_database)

        elsewhere = feeds.encode(Place(high + 9, UUID(int=0)))  # where a reader was: numbers are taken in vain, too
        stored = capture_and_commit(shared_database, project_id)
        assert [row.id for row in stretch(shared_database, project_id, elsewhere, limit=9).rows] == [stored]
        assert [row.id for row in stretch(shared_database, project_id, None, limit=9).rows] == [restored, stored]


class TestCursors:
    @given(st.integers(0, 2**48 - 1), st.uuids())
    def test_they_stand_for_a_place(self, number, identifier):
        assert feeds.decode(feeds.encode(Place(number, identifier))) == Place(number, identifier)

    @given(st.text())
    def test_whatever_else_comes_is_refused_by_name(self, text):
        with contextlib.suppress(BadCursor):
            assert isinstance(feeds.decode(text), Place)


class Follower:
    """A program that asks for what is new, in pages of changing size."""

    def __init__(self, database: Database, project_id: UUID, seed: int) -> None:
        self.database, self.project_id = database, project_id
        self.random = random.Random(seed)
        self.seen: list[UUID] = []
        self.cursor: str | None = None

    def look(self) -> bool:
        found = stretch(self.database, self.project_id, self.cursor, limit=self.random.choice([1, 3, 20, 100]))
        self.seen += [row.id for row in found.rows]
        self.cursor = found.resume_cursor
        return found.next_cursor is not None

    def look_until_the_end(self) -> None:
        while self.look():
            pass


def stretch(database: Database, project_id: UUID, cursor: str | None, limit: int) -> feeds.Stretch[Any]:
    with database.reading() as db:
        query = select(Response).where(Response.project_id == project_id)
        return feeds.follow(db, query, Response, cursor=cursor, limit=limit)


def write_at_random(database: Database, project_id: UUID, seed: int) -> list[UUID]:
    """Capture batches large and small, some rolled back, most committed late; return the ids that stayed."""
    chance = random.Random(seed)
    stayed: list[UUID] = []
    for _ in range(TRANSACTIONS):
        with database.session(readonly=False) as db:
            ids = capture(db, project_id, chance.choice([1, 2, 30]))
            time.sleep(chance.choice([0, 0, 0.01, 0.05]))
            if chance.random() < 0.2:
                db.rollback()
            else:
                db.commit()
                stayed += ids
    return stayed


def write_from_outside(url: str, project_id: UUID, seed: int) -> None:
    database = Database(url, session_info={"keys": KEYS})
    write_at_random(database, project_id, seed)
    database.close()


def capture(db: Session, project_id: UUID, count: int) -> list[UUID]:
    rows = [response_row(uuid4().hex) for _ in range(count)]
    results = capture_responses(db, db.get_one(Project, project_id), rows, KEYS)
    return [result.id for result in results if result.id is not None]


def capture_with_feedback_and_item(database: Database, project_id: UUID) -> tuple[UUID, UUID]:
    """Return the ids of the feedback and of the item about a new response."""
    with database.writing() as db:
        response = db.get_one(Response, capture_one(db, project_id))
        project = db.get_one(Project, project_id)
        (said,) = give_feedback(db, project, [{"response": str(response.id), "kind": "stars", "value": 3}])
        item = add_items(db, project, {response.id: Wish()})[response.id]
        assert said.id is not None
        return said.id, item.id


def change(db: Session, project_id: UUID, feedback_id: UUID, item_id: UUID) -> None:
    said = db.get_one(Feedback, feedback_id)
    row = {"response": str(said.response_id), "kind": said.kind, "value": said.value + 1}
    assert [result.status for result in give_feedback(db, db.get_one(Project, project_id), [row])] == ["updated"]
    change_priority(db, db.get_one(Item, item_id), 1)


def change_and_commit(database: Database, project_id: UUID, feedback_id: UUID, item_id: UUID) -> None:
    with database.writing() as db:
        change(db, project_id, feedback_id, item_id)


def resume(database: Database, project_id: UUID, table: Any, cursor: str | None) -> tuple[list[UUID], str]:
    with database.reading() as db:
        query = select(table).where(table.project_id == project_id)
        found = feeds.follow(db, query, table, cursor=cursor, limit=100)
        return [row.id for row in found.rows], found.resume_cursor


def capture_one(db: Session, project_id: UUID) -> UUID:
    return capture(db, project_id, 1)[0]


def capture_and_commit(database: Database, project_id: UUID) -> UUID:
    with database.writing() as db:
        return capture_one(db, project_id)


@pytest.fixture
def project_id(committed: Session) -> UUID:
    project: Project = factories.Project()
    committed.commit()
    return project.id
