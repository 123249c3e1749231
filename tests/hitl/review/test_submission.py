import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from hitl.accounts.models import AuditEntry, Project
from hitl.core import clock
from hitl.queue import leases
from hitl.queue.errors import LeaseEnded, NoOpenSlot
from hitl.queue.models import Lease
from hitl.review.answers import Answers
from hitl.review.drafts import draft_of, save_draft
from hitl.review.errors import AlreadySubmitted, AnswersIncomplete, NotAnExtra, NothingToUndo, ReviewIsOpen
from hitl.review.judged import judged_of
from hitl.review.models import Review, Revision
from hitl.review.rubrics import rubric_of
from hitl.review.submission import admit, reopen_review, revise, submit_review, undo
from hitl.review.unblinding import look_at_models
from tests.hitl import factories


def answers_to(held, comment=None, **values):
    """Answers to the item that a lease or a review is about."""
    db = factories.session()
    return Answers.read(rubric_of(db, held.item), values, judged_of(db, held.item), comment=comment)


def late_lease(**more):
    """A lease whose time was over, and whose slot somebody else took and used."""
    item = factories.Item(open_slots=0)
    return factories.Lease(item=item, holds_slot=False, ended_as="expired", ended_at=clock.now(), **more)


class TestSubmitReview:
    def test_it_keeps_the_answers_and_completes_the_lease(self, db, lease):
        answers = answers_to(lease, helpful=4, wrong=["rude"], correction="Sorry.", comment="short")

        review = submit_review(db, lease, answers, seconds_on_display=12.5)

        revision = review.revisions[-1]
        assert review.standing == "counted"
        assert review.counting_revision_id == revision.id
        assert revision.seconds_on_display == 12.5
        assert Answers.of(revision, rubric_of(db, lease.item)) == answers
        assert lease.ended_as == "completed"

    def test_it_drops_the_draft(self, db, lease):
        save_draft(db, lease.item, lease.reviewer, {"helpful": 4}, 0)

        submit_review(db, lease, answers_to(lease, helpful=4))

        assert draft_of(db, lease.item, lease.reviewer) is None

    def test_it_names_what_is_missing_and_stores_nothing(self, db, lease):
        with pytest.raises(AnswersIncomplete):
            submit_review(db, lease, answers_to(lease, wrong=["rude"]))

        assert lease.ended_as is None
        assert db.scalar(select(func.count()).select_from(Review)) == 0

    def test_a_late_review_takes_an_open_slot_and_counts(self, db):
        lease = factories.Lease(
            item=factories.Item(open_slots=1), holds_slot=False, ended_as="expired", ended_at=clock.now()
        )

        review = submit_review(db, lease, answers_to(lease, helpful=4))

        assert review.standing == "counted"
        assert lease.item.open_slots == 0

    def test_a_late_review_without_an_open_slot_is_kept_as_an_extra(self, db):
        lease = late_lease()

        review = submit_review(db, lease, answers_to(lease, helpful=4))

        assert review.standing == "extra"
        assert review.counting_revision_id is None

    def test_the_same_submission_again_is_the_same_review(self, db, lease):
        first = submit_review(db, lease, answers_to(lease, helpful=4, correction="Sorry."))

        again = submit_review(db, lease, answers_to(lease, helpful=4, correction="Sorry."))

        assert again is first
        assert len(again.revisions) == 1

    def test_another_submission_for_the_same_lease_is_refused(self, db, lease):
        submit_review(db, lease, answers_to(lease, helpful=4))

        with pytest.raises(AlreadySubmitted):
            submit_review(db, lease, answers_to(lease, helpful=5))

    def test_nobody_reviews_what_they_skipped(self, db, lease):
        leases.skip(db, lease)

        with pytest.raises(LeaseEnded):
            submit_review(db, lease, answers_to(lease, helpful=4))

    def test_a_page_of_an_ended_lease_submits_under_the_newer_one(self, db):
        old = factories.Lease(
            item=factories.Item(open_slots=0), holds_slot=False, ended_as="expired", ended_at=clock.now()
        )
        newer = factories.Lease(item=old.item, reviewer=old.reviewer)

        review = submit_review(db, old, answers_to(old, helpful=4))

        assert review.standing == "counted"
        assert db.scalars(select(Lease).where(Lease.ended_as.is_(None))).all() == []
        assert submit_review(db, newer, answers_to(newer, helpful=4)) is review

    @pytest.fixture
    def lease(self, db):
        return factories.Lease()


