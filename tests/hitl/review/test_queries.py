from datetime import timedelta

import pytest

from hitl.accounts.models import Project
from hitl.core import clock
from hitl.review import queries
from hitl.review.submission import reopen_review, revise, submit_review
from tests.hitl import factories
from tests.hitl.review.test_submission import answers_to


class TestQueries:
    def test_my_reviews_come_newest_first_without_those_that_are_open_again(self, db, project, reviewer):
        first, second, third = (self.review(project, reviewer) for _ in range(3))
        self.review(project, factories.User())
        reopen_review(db, second)

        assert db.scalars(queries.my_reviews(reviewer, project)).all() == [third, first]

    def test_what_a_person_finished_since_a_moment_is_counted_once_each(self, db, project, reviewer):
        before = clock.now() - timedelta(seconds=1)
        review = self.review(project, reviewer)
        self.review(project, reviewer)
        revise(db, review, answers_to(review, helpful=1))

        assert db.scalar(queries.review_count_since(reviewer, project, before)) == 2
        assert db.scalar(queries.review_count_since(reviewer, project, clock.now() + timedelta(seconds=1))) == 0

    def test_the_history_of_an_item_has_each_revision_of_each_reviewer(self, db, project, reviewer):
        review = self.review(project, reviewer)
        revise(db, review, answers_to(review, helpful=1))
        lease = factories.Lease(item=review.item)
        other = submit_review(db, lease, answers_to(lease, helpful=5))

        history = db.scalars(queries.history(review.item)).all()

        assert [(revision.review, revision.number) for revision in history] == [(review, 1), (review, 2), (other, 1)]
        assert db.scalars(queries.reviews_of(review.item)).all() == [review, other]

    def test_all_reviews_of_a_project_are_its_own(self, db, project, reviewer):
        review = self.review(project, reviewer)
        self.review(factories.Project(), reviewer)

        assert db.scalars(queries.reviews_in(project)).all() == [review]
        assert [version.number for version in db.scalars(queries.rubric_versions(project))] == [1]

    def review(self, project, reviewer):
        lease = factories.Lease(item=factories.Item(project=project, open_slots=0), reviewer=reviewer)
        return submit_review(factories.session(), lease, answers_to(lease, helpful=4))

    @pytest.fixture
    def project(self, db) -> Project:
        return factories.Project()

    @pytest.fixture
    def reviewer(self, db):
        return factories.User()
