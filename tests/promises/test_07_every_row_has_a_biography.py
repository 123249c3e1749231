"""Promise 7, for rows: from a dataset row back to all that led to it, and forward to every version that holds it.

People capture, review, undo, revise and freeze in a random order, and reviewing goes on while versions are frozen. A
diary notes what each person did; at the end every row of every version has to tell just what the diary says.
Set TEST_EFFORT to a number above 1 to try that much longer than continuous integration does.
"""

import dataclasses
import os
import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from hitl.accounts.models import Project, User
from hitl.capture.intake import capture_responses
from hitl.capture.models import Response
from hitl.core import jobs
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.core.secrets import keys_of
from hitl.datasets.biography import Biography, biography, versions_with
from hitl.datasets.freeze import FREEZE_JOB, start_freeze
from hitl.datasets.models import DatasetVersion, FrozenRevision
from hitl.datasets.selection import Selection
from hitl.datasets.storage import storage_of
from hitl.datasets.versions import rows_page
from hitl.preferences.models import EVIDENCE_ORIGINS
from hitl.queue import leases
from hitl.queue.items import add_item
from hitl.queue.models import Item, ItemTarget, Rule
from hitl.queue.queries import running_leases
from hitl.queue.rules import AllCondition, ModelCondition, Terms, change_rule, create_rule
from hitl.review.answers import Answers
from hitl.review.judged import judged_of
from hitl.review.models import Review
from hitl.review.pseudonyms import reviewer_pseudonym
from hitl.review.rubrics import publish_rubric, rubric_in_use, rubric_of
from hitl.review.submission import revise, submit_review, undo
from tests.hitl import factories

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
STEPS = 90
PEOPLE = ("kim", "lee", "sam")
DATASETS = (("pairs", "preference"), ("more-pairs", "preference"), ("shown", "demonstration"))
QUESTIONS, ANSWERS, CORRECTIONS = 6, 3, 3
END_USER = "ada@example.org"

Key = tuple[str, ...]  # question and answers: what a row teaches


@dataclass(frozen=True)
class Captured:
    """A response, as the diary knows it."""

    name: str  # the client's id
    question: str
    answer: str
    model: str
    may_train: str
    rules: frozenset[tuple[str, int, float]]  # name, version and rate of those it was eligible for


@dataclass(frozen=True)
class Said:
    """A revision, as the diary knows it."""

    revision_id: UUID
    number: int
    person: str
    response: Captured
    rubric: int
    correction: str | None
    helpful: int

    def teaches(self, kind: str) -> Key | None:
        """Return the row that this makes; None for none."""
        if self.response.may_train == "no":
            return None
        if kind == "preference":
            return self.correction and (self.response.question, self.correction, self.response.answer)  # type: ignore[return-value]
        shown = self.correction or (self.response.answer if self.helpful >= 4 else None)
        return shown and (self.response.question, shown)  # type: ignore[return-value]


