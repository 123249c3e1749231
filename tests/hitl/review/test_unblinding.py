"""Once a comparison was closed, its reviewers know which model wrote what: for good, whatever opens it again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from hitl.accounts.models import Project
from hitl.core import feeds
from hitl.core.errors import AppError
from hitl.preferences.models import Evidence
from hitl.preferences.queries import counting_evidence
from hitl.queue.items import change_reviews_wanted, close_by_hand
from hitl.queue.models import Item, Lease
from hitl.review.judged import judged_of
from hitl.review.models import Review, Revision
from hitl.review.submission import admit, models_named_to_author, reopen_review, revise, submit_review
from tests.hitl import factories
from tests.hitl.review.test_submission import answers_to


@pytest.fixture
def item(db):
    return factories.Comparison(open_slots=0)


def ranks(held, first=0):
    names = list(judged_of(factories.session(), held.item).by_name)
    return answers_to(held, ranking=[[names[first]], [names[1 - first]]])


def submit(item, first=0, **more):
    lease = factories.Lease(item=item, **more)
    return submit_review(factories.session(), lease, ranks(lease, first))


class TestUndoAfterTheClose:
    def test_what_is_submitted_again_is_marked_and_the_blind_revision_counts(self, db, item):
        review = submit(item)
        assert models_named_to_author(db, review) is not None
        blind = review.counting_revision_id

        lease = reopen_review(db, review)
        assert item.closed_at is None
        assert models_named_to_author(db, review) is None
        submit_review(db, lease, ranks(lease, 1))

        assert review.revisions[-1].is_unblinded
        assert review.counting_revision_id == blind
        assert len(db.scalars(select(Evidence)).all()) == 1

    def test_an_item_that_is_still_open_names_nobody_and_undo_counts(self, db):
        item = factories.Comparison(open_slots=1, reviews_wanted=2)
        review = submit(item)
        assert models_named_to_author(db, review) is None

        lease = reopen_review(db, review)
        submit_review(db, lease, ranks(lease, 1))

        assert not review.revisions[-1].is_unblinded
        assert review.counting_revision_id == review.revisions[-1].id


class TestTheSameResponsesInAnotherComparison:
    def test_models_are_named_only_once_that_is_closed_too(self, db, item):
        responses = [target.response for target in item.targets]
        third = factories.Response(project_id=item.project_id, text="Something else.")
        project = db.get_one(Project, item.project_id)
        other = factories.Comparison(project=project, responses=[*responses, third])
        review = submit(item)
        assert item.closed_at is not None
        assert models_named_to_author(db, review) is None

        close_by_hand(db, other)

        assert models_named_to_author(db, review) is not None


class TestOpenedAgainByALead:
    def test_who_saw_the_models_stays_marked_and_who_comes_new_is_blind(self, db, item):
        review = submit(item)
        blind = review.counting_revision_id
        change_reviews_wanted(db, item, 2)
        assert item.closed_at is None

        assert revise(db, review, ranks(review, 1)).is_unblinded
        assert review.counting_revision_id == blind

        item.open_slots -= 1
        newcomer = submit(item)
        assert not newcomer.revisions[-1].is_unblinded
        assert newcomer.counting_revision_id == newcomer.revisions[-1].id

    def test_an_extra_that_was_taken_back_meanwhile_stays_marked(self, db, item):
        submit(item)
        extra = submit(item, holds_slot=False)
        lease = reopen_review(db, extra)
        change_reviews_wanted(db, item, 2)

        submit_review(db, lease, ranks(lease, 1))

        assert extra.standing == "counted"  # it took the open slot
        assert extra.revisions[-1].is_unblinded
        assert extra.counting_revision_id is None

    def test_an_extra_that_was_blind_counts_as_it_was_then_once_admitted(self, db):
        item = factories.Comparison(open_slots=0, reviews_wanted=2)
        extra = submit(item, holds_slot=False)
        assert item.closed_at is not None
        assert not extra.revisions[-1].is_unblinded
        revise(db, extra, ranks(extra, 1))
        change_reviews_wanted(db, item, 3)

        admit(db, extra)

        assert extra.counting_revision_id == extra.revisions[0].id
        assert db.scalars(select(Evidence.revision_id)).all() == [extra.revisions[0].id]

    def test_an_extra_that_was_blind_teaches_what_it_said_then_once_it_takes_a_slot(self, db):
        item = factories.Comparison(open_slots=0, reviews_wanted=2)
        extra = submit(item, holds_slot=False)
        blind = extra.revisions[0].id
        lease = reopen_review(db, extra)
        change_reviews_wanted(db, item, 3)

        submit_review(db, lease, ranks(lease, 1))

        assert (extra.standing, extra.counting_revision_id) == ("counted", blind)
        assert db.scalars(select(Evidence.revision_id)).all() == [blind]


class TestFollowing:
    def test_evidence_that_counts_again_reaches_who_passed_it_meanwhile(self, committed, shared_database):
        review = submit(factories.Comparison(open_slots=0))
        project = review.item.project_id
        committed.commit()
        with shared_database.writing() as db:
            lease = reopen_review(db, db.get_one(Review, review.id))
        passed = evidence_after(shared_database, project, None)
        with shared_database.writing() as db:
            lease = db.get_one(Lease, lease.id)
            names = list(judged_of(db, lease.item).by_name)
            submit_review(db, lease, answers_to(lease, ranking=[[names[1]], [names[0]]]))

        again = evidence_after(shared_database, project, passed.resume_cursor)

        assert passed.rows == []
        assert [row.revision_id for row in again.rows] == [review.counting_revision_id]


def evidence_after(database, project_id, cursor):
    with database.reading() as db:
        query = counting_evidence(db.get_one(Project, project_id))
        return feeds.follow(db, query, Evidence, cursor=cursor, limit=9)


class TestAtOnce:
    @pytest.mark.parametrize("what", ["revise", "undo"])
    def test_what_comes_after_the_close_never_counts(self, shared_database, committed, what):
        """One closes the item, the other revises: in whichever order, what was said unblind does not count."""
        item = factories.Comparison(open_slots=1, reviews_wanted=2)
        review = submit(item)
        answers = ranks(review, 1)
        committed.commit()
        together = threading.Barrier(2)

        def close(_):
            together.wait()
            with shared_database.writing() as db:
                close_by_hand(db, db.get_one(Item, item.id))

        def change(_):
            together.wait()
            try:
                with shared_database.writing() as db:
                    mine = db.get_one(Review, review.id)
                    if what == "revise":
                        revise(db, mine, answers)
                    else:
                        submit_review(db, reopen_review(db, mine), answers)
            except AppError:
                pass

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda work: work(None), (close, change)))

        with shared_database.reading() as db:
            mine = db.get_one(Review, review.id)
            counting = db.get_one(Revision, mine.counting_revision_id)
            newest = db.scalars(select(Revision).order_by(Revision.number.desc()).limit(1)).one()
            assert not counting.is_unblinded
            assert newest.number == 2
            # It counts only if it was made before the close.
            assert (counting.id == newest.id) == (not newest.is_unblinded)
            assert db.scalars(select(Lease.id).where(Lease.ended_as.is_(None))).all() == []
