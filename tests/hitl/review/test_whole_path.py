"""The whole path of a review, as a state machine: whatever people do in whatever order, a model foretells the outcome.

The model knows nothing of tables: it keeps, for each item, where its slots are and who said what. After each step the
database has to say the same: which item is claimed, what is refused, which reviews count, what they teach; and versions
that were frozen stay as they are. TEST_EFFORT above 1 tries that much longer than continuous integration does.
"""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from hitl.accounts.models import Project, User
from hitl.core import clock, jobs
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import Selection
from hitl.datasets.storage import storage_of
from hitl.datasets.versions import rows_page
from hitl.preferences.queries import counting_evidence
from hitl.queue import leases
from hitl.queue.items import assign, close_by_hand
from hitl.queue.models import Item, Lease
from hitl.review.answers import Answers
from hitl.review.drafts import draft_of, save_draft
from hitl.review.models import Review
from hitl.review.submission import admit, reopen_review, revise, submit_review
from hitl.review.unblinding import look_at_models
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
PEOPLE = 3
MAX_ITEMS = 4
people = st.integers(0, PEOPLE - 1)
numbers = st.integers(0, 99)


@dataclass
class Held:
    """A lease, as the model knows it."""

    id: UUID
    item: int
    person: int
    holds: bool = True
    is_running: bool = True
    takes_assignment: bool = False


@dataclass
class Told:
    """A review, as the model knows it."""

    id: UUID
    held: Held
    standing: str
    is_unblinded: bool = False
    said: list[tuple[str, bool]] = field(default_factory=list)  # what, and whether blind

    @property
    def counting(self) -> str | None:
        blind = [what for what, is_blind in self.said if is_blind]
        return blind[-1] if self.standing == "counted" and blind else None


@dataclass
class Slots:
    """An item, as the model knows it: where its slots are, and who did what with it."""

    id: UUID
    responses: list[UUID]
    wanted: int
    open: int
    is_closed: bool = False
    assigned: dict[int, bool] = field(default_factory=dict)  # person: whether it reserves a slot now
    skipped: set[int] = field(default_factory=set)
    reviews: dict[int, Told] = field(default_factory=dict)

    def bars(self, person: int) -> bool:
        told = self.reviews.get(person)
        return person in self.skipped or (told is not None and told.standing != "reopened")