@dataclass
class Office:
    """People at work, each step one transaction, and the diary of what they did."""

    database: Database
    project_id: UUID
    people: dict[str, UUID]
    random: random.Random
    captured: dict[str, Captured] = field(default_factory=dict)
    rubric_of_item: dict[str, int] = field(default_factory=dict)  # by the response's name
    rules: dict[str, tuple[int, float]] = field(default_factory=dict)  # newest version and its rate
    by_hand: set[str] = field(default_factory=set)
    said: dict[UUID, Said] = field(default_factory=dict)  # by review: what counts now
    frozen: dict[UUID, dict[Key, set[Said]]] = field(default_factory=dict)  # by version: what has to be in it
    rubric: int = 1

    def open(self) -> None:
        self.change_terms("Random sample")
        self.change_terms("Small model")
        for _ in range(6):
            self.capture()

    def step(self) -> None:
        chosen = self.random.choices(
            [self.capture, self.pick_by_hand, self.review, self.undo, self.revise, self.change_terms, self.new_rubric],
            [2, 1, 10, 2, 3, 0.5, 0.3],
        )[0]
        chosen()

    def capture(self) -> None:
        names = [f"response {len(self.captured) + n}" for n in range(3)]
        made = [self._response(name) for name in names]
        rows = [
            {
                "client_id": one.name,
                "input": {"messages": [{"role": "user", "content": one.question}]},
                "output": {"role": "assistant", "content": one.answer},
                "model": one.model,
                "may_train": one.may_train,
                "end_user": self.random.choice([None, END_USER]),
            }
            for one in made
        ]
        with self.database.writing() as db:
            results = capture_responses(db, db.get_one(Project, self.project_id), rows, keys_of(db))
            assert [result.status for result in results] == ["created"] * 3
        self.captured.update((one.name, one) for one in made)
        self._let_rules_draw()
        self._note_items()

    def _response(self, name: str) -> Captured:
        model = self.random.choice(["small", "large"])
        eligible = [rule for rule in self.rules if rule == "Random sample" or model == "small"]
        return Captured(
            name,
            f"Question {self.random.randrange(QUESTIONS)}?",
            f"Answer {self.random.randrange(ANSWERS)}.",
            model,
            self.random.choice(["yes", "yes", "yes", "no"]),
            frozenset((rule, *self.rules[rule]) for rule in eligible),
        )

    def _let_rules_draw(self) -> None:
        """Work until all has been drawn, some of it perhaps by the worker who freezes at this time."""
        is_due = (jobs.Job.state.in_(("queued", "running")), jobs.Job.every_seconds.is_(None))
        waiting = select(func.count()).select_from(jobs.Job).where(*is_due, jobs.Job.kind != FREEZE_JOB)
        is_left = True
        while is_left:
            self.work()
            with self.database.reading() as db:
                is_left = db.scalar(waiting) != 0

    def _note_items(self) -> None:
        with self.database.reading() as db:
            names = select(Response.client_id).join(ItemTarget, ItemTarget.response_id == Response.id)
            for name in db.scalars(names):
                self.rubric_of_item.setdefault(name, self.rubric)

    def pick_by_hand(self) -> None:
        free = sorted(self.captured.keys() - self.rubric_of_item.keys())
        if not free:
            return
        name = self.random.choice(free)
        with self.database.writing() as db:
            response = db.scalars(select(Response).where(Response.client_id == name)).one()
            add_item(db, db.get_one(Project, self.project_id), [response], reviews_wanted=2)
        self.by_hand.add(name)
        self.rubric_of_item[name] = self.rubric

    def review(self) -> None:
        person = self.random.choice(PEOPLE)
        with self.database.writing() as db:
            user, project = db.get_one(User, self.people[person]), db.get_one(Project, self.project_id)
            lease = db.scalars(running_leases(user, project)).first() or leases.claim(db, project, user)
            if lease is None:
                return
            review = submit_review(db, lease, self._answers(db, lease.item))
            assert review.standing == "counted"
            said = self._note(review, person)
        self.said[review.id] = said

    def undo(self) -> None:
        person = self.random.choice(PEOPLE)
        try:
            with self.database.writing() as db:
                user, project = db.get_one(User, self.people[person]), db.get_one(Project, self.project_id)
                lease = undo(db, user, project)
                query = select(Review.id).where(Review.item_id == lease.item_id, Review.reviewer_id == user.id)
                review_id = db.scalars(query).one()
        except AppError:  # nothing to undo, or three leases already
            return
        del self.said[review_id]

    def revise(self) -> None:
        if not self.said:
            return
        review_id = self.random.choice(sorted(self.said))
        with self.database.writing() as db:
            review = db.get_one(Review, review_id)
            revise(db, review, self._answers(db, review.item))
            self.said[review_id] = self._note(review, self.said[review_id].person)

    def change_terms(self, name: str | None = None) -> None:
        name = name or self.random.choice(sorted(self.rules))
        condition = AllCondition() if name == "Random sample" else ModelCondition(name="small")
        rate = self.random.choice([0.25, 0.5, 0.75])
        terms = Terms(condition=condition, rate=rate, reviews_wanted=self.random.choice([1, 2, 3]))
        with self.database.writing() as db:
            project = db.get_one(Project, self.project_id)
            if name not in self.rules:
                create_rule(db, project, name, terms)
                self.rules[name] = (1, rate)
            else:
                rule = db.scalars(select(Rule).filter_by(project_id=project.id, name=name)).one()
                self.rules[name] = (change_rule(db, rule, terms).number, rate)

    def new_rubric(self) -> None:
        with self.database.writing() as db:
            project = db.get_one(Project, self.project_id)
            self.rubric = publish_rubric(db, project, rubric_in_use(db, project)).number

    def _answers(self, db: Any, item: Item) -> Answers:
        judged = judged_of(db, item)
        output = judged.output
        assert output is not None
        correction = self.random.choice(
            [None, f"  {output['content']} ", *(f"Better {n}." for n in range(CORRECTIONS))]
        )
        given = {"helpful": self.random.randint(1, 5), "correction": correction}
        return Answers.read(rubric_of(db, item), given, judged)

    def _note(self, review: Review, person: str) -> Said:
        newest = max(review.revisions, key=lambda revision: revision.number)
        response = review.item.targets[0].response
        assert response is not None
        name = str(response.client_id)
        correction = next((str(one.output["content"]) for one in newest.corrections), None)
        helpful = next(int(one.value or 0) for one in newest.ratings)
        captured, rubric = self.captured[name], self.rubric_of_item[name]
        return Said(newest.id, newest.number, person, captured, rubric, correction, helpful)

    def freeze(self) -> None:
        """Start a freeze, and go on reviewing while a worker does it."""
        name, kind = self.random.choice(DATASETS)
        with self.database.writing() as db:
            project = db.get_one(Project, self.project_id)
            version = start_freeze(db, project, name, kind, Selection(policy="each"))  # type: ignore[arg-type]
        expected: dict[Key, set[Said]] = defaultdict(set)
        for said in self.said.values():
            if (key := said.teaches(kind)) is not None:
                expected[key].add(said)
        worker = threading.Thread(target=self.work)
        worker.start()
        while worker.is_alive():
            self.step()
        worker.join()
        self.work()
        with self.database.reading() as db:
            frozen = db.get_one(DatasetVersion, version.id)
            earlier = [
                self.frozen[one.id]
                for one in db.scalars(select(DatasetVersion).filter_by(dataset_id=frozen.dataset_id, state="frozen"))
                if one.id != version.id
            ]
            assert not db.scalars(select(FrozenRevision.revision_id)).all()
        if not expected:
            assert frozen.state == "failed", frozen.statistics
        elif expected in earlier:
            assert (frozen.state, str(frozen.error)[:11]) == ("failed", "Nothing new")
        else:
            assert (frozen.state, frozen.error) == ("frozen", None)
            self.frozen[version.id] = expected

    def work(self) -> None:
        jobs.Worker(self.database).run_until_idle()


