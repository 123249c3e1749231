"""Promise 2: an item that wants N gets exactly N counted reviews by N people.

In every committed state each of its N slots is open, reserved, held by a running lease, or used by a counted review.
Set TEST_EFFORT to a number above 1 to try that much longer than continuous integration does.
"""

import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hitl.accounts.events import UserDeactivated
from hitl.accounts.models import AuditEntry, Project
from hitl.core import clock, events
from hitl.core.errors import AppError
from hitl.queue import leases
from hitl.queue.comparisons import add_comparisons
from hitl.queue.items import Wish, add_item, assign, change_reviews_wanted, close_by_hand, unassign
from hitl.queue.models import Item, Lease
from hitl.queue.queries import running_leases, stuck_items
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved
from tests.promises.claimers import MOST_REVIEWS, Shift, fast_clock

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
ROOT = Path(__file__).parents[2]
PEOPLE, ITEMS = 50, 80
SECONDS_AT_WORK, MOST_SECONDS_AT_WORK = 8 * EFFORT, 60 * EFFORT
ENOUGH_REVIEWS = 60 * EFFORT


class TestAnySequenceOfEvents:
    @pytest.mark.timeout(600)  # a failure is made as short as it goes before it is shown
    def test_it_conserves_the_slots_and_starves_no_item(self, db, monkeypatch):
        ahead = [timedelta()]
        real_now = clock.now
        monkeypatch.setattr(clock, "now", lambda: real_now() + ahead[0])
        run_state_machine_as_test(
            lambda: Queue(db, ahead),
            settings=settings(
                max_examples=10 * EFFORT,
                stateful_step_count=60,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )


people = st.integers(0, 2)
places = st.integers(0, 1_000)  # which of the rows there are, counted from the newest


class Queue(RuleBasedStateMachine):
    """A small team at a small queue. Each step is one request: a refused one leaves nothing behind."""

    def __init__(self, db: Session, ahead: list[timedelta]) -> None:
        super().__init__()
        self.db, self.ahead = db, ahead
        self.everything = db.begin_nested()
        self.project = factories.Project()
        self.people = [factories.Membership(project=self.project).user for _ in range(3)]
        self.items: list[Item] = []
        self.leases: list[Lease] = []
        self.assignments = []
        self.counted: Counter = Counter()

    @contextmanager
    def request(self):
        try:
            with self.db.begin_nested():
                yield
        except AppError:
            pass

    def lease(self, place):
        return self.leases[-1 - place % len(self.leases)]

    def item(self, place):
        return self.items[-1 - place % len(self.items)]

    @precondition(lambda self: len(self.items) < 3)  # few, so that much happens to each
    @rule(wanted=st.integers(1, 3))
    def add(self, wanted):
        response = factories.Response(project=self.project)
        self.items.append(add_item(self.db, self.project, [response], reviews_wanted=wanted))

    @precondition(lambda self: len(self.items) < 3)
    @rule(wanted=st.integers(1, 3))
    def add_comparison(self, wanted):
        asked = f"What is {len(self.items)}?"
        compared = [factories.Response(project=self.project, asked=asked, text=text).id for text in "ab"]
        self.items += add_comparisons(self.db, self.project, [(compared, Wish(wanted))])

    @precondition(lambda self: self.items)
    @rule(person=people)
    def claim(self, person):
        with self.request():
            lease = leases.claim(self.db, self.project, self.people[person])
            if lease is not None:
                self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(place=places)
    def submit(self, place):
        lease = self.lease(place)
        with self.request():
            if leases.complete(self.db, lease):
                self.counted[lease.item_id, lease.reviewer_id] += 1

    @precondition(lambda self: self.leases)
    @rule(place=places)
    def undo(self, place):
        lease = self.lease(place)
        was_counted = lease.holds_slot
        with self.request():
            self.leases.append(leases.reopen(self.db, lease, was_counted))
            self.counted[lease.item_id, lease.reviewer_id] -= was_counted

    @precondition(lambda self: self.leases)
    @rule(place=places)
    def skip(self, place):
        with self.request():
            leases.skip(self.db, self.lease(place))

    @precondition(lambda self: self.leases)
    @rule(place=places)
    def give_back(self, place):
        with self.request():
            leases.give_back(self.db, self.lease(place))

    @precondition(lambda self: self.leases)
    @rule(place=places)
    def extend(self, place):
        with self.request():
            leases.extend(self.db, self.lease(place))

    @rule(minutes=st.sampled_from([1, 5, 16]))
    def wait(self, minutes):
        self.ahead[0] += timedelta(minutes=minutes)

    @rule()
    def sweep(self):
        leases.expire_due(self.db)

    @precondition(lambda self: self.items)
    @rule(place=places, person=people)
    def assign(self, place, person):
        with self.request():
            self.assignments.append(assign(self.db, self.item(place), self.people[person], by=None))

    @precondition(lambda self: self.assignments)
    @rule(place=places)
    def unassign(self, place):
        unassign(self.db, self.assignments[-1 - place % len(self.assignments)])

    @precondition(lambda self: self.items)
    @rule(place=places, wanted=st.integers(1, 4))
    def change_wanted(self, place, wanted):
        with self.request():
            change_reviews_wanted(self.db, self.item(place), wanted)

    @precondition(lambda self: self.items)
    @rule(place=places)
    def close(self, place):
        with self.request():
            close_by_hand(self.db, self.item(place))

    @rule(person=people)
    def deactivate_or_return(self, person):
        user = self.people[person]
        if user.deactivated_at is None:
            user.deactivated_at = clock.now()
            events.publish(self.db, UserDeactivated(user.id))
        else:
            user.deactivated_at = None

    @invariant()
    def every_slot_is_somewhere(self):
        ensure_conserved(self.db, self.project.id)

    @invariant()
    def what_was_said_to_count_counts(self):
        holding = select(Lease.item_id, Lease.reviewer_id).where(Lease.ended_as == "completed", Lease.holds_slot)
        in_database = {tuple(row) for row in self.db.execute(holding.where(Lease.project_id == self.project.id))}
        assert in_database == {pair for pair, number in self.counted.items() if number}
        assert set(self.counted.values()) <= {0, 1}

    @invariant()
    def nobody_holds_more_than_three(self):
        for person in self.people:
            held = self.db.scalars(running_leases(person, self.project).where(Lease.expires_at > clock.now())).all()
            assert len(held) <= 3

    def teardown(self):
        try:
            self.ahead[0] += timedelta(days=1)
            drain(self.db, self.project, self.people)
        finally:
            self.everything.rollback()


def drain(db, project, people):
    """Let everybody review all that they may; then nothing may be left but what nobody is left for."""
    busy = [person for person in people if person.deactivated_at is None]
    while busy:
        for person in list(busy):
            lease = leases.claim(db, project, person)
            if lease is None:
                busy.remove(person)
            else:
                assert leases.complete(db, lease)
    leases.expire_due(db, project, limit=10_000)
    ensure_conserved(db, project.id)
    unfinished = set(db.scalars(select(Item.id).where(Item.project_id == project.id, Item.closed_at.is_(None))))
    assert unfinished == {item.id for item in db.scalars(stuck_items(project))}


class TestASmallTeam:
    @pytest.fixture
    def project(self, db):
        return factories.Project()

    @pytest.fixture
    def team(self, project):
        return [factories.Membership(project=project).user for _ in range(2)]

    @pytest.fixture
    def item(self, db, project):
        return add_item(db, project, [factories.Response(project=project)], reviews_wanted=2)

    @pytest.mark.parametrize("times", [1, 3])
    def test_it_gets_an_item_back_after_both_leases_expired(self, db, project, team, item, times, monkeypatch):
        real_now, ahead = clock.now, [timedelta()]
        monkeypatch.setattr(clock, "now", lambda: real_now() + ahead[0])
        for _ in range(times):
            for person in team:
                assert leases.claim(db, project, person).item_id == item.id
            ahead[0] += timedelta(minutes=16)

        assert [leases.complete(db, leases.claim(db, project, person)) for person in team] == [True, True]
        assert item.closed_as == "complete"

    def test_it_counts_both_reviews_that_come_late(self, db, project, team, item, monkeypatch):
        held = [leases.claim(db, project, person) for person in team]
        late = clock.now() + timedelta(hours=2)
        monkeypatch.setattr(clock, "now", lambda: late)
        leases.expire_due(db)

        assert [leases.complete(db, lease) for lease in held] == [True, True]
        assert item.closed_as == "complete"

    def test_it_is_told_when_nobody_is_left(self, db, project, team, item):
        leases.skip(db, leases.claim(db, project, team[0]))
        leases.complete(db, leases.claim(db, project, team[1]))

        assert db.scalars(stuck_items(project)).all() == [item]


class TestFiftyAtOnce:
    """Threads in processes that are killed without warning, again and again."""

    def test_they_get_exactly_what_is_wanted(self, committed, shared_database, monkeypatch):
        project = factories.Project()
        people = [factories.Membership(project=project).user for _ in range(PEOPLE)]
        chance = random.Random(2)
        for _ in range(ITEMS):
            response = factories.Response(project=project)
            add_item(committed, project, [response], reviews_wanted=chance.randint(1, MOST_REVIEWS))
        committed.commit()
        deadlocks = count_deadlocks(shared_database)
        since = time.time()
        monkeypatch.setattr(clock, "now", fast_clock(since))

        snapshots = work_and_watch(shared_database, project, people, since)

        assert snapshots > 2
        assert count_deadlocks(shared_database) == deadlocks
        ensure_books_agree(committed, project)
        much_later = clock.now() + timedelta(days=1)
        monkeypatch.setattr(clock, "now", lambda: much_later)
        drain(committed, committed.get_one(Project, project.id), people)


def work_and_watch(database, project, people, since):
    """Let processes work and be killed, and look at one moment's state after another; return how often we looked.

    On SQLite there is one process at a time, as the product has; on PostgreSQL there are four.
    """
    shift = Shift(
        url=database.url.render_as_string(hide_password=False),
        project_id=str(project.id),
        reviewer_ids=[str(person.id) for person in people],
        processes=1 if database.is_sqlite else 4,
        since=since,
        seconds_between_kills=2.5 if database.is_sqlite else 1.2,
        seed=2,
    )
    command = [sys.executable, "-m", "tests.promises.claimers", shift.as_json()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    snapshots = counted = 0
    at_work_since = since
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as foreman:
        while foreman.poll() is None and time.time() < since + MOST_SECONDS_AT_WORK:
            with snapshot(database) as db:
                ensure_conserved(db, project.id)
                counted = db.scalar(select(func.count()).where(AuditEntry.action == "counted"))
            snapshots += 1
            if counted == 0:
                at_work_since = time.time()  # until then they only start, which takes a busy machine long
            if counted > ENOUGH_REVIEWS and time.time() > at_work_since + SECONDS_AT_WORK:
                break
            time.sleep(0.15)
        said = foreman.communicate()[0]
    assert re.fullmatch(r"killed: [1-9]\d*\n", said), said
    assert counted > ENOUGH_REVIEWS, "too slow a machine to say anything"
    return snapshots


@contextmanager
def snapshot(database):
    """One moment of the database: several queries, one state."""
    with database.reading() as db:
        if not database.is_sqlite:
            db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield db


def count_deadlocks(database):
    if database.is_sqlite:
        return 0
    time.sleep(1.1)  # the server collects its statistics once a second
    with database.reading() as db:
        return db.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))


def ensure_books_agree(db, project):
    """Compare the slots that leases keep with the book that was kept apart from them."""
    db.expire_all()
    ensure_conserved(db, project.id)
    book: Counter = Counter()
    for actor_id, item_id, action in db.execute(select(AuditEntry.actor_id, AuditEntry.subject, AuditEntry.action)):
        if action in ("counted", "undone"):
            book[item_id, actor_id] += 1 if action == "counted" else -1
    assert set(book.values()) <= {0, 1}
    keeping = select(Lease.item_id, Lease.reviewer_id).where(Lease.ended_as == "completed", Lease.holds_slot)
    assert {pair for pair, n in book.items() if n} == {(str(item), person) for item, person in db.execute(keeping)}
    per_item = Counter(item_id for (item_id, _), n in book.items() if n)
    for item in db.scalars(select(Item)):
        assert per_item[str(item.id)] <= item.reviews_wanted
        if item.closed_at is not None:
            assert per_item[str(item.id)] == item.reviews_wanted
    db.commit()