class TestUndo:
    def test_it_gives_the_item_back_with_its_slot_and_the_answers_as_a_draft(self, db, review):
        lease = undo(db, review.reviewer, db.get_one(Project, review.project_id))

        assert (review.standing, review.counting_revision_id) == ("reopened", None)
        assert lease.ended_as is None
        assert lease.holds_slot
        assert draft_of(db, review.item, review.reviewer).answers == {
            "helpful": 2,
            "correction": "Sorry.",
            "comment": "short",
        }

    def test_submitting_again_is_the_next_revision_of_the_same_review(self, db, review):
        lease = reopen_review(db, review)

        again = submit_review(db, lease, answers_to(lease, helpful=5))

        assert again is review
        assert [revision.number for revision in review.revisions] == [1, 2]
        assert review.standing == "counted"
        assert review.counting_revision_id == review.revisions[-1].id
        assert draft_of(db, review.item, review.reviewer) is None

    def test_it_takes_back_the_last_submit_and_then_the_one_before(self, db):
        reviewer = factories.User()
        project = factories.Project()
        reviews = []
        for _ in range(2):
            lease = factories.Lease(item=factories.Item(project=project, open_slots=0), reviewer=reviewer)
            reviews.append(submit_review(db, lease, answers_to(lease, helpful=4)))

        undo(db, reviewer, project)
        assert [review.standing for review in reviews] == ["counted", "reopened"]
        undo(db, reviewer, project)
        assert [review.standing for review in reviews] == ["reopened", "reopened"]

        with pytest.raises(NothingToUndo):
            undo(db, reviewer, project)

    def test_an_edit_of_an_older_review_is_not_the_last_submit(self, db):
        reviewer = factories.User()
        project = factories.Project()
        reviews = []
        for _ in range(2):
            lease = factories.Lease(item=factories.Item(project=project, open_slots=0), reviewer=reviewer)
            reviews.append(submit_review(db, lease, answers_to(lease, helpful=4)))
        revise(db, reviews[0], answers_to(reviews[0], helpful=5))

        undo(db, reviewer, project)

        assert [review.standing for review in reviews] == ["counted", "reopened"]

    def test_it_never_takes_back_what_others_submitted(self, db, review):
        with pytest.raises(NothingToUndo):
            undo(db, factories.User(), db.get_one(Project, review.project_id))

    def test_once_its_lease_expires_the_slot_goes_to_others_and_the_draft_stays(self, db, review):
        lease = reopen_review(db, review)
        lease.expires_at = clock.now() - timedelta(minutes=1)
        db.flush()

        leases.expire_due(db)

        assert review.item.open_slots == 1
        assert review.standing == "reopened"
        assert draft_of(db, review.item, review.reviewer).answers["helpful"] == 2

    def test_after_that_a_late_submit_counts_only_while_the_slot_is_open(self, db, review):
        lease = reopen_review(db, review)
        lease.expires_at = clock.now() - timedelta(minutes=1)
        db.flush()
        leases.expire_due(db)
        review.item.open_slots = 0  # somebody else took it

        late = submit_review(db, lease, answers_to(lease, helpful=1))

        assert late.standing == "extra"
        assert late.counting_revision_id is None

    def test_a_repeat_of_the_submission_that_was_taken_back_is_refused(self, db, review):
        old = review.lease
        reopen_review(db, review)

        with pytest.raises(ReviewIsOpen):
            submit_review(db, old, answers_to(old, helpful=2, correction="Sorry.", comment="short"))

    def test_an_open_review_cannot_be_taken_back_or_revised(self, db, review):
        reopen_review(db, review)

        with pytest.raises(ReviewIsOpen):
            reopen_review(db, review)
        with pytest.raises(ReviewIsOpen):
            revise(db, review, answers_to(review, helpful=3))

    def test_an_extra_that_is_taken_back_holds_no_slot(self, db):
        lease = late_lease()
        review = submit_review(db, lease, answers_to(lease, helpful=4))

        again = reopen_review(db, review)

        assert not again.holds_slot
        assert submit_review(db, again, answers_to(again, helpful=3)).standing == "extra"

    def test_the_draft_of_an_old_tab_cannot_overwrite_the_restored_one(self, db):
        lease = factories.Lease()
        old_tab = save_draft(db, lease.item, lease.reviewer, {"helpful": 1}, 0).number
        review = submit_review(db, lease, answers_to(lease, helpful=4))

        reopen_review(db, review)

        assert draft_of(db, lease.item, lease.reviewer).number > old_tab

    @pytest.fixture
    def review(self, db):
        lease = factories.Lease()
        return submit_review(db, lease, answers_to(lease, helpful=2, correction="Sorry.", comment="short"))