@pytest.mark.timeout(600 * EFFORT)
@pytest.mark.parametrize("seed", range(2 * EFFORT))
def test_every_row_tells_who_decided_what_and_which_versions_hold_it(office, seed):
    office.random.seed(seed)
    office.open()
    for number in range(STEPS):
        office.step()
        if number % 12 == 11:
            office.freeze()
    assert len(office.frozen) >= 3

    books = {version_id: read_book(office, version_id) for version_id in office.frozen}
    for version_id, rows in books.items():
        assert rows.keys() == office.frozen[version_id].keys()
        for key, row in rows.items():
            ensure_true(office, books, version_id, key, row)
    ensure_responses_lead_forward(office, books)
    ensure_test_stays_test(office, books)


def read_book(office: Office, version_id: UUID) -> dict[Key, dict[str, Any]]:
    """Return a version's rows by what they teach."""
    with office.database.reading() as db:
        rows = rows_page(storage_of(db), db.get_one(DatasetVersion, version_id), limit=10_000).rows
    by_key = {
        (
            row["prompt"][0]["content"],
            *(row[side]["content"] for side in ("chosen", "rejected", "completion") if side in row),
        ): row
        for row in rows
    }
    assert len(by_key) == len(rows)
    return by_key


def ensure_true(office: Office, books: Any, version_id: UUID, key: Key, row: dict[str, Any]) -> None:
    expected = office.frozen[version_id][key]
    with office.database.reading() as db:
        version = db.get_one(DatasetVersion, version_id)
        told = biography(db, version, row["id"])
        pseudonyms = {
            person: reviewer_pseudonym(db, office.project_id, user_id) for person, user_id in office.people.items()
        }
        places = {
            (books_version.dataset.name, books_version.number, rows[key]["split"])
            for other_id, rows in books.items()
            if key in rows
            and (books_version := db.get_one(DatasetVersion, other_id)).dataset.kind == version.dataset.kind
        }
    counting = {said.revision_id for said in office.said.values()}
    assert {
        (one.revision_id, one.revision, one.reviewer, one.rubric_version, one.counts_today) for one in told.reviews
    } == {
        (said.revision_id, said.number, pseudonyms[said.person], said.rubric, said.revision_id in counting)
        for said in expected
    }
    assert {(one.client_id, one.model) for one in told.responses} == {
        (said.response.name, said.response.model) for said in expected
    }
    assert sorted(one.cause_id for one in told.evidence) == sorted(said.revision_id for said in expected)
    assert {one.origin for one in told.evidence} <= {*EVIDENCE_ORIGINS, "approval"}
    assert {(one.dataset, one.version, one.split) for one in told.versions} == places
    assert all(one.row_ids == [row["id"]] for one in told.versions)
    ensure_chances_are_true(office, told, {said.response for said in expected})
    everything = repr(dataclasses.asdict(told))
    assert END_USER not in everything
    assert not any(str(user_id) in everything for user_id in office.people.values())


