"""Who asked which model wrote what they compared no longer judges blind: for good, whatever opens it again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from hitl.accounts.models import AuditEntry, Project
from hitl.core import feeds
from hitl.preferences.models import Evidence
from hitl.preferences.queries import counting_evidence
from hitl.queue.items import change_reviews_wanted, close_by_hand
from hitl.queue.models import Lease
from hitl.review.errors import ModelsStayHidden
from hitl.review.judged import judged_of
from hitl.review.models import Review, Revision
from hitl.review.submission import admit, reopen_review, revise, submit_review
from hitl.review.unblinding import look_at_models, models_named_to_author
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


def submit_all_bad(item, **more):
    lease = factories.Lease(item=item, **more)
    return submit_review(factories.session(), lease, answers_to(lease, ranking="all_bad"))


def with_a_third(db, item, **more):
    """Another comparison of the same responses."""
    responses = [target.response for target in item.targets]
    third = factories.Response(project_id=item.project_id, text="Something else.")
    return factories.Comparison(project=db.get_one(Project, item.project_id), responses=[*responses, third], **more)


class TestUndoAfterTheClose:
    def test_who_did_not_ask_still_judges_blind(self, db, item):
        review = submit(item)
        assert item.closed_at is not None
        assert models_named_to_author(db, review) is None

        lease = reopen_review(db, review)
        submit_review(db, lease, ranks(lease, 1))

        assert not review.revisions[-1].is_unblinded
        assert review.counting_revision_id == review.revisions[-1].id
        assert len(db.scalars(select(Evidence)).all()) == 2  # of both revisions; the newer counts

    def test_after_asking_what_is_submitted_again_is_marked_and_the_blind_revision_counts(self, db, item):
        review = submit(item)
        blind = review.counting_revision_id
        look_at_models(db, review)
        look_at_models(db, review)
        assert models_named_to_author(db, review) is not None

        lease = reopen_review(db, review)
        assert item.closed_at is None
        assert models_named_to_author(db, review) is None
        submit_review(db, lease, ranks(lease, 1))

        assert review.revisions[-1].is_unblinded
        assert review.counting_revision_id == blind
        assert len(db.scalars(select(Evidence)).all()) == 1
        assert len(db.scalars(select(AuditEntry).where(AuditEntry.action == "models_looked_at")).all()) == 1

    def test_nobody_may_ask_while_it_is_open_or_their_review_is(self, db):
        item = factories.Comparison(open_slots=1, reviews_wanted=2)
        review = submit(item)
        with pytest.raises(ModelsStayHidden):
            look_at_models(db, review)

        item.open_slots -= 1
        submit(item)
        extra = submit(item, holds_slot=False)
        assert item.closed_at is not None
        reopen_review(db, extra)
        with pytest.raises(ModelsStayHidden):
            look_at_models(db, extra)

        look_at_models(db, review)  # the other one is nothing to them
        assert extra.is_unblinded is False


class TestTheSameResponsesInAnotherComparison:
    def test_models_are_named_only_once_that_is_closed_too(self, db, item):
        other = with_a_third(db, item)
        review = submit(item)
        assert item.closed_at is not None
        with pytest.raises(ModelsStayHidden):
            look_at_models(db, review)

        close_by_hand(db, other)
        look_at_models(db, review)

        assert models_named_to_author(db, review) is not None

    def test_who_asked_in_one_judges_none_of_them_blind(self, db, item):
        review = submit(item)
        other = with_a_third(db, item, open_slots=0, reviews_wanted=2)
        before = submit_all_bad(other, reviewer=review.reviewer)
        submit_all_bad(other)
        look_at_models(db, review)
        later = with_a_third(db, item, open_slots=0, reviews_wanted=2)

        mine, theirs = submit_all_bad(later, reviewer=review.reviewer), submit_all_bad(later)
        changed = revise(db, before, answers_to(before, ranking="unsure"))

        assert [mine.revisions[-1].is_unblinded, theirs.revisions[-1].is_unblinded] == [True, False]
        assert mine.counting_revision_id is None
        assert changed.is_unblinded
        assert before.counting_revision_id == before.revisions[0].id


class TestOpenedAgainByALead:
    def test_who_asked_stays_marked_and_who_did_not_is_blind(self, db):
        item = factories.Comparison(open_slots=0, reviews_wanted=2)
        asked, did_not = submit(item), submit(item)
        look_at_models(db, asked)
        blind = asked.counting_revision_id
        change_reviews_wanted(db, item, 3)
        assert item.closed_at is None

        assert revise(db, asked, ranks(asked, 1)).is_unblinded
        assert asked.counting_revision_id == blind
        assert not revise(db, did_not, ranks(did_not, 1)).is_unblinded
        assert did_not.counting_revision_id == did_not.revisions[-1].id

    def test_an_extra_that_was_taken_back_meanwhile_stays_marked(self, db, item):
        submit(item)
        extra = submit(item, holds_slot=False)
        look_at_models(db, extra)
        lease = reopen_review(db, extra)
        change_reviews_wanted(db, item, 2)

        submit_review(db, lease, ranks(lease, 1))

        assert extra.standing == "counted"  # it took the open slot
        assert extra.revisions[-1].is_unblinded
        # What it said while it was blind counts.
        assert extra.counting_revision_id == extra.revisions[0].id

    def test_an_extra_counts_as_it_was_while_blind_once_admitted(self, db):
        item = factories.Comparison(open_slots=0, reviews_wanted=2)
        extra = submit(item, holds_slot=False)
        assert item.closed_at is not None
        assert not extra.revisions[-1].is_unblinded
        look_at_models(db, extra)
        revise(db, extra, ranks(extra, 1))
        change_reviews_wanted(db, item, 3)

        admit(db, extra)

        assert extra.counting_revision_id == extra.revisions[0].id
        assert db.scalars(select(Evidence.revision_id)).all() == [extra.revisions[0].id]


class TestFollowing:
    def test_evidence_that_counts_again_reaches_who_passed_it_meanwhile(self, committed, shared_database):
        review = submit(factories.Comparison(open_slots=0))
        look_at_models(committed, review)
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
    def test_what_comes_after_asking_never_counts(self, shared_database, committed, what):
        """One tab asks for the models, another changes the review: in either order, nothing unblind counts."""
        review = submit(factories.Comparison(open_slots=0))
        answers = ranks(review, 1)
        committed.commit()
        together = threading.Barrier(2)

        def act(change):
            together.wait()
            try:
                with shared_database.writing() as db:
                    change(db, db.get_one(Review, review.id))
            except ModelsStayHidden:  # it was taken back at that moment
                pass

        def change(db, mine):
            if what == "revise":
                revise(db, mine, answers)
            else:
                submit_review(db, reopen_review(db, mine), answers)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, (look_at_models, change)))

        with shared_database.reading() as db:
            mine = db.get_one(Review, review.id)
            counting = db.get_one(Revision, mine.counting_revision_id)
            newest = db.scalars(select(Revision).order_by(Revision.number.desc()).limit(1)).one()
            assert newest.number == 2
            assert not counting.is_unblinded
            assert (counting.id == newest.id) == (not newest.is_unblinded)
            assert db.scalars(select(Lease.id).where(Lease.ended_as.is_(None))).all() == []
