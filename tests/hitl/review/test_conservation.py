"""Promise 2 seen from reviewing: whatever is submitted, taken back, revised, admitted or let go, in whatever order."""

import random
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.core import clock
from hitl.core.errors import AppError
from hitl.preferences.models import Evidence
from hitl.preferences.queries import counting_evidence
from hitl.queue import leases
from hitl.queue.models import Item, Lease
from hitl.review.answers import Answers
from hitl.review.models import Review, Revision
from hitl.review.submission import admit, reopen_review, revise, submit_review
from tests.hitl import factories
from tests.hitl.queue.conservation import ensure_conserved


class Team:
    """Three people on five items that want two reviews each, who do one thing at random after another."""

    def __init__(self, db, seed):
        self.db = db
        self.random = random.Random(seed)
        self.project = factories.Project()
        self.people = [factories.Membership(project=self.project).user for _ in range(3)]
        for _ in range(5):
            factories.Item(project=self.project, reviews_wanted=2)

    def do_something(self):
        act = self.random.choice(
            [self.claim] * 4
            + [self.submit] * 4
            + [self.undo, self.edit, self.admit, self.admit, self.let_expire, self.give_back, self.skip]
        )
        with suppress(AppError):  # a refusal is an answer too
            act()
        ensure_conserved(self.db, self.project.id)
        self.ensure_that_counted_reviews_keep_a_slot()
        self.ensure_that_evidence_is_of_what_counts()

    def claim(self):
        leases.claim(self.db, self.project, self.random.choice(self.people))

    def submit(self):
        lease = self.any_of(Lease)  # running or over
        if lease:
            submit_review(self.db, lease, self.answers())

    def undo(self):
        review = self.any_of(Review)
        if review:
            reopen_review(self.db, review)

    def edit(self):
        review = self.any_of(Review)
        if review:
            revise(self.db, review, self.answers())

    def admit(self):
        extra = self.any_of(Review, Review.standing == "extra")
        if extra:
            admit(self.db, extra)

    def let_expire(self):
        lease = self.any_of(Lease, Lease.ended_as.is_(None))
        if lease:
            lease.expires_at = clock.now() - timedelta(seconds=1)
            self.db.flush()
            leases.expire_due(self.db)

    def give_back(self):
        lease = self.any_of(Lease, Lease.ended_as.is_(None))
        if lease:
            leases.give_back(self.db, lease)

    def skip(self):
        lease = self.any_of(Lease, Lease.ended_as.is_(None))
        if lease and self.random.random() < 0.2:
            leases.skip(self.db, lease)

    def any_of(self, table, *conditions):
        found = self.db.scalars(select(table).where(table.project_id == self.project.id, *conditions)).all()
        return self.random.choice(found) if found else None

    def answers(self):
        values = {"helpful": self.random.randint(1, 5)}
        if self.random.random() < 0.5:
            values["correction"] = {"role": "assistant", "content": f"Better {self.random.random()}"}
        return Answers(values)

    def ensure_that_counted_reviews_keep_a_slot(self):
        for item in self.db.scalars(select(Item).where(Item.project_id == self.project.id)):
            reviews = self.db.scalars(select(Review).where(Review.item_id == item.id)).all()
            keeping = select(Lease.id).where(Lease.item_id == item.id, Lease.ended_as == "completed", Lease.holds_slot)
            assert {review.lease_id for review in reviews if review.standing == "counted"} == set(
                self.db.scalars(keeping)
            )
            for review in reviews:
                assert (review.counting_revision_id is not None) == (review.standing == "counted")

    def ensure_that_evidence_is_of_what_counts(self):
        newest = {}
        for revision in self.db.scalars(
            select(Revision).join(Revision.review).where(Review.standing == "counted").order_by(Revision.number)
        ):
            newest[revision.review_id] = revision
        said = {r.id: [c.output for c in r.corrections] for r in newest.values() if r.corrections}
        counting = self.db.scalars(counting_evidence(self.project)).all()
        assert {evidence.revision_id: [evidence.a_output] for evidence in counting} == said
        assert len(counting) == len(said)


@pytest.mark.parametrize("seed", range(3))
def test_slots_reviews_and_evidence_agree_after_each_of_seventy_steps(db, seed):
    team = Team(db, seed)

    for _ in range(70):
        team.do_something()

    assert db.scalars(select(Review)).all()
    assert db.scalars(select(Evidence)).all()
