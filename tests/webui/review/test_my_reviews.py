"""What a reviewer decided before: the list, one review, and changing it."""

import re
from contextlib import contextmanager

from sqlalchemy import event, select

from hitl.review.models import Review, Revision
from tests.hitl import factories


class TestMine:
    def test_it_says_when_there_are_none(self, ana, desk):
        page = ana().get(f"{desk.url}/my-reviews").text

        assert "No reviews yet" in page
        assert "Start reviewing" in page

    def test_it_lists_them_newest_first_in_short(self, ana, desk):
        first = desk.hold(desk.add("The older answer.", open_slots=0))
        second = desk.hold(desk.add("The newer answer.", open_slots=0))
        browser = ana()
        submit(browser, desk, first, helpful="unsure", wrong=["made_up", "rude"])
        submit(browser, desk, second, helpful="4", correction="Better words.")

        page = browser.get(f"{desk.url}/my-reviews").text

        assert page.index("The newer answer.") < page.index("The older answer.")
        assert "Helpful 4 · Corrected" in page
        assert "Helpful: cannot judge · What is wrong: Made up, Cold or rude" in page
        assert "Counted" in page

    def test_it_says_what_became_of_each(self, ana, desk):
        item = desk.add(open_slots=0)
        late = factories.Lease(item=item, reviewer=desk.reviewer, expired=True, ended_as="expired", holds_slot=False)
        factories.Lease(item=item)
        taken_back = desk.hold()
        browser = ana()
        submit(browser, desk, late, helpful="4")
        submit(browser, desk, taken_back, helpful="4")
        browser.post(f"{desk.url}/undo")

        page = browser.get(f"{desk.url}/my-reviews").text

        assert "Extra" in page
        assert "Taken back" in page

    def test_it_goes_on_where_a_page_ends(self, ana, desk, monkeypatch):
        monkeypatch.setattr("webui.review.views.REVIEWS_ON_A_PAGE", 2)
        leases = [desk.hold(desk.add(f"Answer {n}.", open_slots=0)) for n in range(3)]
        browser = ana()
        for lease in leases:
            submit(browser, desk, lease, helpful="4")

        first = browser.get(f"{desk.url}/my-reviews").text
        second = browser.get(re.search(r'rel="next" href="([^"]+)"', first)[1]).text

        assert ("Answer 2." in first, "Answer 0." in first) == (True, False)
        assert ("Answer 2." in second, "Answer 0." in second) == (False, True)

    def test_it_asks_the_database_no_more_often_for_more_reviews(self, ana, desk, shared_database):
        leases = [desk.hold(desk.add(f"Answer {n}.", open_slots=0)) for n in range(6)]
        browser = ana()
        counts = []
        for some in (leases[:1], leases[1:]):
            for lease in some:
                submit(browser, desk, lease, helpful="4")
            browser.get(f"{desk.url}/my-reviews")  # the first time, more is looked up
            with queries_counted(shared_database) as asked:
                browser.get(f"{desk.url}/my-reviews")
            counts.append(len(asked))

        assert counts[0] == counts[1]

    def test_it_refuses_a_cursor_of_elsewhere(self, ana, desk):
        assert ana().get(f"{desk.url}/my-reviews?cursor=x").status_code == 422

    def test_it_lists_nobody_elses(self, ana, desk, sign_in):
        other = factories.Membership(project=desk.project).user
        lease = factories.Lease(item=desk.add("Of somebody else.", open_slots=0), reviewer=other)
        submit(sign_in(other), desk, lease, helpful="4")

        assert "Of somebody else." not in ana().get(f"{desk.url}/my-reviews").text


class TestOwnReview:
    def test_it_shows_what_i_said(self, ana, desk, committed):
        lease = desk.hold(desk.add("OK, booked!", open_slots=0))
        browser = ana()
        submit(browser, desk, lease, helpful="2", comment="No room.")

        page = browser.get(review_url(desk, committed)).text

        assert "OK, booked!" in page
        assert re.search(r'name="answer.helpful" value="2"[^>]* checked', page)
        assert "No room.</textarea>" in page
        assert "Save as revision 2" in page

    def test_it_keeps_a_change_as_a_new_revision(self, ana, desk, committed):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="2", comment="First thought.")
        url = review_url(desk, committed)
        committed.rollback()

        answer = browser.post(f"{url}/revisions", data={"answer.helpful": "5"})
        page = browser.get(answer.location).text

        assert [revision.ratings[0].value for revision in revisions(committed)] == [2, 5]
        assert "Saved as revision 2." in page
        assert "1 earlier revision" in page
        assert "First thought." in page

    def test_it_keeps_no_revision_that_changes_nothing(self, ana, desk, committed):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="2")
        url = review_url(desk, committed)
        committed.rollback()

        answer = browser.post(f"{url}/revisions", data={"answer.helpful": "2"}, headers={"HX-Request": "true"})

        assert "Nothing was changed." in answer.text
        assert len(revisions(committed)) == 1

    def test_it_names_what_is_missing_and_keeps_the_text(self, ana, desk, committed):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="2")
        url = review_url(desk, committed)
        committed.rollback()

        answer = browser.post(f"{url}/revisions", data={"comment": "Kept."})

        assert answer.status_code == 422
        assert "Choose one under “Helpful”." in answer.text
        assert "Kept.</textarea>" in answer.text

    def test_it_can_be_taken_back(self, ana, desk, committed):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="2")
        url = review_url(desk, committed)
        committed.rollback()

        opened = browser.post(f"{url}/reopening").location

        assert "/leases/" in opened
        assert "You took this review back" in browser.get(url).text
        assert opened in browser.get(url).text

    def test_it_is_nobody_elses(self, ana, desk, sign_in, committed):
        other = factories.Membership(project=desk.project).user
        lease = factories.Lease(item=desk.add(open_slots=0), reviewer=other)
        submit(sign_in(other), desk, lease, helpful="4")
        url = review_url(desk, committed)

        assert ana().get(url).status_code == 404


def submit(browser, desk, lease, *, comment="", **answers):
    fields = {f"answer.{name}": value for name, value in answers.items()} | {"comment": comment}
    answer = browser.post(f"{desk.lease_url(lease)}/review", data=fields)
    assert answer.status_code == 303


def review_url(desk, committed):
    return f"{desk.url}/reviews/{committed.scalars(select(Review.id)).one()}"


def revisions(committed):
    return committed.scalars(select(Revision).order_by(Revision.number)).all()


@contextmanager
def queries_counted(database):
    asked = []

    def count(_connection, _cursor, statement, *_):
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", count)
    yield asked
    event.remove(database.engine, "before_cursor_execute", count)