def ensure_chances_are_true(office: Office, told: Biography, responses: set[Captured]) -> None:
    names = {one.id: one.client_id for one in told.responses}
    chances: dict[str, float | None] = {}
    for response in responses:
        rules = [rule for rule in told.rules if names[rule.response_id] == response.name]
        assert {(rule.name, rule.version, rule.rate) for rule in rules} == response.rules
        is_drawn = any(rule.is_drawn for rule in rules)
        assert is_drawn != (response.name in office.by_hand)
        chances[response.name] = 1 - prod(1 - rate for _, _, rate in response.rules) if is_drawn else None
    assert told.inclusion_probability == pytest.approx(chances[str(told.responses[0].client_id)])


def ensure_responses_lead_forward(office: Office, books: Any) -> None:
    """Of each response, the versions and the rows made of it are named, and no others."""
    with office.database.reading() as db:
        for response in db.scalars(select(Response).where(Response.project_id == office.project_id)):
            expected = {
                (version.dataset.name, version.number, row["id"])
                for version_id, rows in books.items()
                for key, row in rows.items()
                if any(said.response.name == response.client_id for said in office.frozen[version_id][key])
                and (version := db.get_one(DatasetVersion, version_id))
            }
            told = versions_with(db, response.id)
            assert {(one.dataset, one.version, row_id) for one in told for row_id in one.row_ids} == expected


def ensure_test_stays_test(office: Office, books: Any) -> None:
    with office.database.reading() as db:
        versions = {version_id: db.get_one(DatasetVersion, version_id) for version_id in books}
    for (before, old), (after, new) in product(books.items(), repeat=2):
        if (
            versions[before].dataset_id != versions[after].dataset_id
            or versions[before].number > versions[after].number
        ):
            continue
        tested = {row["input_hash"] for row in old.values() if row["split"] == "test"}
        assert all(row["split"] == "test" for row in new.values() if row["input_hash"] in tested)


@pytest.fixture
def office(shared_database, committed):
    project = factories.Project()
    people = {name: factories.Membership(project=project, user__name=name).user.id for name in PEOPLE}
    committed.commit()
    return Office(shared_database, project.id, people, random.Random())