class TestRevise:
    def test_the_newest_revision_is_what_counts(self, db, review):
        revision = revise(db, review, answers_to(review, helpful=5), seconds_on_display=3)

        assert revision.number == 2
        assert review.counting_revision_id == revision.id
        assert [rating.value for rating in review.revisions[0].ratings] == [2]

    def test_the_same_answers_are_no_new_revision(self, db, review):
        assert revise(db, review, answers_to(review, helpful=2)).number == 1

    def test_it_asks_for_all_that_the_rubric_asks(self, db, review):
        with pytest.raises(AnswersIncomplete):
            revise(db, review, answers_to(review))

    def test_an_extra_stays_one(self, db):
        lease = late_lease()
        review = submit_review(db, lease, answers_to(lease, helpful=4))

        revise(db, review, answers_to(review, helpful=5))

        assert review.standing == "extra"
        assert review.counting_revision_id is None

    def test_once_its_author_asked_for_the_models_it_is_marked_and_does_not_count(self, db):
        lease = factories.Lease(item=factories.Comparison(open_slots=0))
        first, second = judged_of(db, lease.item).by_name
        review = submit_review(db, lease, answers_to(lease, ranking=[[first], [second]]))
        look_at_models(db, review)
        before = review.counting_revision_id

        revision = revise(db, review, answers_to(review, ranking=[[second], [first]]))

        assert revision.is_unblinded
        assert review.counting_revision_id == before

    @pytest.fixture
    def review(self, db):
        lease = factories.Lease()
        return submit_review(db, lease, answers_to(lease, helpful=2))


class TestAdmit:
    def test_an_extra_takes_an_open_slot_and_counts(self, db, extra):
        extra.item.open_slots = 1
        extra.item.reviews_wanted = 2

        admit(db, extra, by=factories.User())

        assert extra.standing == "counted"
        assert extra.counting_revision_id == extra.revisions[-1].id
        assert extra.lease.holds_slot
        assert extra.item.open_slots == 0
        assert db.scalar(select(AuditEntry.action)) == "review_admitted"

    def test_it_needs_an_open_slot(self, db, extra):
        with pytest.raises(NoOpenSlot):
            admit(db, extra)

    def test_only_extras_can_be_admitted(self, db, extra):
        extra.item.open_slots = 2
        admit(db, extra)

        with pytest.raises(NotAnExtra):
            admit(db, extra)

    def test_it_can_be_taken_back_like_any_other(self, db, extra):
        extra.item.open_slots = 1
        admit(db, extra)

        assert reopen_review(db, extra).holds_slot

    @pytest.fixture
    def extra(self, db):
        lease = late_lease()
        return submit_review(db, lease, answers_to(lease, helpful=4))


class TestAtOnce:
    def test_a_submission_sent_twice_at_once_is_one_review(self, shared_database):
        lease_id, answers = self.committed_lease(shared_database)
        together = threading.Barrier(8)

        def submit(_):
            together.wait()
            with shared_database.writing() as db:
                return submit_review(db, db.get_one(Lease, lease_id), answers).id

        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(submit, range(8)))

        assert len(ids) == 1
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(Revision)) == 1

    def test_of_two_different_submissions_at_once_one_is_refused(self, shared_database):
        lease_id, _ = self.committed_lease(shared_database)
        together = threading.Barrier(2)

        def submit(value):
            together.wait()
            try:
                with shared_database.writing() as db:
                    submit_review(db, db.get_one(Lease, lease_id), Answers({"helpful": value}))
                    return value
            except AlreadySubmitted:
                return None

        with ThreadPoolExecutor(2) as pool:
            kept = [value for value in pool.map(submit, (1, 5)) if value is not None]

        assert len(kept) == 1
        with shared_database.reading() as db:
            assert [rating.value for rating in db.scalars(select(Revision)).one().ratings] == kept

    def test_edits_at_once_are_numbered_one_after_the_other(self, shared_database):
        lease_id, answers = self.committed_lease(shared_database)
        with shared_database.writing() as db:
            review_id = submit_review(db, db.get_one(Lease, lease_id), answers).id

        def edit(number):
            with shared_database.writing() as db:
                revise(db, db.get_one(Review, review_id), Answers({"helpful": 5}, comment=str(number)))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(edit, range(6)))

        with shared_database.reading() as db:
            numbers = db.scalars(select(Revision.number).order_by(Revision.number)).all()
            review = db.scalars(select(Review)).one()
            newest = db.scalars(select(Revision).where(Revision.number == 7)).one()
        assert numbers == [1, 2, 3, 4, 5, 6, 7]
        assert review.counting_revision_id == newest.id

    def committed_lease(self, database):
        with database.writing() as db:
            factories.bind(db)
            lease = factories.Lease()
            answers = answers_to(lease, helpful=4, correction="Sorry.")
            factories.unbind()
            return lease.id, answers
