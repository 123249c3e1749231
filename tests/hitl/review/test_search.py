from sqlalchemy import delete

from hitl.accounts.models import Project
from hitl.core import jobs
from hitl.queue.finding import Wanted, items_page
from hitl.review.models import SearchedReview
from hitl.review.search import INDEX_REVIEWS, said_in_reviews
from hitl.review.submission import revise, submit_review
from tests.hitl import factories
from tests.hitl.review.test_submission import answers_to


class TestSearch:
    def test_it_finds_what_a_review_says_now(self, db):
        review, _, elsewhere = (submit(comment="Who says “lifeguard”?", wrong=["rude"]), submit(), submit("Lifeguard."))
        project = db.get_one(Project, review.project_id)

        assert found(db, project, "LIFEGUARD who") == found(db, project, '"says lifeguard"') == [review.item_id]
        assert found(db, project, "rude says") == [review.item_id]
        assert found(db, project, "answer lifeguard") == []  # one word of the response, one of the review
        assert found(db, db.get_one(Project, elsewhere.project_id), "lifeguard") == [elsewhere.item_id]
        asked = [review.item_id, elsewhere.item_id]
        assert said_in_reviews(db, project, "lifeguard", asked) == {review.item_id}

        revise(db, review, answers_to(review, helpful=2, comment="Fine."))

        assert (found(db, project, "lifeguard"), found(db, project, "fine")) == ([], [review.item_id])

    def test_it_finds_what_was_said_before_there_was_a_search(self, committed, shared_database):
        review = submit("Lifeguard?")
        committed.execute(delete(SearchedReview))
        jobs.enqueue(committed, INDEX_REVIEWS, {})
        committed.commit()

        jobs.Worker(shared_database).run_until_idle()

        project = committed.get_one(Project, review.project_id)
        assert found(committed, project, "lifeguard") == [review.item_id]


def submit(comment=None, **values):
    lease = factories.Lease(item=factories.Item(open_slots=0))
    return submit_review(factories.session(), lease, answers_to(lease, helpful=4, comment=comment, **values))


def found(db, project, typed):
    return [item.id for item in items_page(db, project, Wanted(search=typed), cursor=None, limit=9).rows]