class Path(RuleBasedStateMachine):
    database: Database

    @initialize()
    def open(self) -> None:
        self.items: list[Slots] = []
        self.held: list[Held] = []
        self.frozen: dict[UUID, Any] = {}
        with self.database.writing() as db:
            factories.bind(db)
            self.project_id = factories.Project().id
            project = db.get_one(Project, self.project_id)
            self.people = [factories.Membership(project=project).user.id for _ in range(PEOPLE)]
            factories.unbind()

    # --- What happens ---

    @precondition(lambda self: len(self.items) < MAX_ITEMS)
    @rule(wanted=st.integers(1, 2), compares=st.booleans())
    def capture(self, wanted: int, compares: bool) -> None:
        with self.database.writing() as db:
            factories.bind(db)
            make = factories.Comparison if compares else factories.Item
            item = make(project=db.get_one(Project, self.project_id), reviews_wanted=wanted)
            targets = [target.response_id for target in item.targets]
            self.items.append(Slots(item.id, targets, wanted, wanted))
            factories.unbind()

    @rule(person=people)
    def claim(self, person: int) -> None:
        is_full = len(self.running(person=person)) == leases.MAX_RUNNING_LEASES
        reserved = [n for n, item in enumerate(self.items) if item.assigned.get(person)]
        free = [n for n, item in enumerate(self.items) if item.open and self.is_free_for(n, person)]
        lease = self.act(is_full, lambda db: leases.claim(db, self.project(db), self.user(db, person)))
        if is_full:
            return
        expected = (reserved or free or [None])[0]
        assert (lease and lease.item_id) == (None if expected is None else self.items[expected].id)
        if expected is not None:
            self.held.append(Held(lease.id, expected, person, takes_assignment=bool(reserved)))
            if reserved:
                self.items[expected].assigned[person] = False
            else:
                self.items[expected].open -= 1

    @precondition(lambda self: self.running())
    @rule(which=numbers, typed=st.sampled_from(["1", "2"]))
    def draft(self, which: int, typed: str) -> None:
        held = self.pick(self.running(), which)
        with self.database.writing() as db:
            item, user = db.get_one(Item, self.items[held.item].id), self.user(db, held.person)
            seen = draft_of(db, item, user)
            save_draft(db, item, user, {"helpful": typed}, 0 if seen is None else seen.number)
            saved = draft_of(db, item, user)
            assert saved is not None
            assert saved.answers == {"helpful": typed}

    @precondition(lambda self: self.held)
    @rule(which=numbers, what=st.sampled_from(["first", "second", "tie", "unsure"]))
    def submit(self, which: int, what: str) -> None:
        """Submit under any lease there was: running, over, or long decided."""
        held = self.pick(self.held, which)
        item, told = self.items[held.item], self.items[held.item].reviews.get(held.person)
        is_repeat = told is not None and told.standing != "reopened"
        if is_repeat:
            is_refused = told.said[-1][0] != what
        else:
            is_refused = held.person in item.skipped or (told is not None and told.held is held)
        review = self.act(
            is_refused, lambda db: submit_review(db, db.get_one(Lease, held.id), self.answers(held.item, what))
        )
        if is_refused or is_repeat:
            return
        is_blind = told is None or not told.is_unblinded
        newer = [one for one in self.running(person=held.person, item=held.item) if one is not held]
        has_slot = held.holds or any(one.holds for one in newer) or item.assigned.get(held.person, False)
        for one in newer:
            one.is_running = one.holds = False
        if not has_slot and item.open:
            item.open -= 1
            has_slot = True
        item.assigned.pop(held.person, None)
        held.is_running, held.holds = False, has_slot
        told = item.reviews.setdefault(held.person, Told(review.id, held, ""))
        told.held, told.standing = held, "counted" if has_slot else "extra"
        told.said.append((what, is_blind))
        assert review.standing == told.standing
        self.settle(item)

    @precondition(lambda self: self.running())
    @rule(which=numbers, end=st.sampled_from(["expire", "give_back", "skip"]))
    def let_go(self, which: int, end: str) -> None:
        held = self.pick(self.running(), which)
        item = self.items[held.item]
        with self.database.writing() as db:
            lease = db.get_one(Lease, held.id)
            if end == "skip":
                leases.skip(db, lease)
            elif end == "give_back":
                leases.give_back(db, lease)
            else:
                lease.expires_at = clock.now() - timedelta(seconds=1)
                db.flush()
                assert leases.expire_due(db, self.project(db)) == 1
        if end == "skip":
            item.skipped.add(held.person)
            if held.takes_assignment:
                item.assigned.pop(held.person, None)
        if held.holds:
            if held.takes_assignment and held.person in item.assigned:
                item.assigned[held.person] = True
            else:
                item.open += 1
        held.is_running = held.holds = False
        self.settle(item)

    @precondition(lambda self: self.told())
    @rule(which=numbers)
    def undo(self, which: int) -> None:
        item, told = self.pick(self.told(), which)
        person = told.held.person
        is_refused = told.standing == "reopened" or len(self.running(person=person)) == leases.MAX_RUNNING_LEASES
        lease = self.act(is_refused, lambda db: reopen_review(db, db.get_one(Review, told.id)))
        if is_refused:
            return
        told.held.holds = False
        self.held.append(Held(lease.id, told.held.item, person, holds=told.standing == "counted"))
        told.standing = "reopened"
        self.settle(item)

    @precondition(lambda self: self.told())
    @rule(which=numbers, what=st.sampled_from(["first", "second", "tie", "unsure"]))
    def revise(self, which: int, what: str) -> None:
        _, told = self.pick(self.told(), which)
        is_refused = told.standing == "reopened"
        self.act(is_refused, lambda db: revise(db, db.get_one(Review, told.id), self.answers(told.held.item, what)))
        if not is_refused and told.said[-1][0] != what:
            told.said.append((what, not told.is_unblinded))

    @precondition(lambda self: self.told())
    @rule(which=numbers)
    def ask_for_models(self, which: int) -> None:
        item, told = self.pick(self.told(), which)
        is_refused = len(item.responses) == 1 or not item.is_closed or told.standing == "reopened"
        self.act(is_refused, lambda db: look_at_models(db, db.get_one(Review, told.id)))
        told.is_unblinded = told.is_unblinded or not is_refused

    @precondition(lambda self: self.told())
    @rule(which=numbers)
    def admit(self, which: int) -> None:
        item, told = self.pick(self.told(), which)
        is_refused = told.standing != "extra" or not item.open
        self.act(is_refused, lambda db: admit(db, db.get_one(Review, told.id)))
        if not is_refused:
            item.open -= 1
            told.standing, told.held.holds = "counted", True
            self.settle(item)

    @precondition(lambda self: self.items)
    @rule(which=numbers, person=people)
    def assign(self, which: int, person: int) -> None:
        item = self.pick(self.items, which)
        is_free = self.is_free_for(self.items.index(item), person)
        is_refused = not item.open or not is_free
        self.act(is_refused, lambda db: assign(db, db.get_one(Item, item.id), self.user(db, person), None))
        if not is_refused:
            item.open -= 1
            item.assigned[person] = True

    @precondition(lambda self: self.items)
    @rule(which=numbers)
    def close(self, which: int) -> None:
        item = self.pick(self.items, which)
        is_refused = item.is_closed
        self.act(is_refused, lambda db: close_by_hand(db, db.get_one(Item, item.id)))
        if is_refused:
            return
        item.open, item.is_closed = 0, True
        item.wanted = sum(told.standing == "counted" for told in item.reviews.values())
        item.assigned.clear()
        for held in self.running(item=self.items.index(item)):
            held.holds = False

    @precondition(lambda self: len(self.frozen) < 2 and self.taught())
    @rule()
    def freeze(self) -> None:
        with self.database.writing() as db:
            version = start_freeze(db, self.project(db), "pairs", "preference", Selection(policy="each"))
        jobs.Worker(self.database).run_until_idle()
        rows = self.rows_of(version.id)
        if rows is not None:
            self.frozen[version.id] = rows

    # --- What has to be true ---

    @invariant()
    def the_database_says_the_same(self) -> None:
        if not hasattr(self, "project_id"):
            return
        with self.database.reading() as db:
            ensure_conserved(db, self.project_id)
            for item in self.items:
                stored = db.get_one(Item, item.id)
                assert (stored.open_slots, stored.reviews_wanted) == (item.open, item.wanted)
                assert (stored.closed_at is not None) == item.is_closed
                reviews = {one.reviewer_id: one for one in db.scalars(select(Review).where(Review.item_id == item.id))}
                assert {person: one.standing for person, one in reviews.items()} == {
                    self.people[person]: told.standing for person, told in item.reviews.items()
                }
                counted = [told for told in item.reviews.values() if told.standing == "counted"]
                assert len(counted) <= item.wanted
            found = sorted(self.as_told(one) for one in db.scalars(counting_evidence(self.project(db))))
        assert found == sorted(self.taught())

    @invariant()
    def what_is_frozen_stays(self) -> None:
        for version_id, rows in getattr(self, "frozen", {}).items():
            assert self.rows_of(version_id) == rows

    # --- The model's own words ---

    def act(self, is_refused: bool, work: Any) -> Any:
        """Do something in one transaction; it must be refused exactly if the model says so."""
        done = refusal = None
        try:
            with self.database.writing() as db:
                done = work(db)
        except AppError as error:
            refusal = error
        assert (refusal is not None) == is_refused, refusal or "the model says that this is refused"
        return done

    def running(self, person: int | None = None, item: int | None = None) -> list[Held]:
        return [
            held
            for held in self.held
            if held.is_running and person in (None, held.person) and item in (None, held.item)
        ]

    def told(self) -> list[tuple[Slots, Told]]:
        return [(item, told) for item in self.items for told in item.reviews.values()]

    def taught(self) -> list[tuple[str, ...]]:
        """Return what the counting revisions teach: the better and the worse answer, or two that tie."""
        lessons = []
        for item, told in self.told():
            what = told.counting
            if len(item.responses) == 1:
                if what in ("first", "second"):
                    lessons.append(("better", what, str(item.responses[0])))
            elif what in ("first", "second"):
                best, worst = item.responses if what == "first" else reversed(item.responses)
                lessons.append(("better", str(best), str(worst)))
            elif what == "tie":
                lessons.append(("tie", *sorted(map(str, item.responses))))
        return lessons

    def as_told(self, evidence: Any) -> tuple[str, ...]:
        a, b = (
            str(response_id) if output is None else output["content"]
            for response_id, output in (
                (evidence.a_response_id, evidence.a_output),
                (evidence.b_response_id, evidence.b_output),
            )
        )
        if evidence.outcome == "tie":
            return ("tie", *sorted((a, b)))
        return ("better", a, b) if evidence.outcome == "a" else ("better", b, a)

    def answers(self, number: int, what: str) -> Answers:
        """A correction says its own name; a ranking puts one first, or both in one place."""
        responses = [str(one) for one in self.items[number].responses]
        if len(responses) == 1:
            corrected = {"correction": {"role": "assistant", "content": what}} if what in ("first", "second") else {}
            return Answers({"helpful": {"tie": 3, "unsure": "unsure"}.get(what, 1), **corrected})
        orders: dict[str, Any] = {
            "first": [[responses[0]], [responses[1]]],
            "second": [[responses[1]], [responses[0]]],
            "tie": [sorted(responses)],
            "unsure": "unsure",
        }
        return Answers({"ranking": orders[what]})

    def is_free_for(self, number: int, person: int) -> bool:
        item = self.items[number]
        return not (item.bars(person) or person in item.assigned or self.running(person=person, item=number))

    def settle(self, item: Slots) -> None:
        running = self.running(item=self.items.index(item))
        if item.open or any(held.holds for held in running) or any(item.assigned.values()):
            item.is_closed = False
        elif not running:
            item.is_closed = True

    def project(self, db: Any) -> Project:
        return db.get_one(Project, self.project_id)

    def user(self, db: Any, person: int) -> User:
        return db.get_one(User, self.people[person])

    def pick(self, some: Any, which: int) -> Any:
        return some[which % len(some)]

    def rows_of(self, version_id: UUID) -> Any:
        with self.database.reading() as db:
            version = db.get_one(DatasetVersion, version_id)
            if version.state != "frozen":
                return None
            page = rows_page(storage_of(db), version, limit=1_000)
            return version.content_hash, version.lineage_hash, version.manifest, page.rows


@pytest.mark.timeout(300 * EFFORT)
def test_whatever_people_do_the_model_foretells_it(shared_database):
    machine = type("Path", (Path,), {"database": shared_database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10 * EFFORT,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=EFFORT == 1,  # continuous integration always tries the same
            suppress_health_check=list(HealthCheck),
        ),
    )
