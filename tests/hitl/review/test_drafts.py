from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from hitl.accounts.models import User
from hitl.capture.errors import NotStorable, TooBig
from hitl.queue.models import Item
from hitl.review.drafts import MAX_DRAFT_BYTES, draft_of, drop_draft, save_draft
from hitl.review.errors import AlreadySubmitted, DraftTooLarge, StaleDraft
from hitl.review.models import Draft
from hitl.review.submission import submit_review
from tests.hitl import factories
from tests.hitl.review.test_submission import answers_to


class TestSaveDraft:
    def test_it_keeps_incomplete_answers_and_counts_the_saves(self, db, item, reviewer):
        first = save_draft(db, item, reviewer, {"helpful": 2}, seen_number=0)
        assert first.number == 1

        second = save_draft(db, item, reviewer, {"helpful": 2, "comment": "hm"}, seen_number=1)

        assert second.number == 2
        assert draft_of(db, item, reviewer).answers == {"helpful": 2, "comment": "hm"}

    def test_two_reviewers_have_a_draft_each(self, db, item, reviewer):
        save_draft(db, item, reviewer, {"helpful": 2}, 0)
        save_draft(db, item, factories.User(), {"helpful": 5}, 0)

        assert draft_of(db, item, reviewer).answers == {"helpful": 2}

    @pytest.mark.parametrize("seen", [0, 1, 3])
    def test_a_save_that_saw_another_number_is_refused_and_shown_the_newer_draft(self, db, item, reviewer, seen):
        save_draft(db, item, reviewer, {"helpful": 2}, 0)
        save_draft(db, item, reviewer, {"helpful": 3}, 1)

        with pytest.raises(StaleDraft) as refused:
            save_draft(db, item, reviewer, {"helpful": 4}, seen)

        assert refused.value.status == 409
        assert refused.value.as_json()["error"]["draft"] == {"number": 2, "answers": {"helpful": 3}}
        assert draft_of(db, item, reviewer).answers == {"helpful": 3}

    def test_a_repeated_save_changes_nothing(self, db, item, reviewer):
        save_draft(db, item, reviewer, {"helpful": 2}, 0)

        assert save_draft(db, item, reviewer, {"helpful": 2}, 0).number == 1

    def test_it_outlives_the_lease(self, db):
        lease = factories.Lease(expired=True)

        save_draft(db, lease.item, lease.reviewer, {"helpful": 2}, 0)

        assert draft_of(db, lease.item, lease.reviewer).answers == {"helpful": 2}

    def test_after_the_submit_there_is_nothing_to_save(self, db):
        lease = factories.Lease()
        submit_review(db, lease, answers_to(lease, helpful=4))

        with pytest.raises(AlreadySubmitted):
            save_draft(db, lease.item, lease.reviewer, {"helpful": 2}, 0)

    def test_a_dropped_draft_is_gone_but_its_number_is_not_used_again(self, db, item, reviewer):
        save_draft(db, item, reviewer, {"helpful": 2}, 0)
        drop_draft(db, item, reviewer)

        assert draft_of(db, item, reviewer) is None
        with pytest.raises(StaleDraft):
            save_draft(db, item, reviewer, {"helpful": 2}, 1)
        assert save_draft(db, item, reviewer, {"helpful": 5}, 0).number == 3

    def test_it_refuses_what_is_too_large(self, db, item, reviewer):
        answers = {f"field{n}": "x" * 900_000 for n in range(MAX_DRAFT_BYTES // 900_000 + 1)}

        with pytest.raises(DraftTooLarge):
            save_draft(db, item, reviewer, answers, 0)

    def test_it_refuses_what_cannot_be_stored_and_names_the_place(self, db, item, reviewer):
        with pytest.raises(NotStorable) as refused:
            save_draft(db, item, reviewer, {"why": "a\0b"}, 0)

        assert refused.value.param == "/answers/why"

    def test_it_refuses_what_is_nested_without_end(self, db, item, reviewer):
        answers = {}
        for _ in range(2000):
            answers = {"a": answers}

        with pytest.raises(TooBig):
            save_draft(db, item, reviewer, answers, 0)

    @pytest.fixture
    def item(self, db):
        return factories.Item()

    @pytest.fixture
    def reviewer(self, db):
        return factories.User()


class TestRaces:
    @pytest.mark.parametrize("seen", [0, 1])
    def test_of_ten_saves_over_the_same_draft_one_wins(self, shared_database, seen):
        with shared_database.writing() as db:
            factories.bind(db)
            item_id, reviewer_id = factories.Item().id, factories.User().id
            factories.unbind()
            if seen:
                save_draft(db, db.get_one(Item, item_id), db.get_one(User, reviewer_id), {"comment": "first"}, 0)

        def save(number):
            with shared_database.writing() as db:
                item, reviewer = db.get_one(Item, item_id), db.get_one(User, reviewer_id)
                return save_draft(db, item, reviewer, {"comment": str(number)}, seen).answers["comment"]

        def try_to_save(number):
            try:
                return save(number)
            except StaleDraft:
                return None

        with ThreadPoolExecutor(10) as pool:
            saved = [text for text in pool.map(try_to_save, range(10)) if text is not None]

        with shared_database.reading() as db:
            draft = db.scalars(select(Draft)).one()
        assert [draft.answers["comment"]] == saved
        assert draft.number == seen + 1
