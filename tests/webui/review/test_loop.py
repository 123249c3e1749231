"""The reviewer's loop without scripts: claim, judge, go on, undo, skip, give back."""

import re

import pytest
from sqlalchemy import func, select

from hitl.queue.models import Lease
from hitl.review.models import Draft, Review, Revision
from tests.hitl import factories


class TestNextItem:
    def test_it_says_that_nothing_waits_and_what_to_do(self, ana, desk):
        page = ana().get(f"{desk.url}/review").text

        assert "Nothing waits for you" in page
        assert "My reviews" in page

    def test_it_claims_no_item_by_mere_looking(self, ana, desk, committed):
        desk.add()

        page = ana().get(f"{desk.url}/review").text

        assert "1 item waits for you" in page
        assert "Start reviewing" in page
        assert committed.scalar(select(func.count()).select_from(Lease)) == 0

    def test_it_leads_to_what_i_hold(self, ana, desk):
        lease = desk.hold()

        answer = ana().get(f"{desk.url}/review")

        assert answer.status_code == 303
        assert answer.location == desk.lease_url(lease)

    def test_it_leads_on_from_what_i_hold_no_longer(self, ana, desk):
        desk.hold(expired=True)
        desk.add()

        assert "1 item waits for you" in ana().get(f"{desk.url}/review").text

    def test_it_tells_how_many_items_came_in(self, ana, desk):
        for _ in range(48):
            desk.add(open_slots=0)

        assert "About 2 new items an hour came in over the last day." in ana().get(f"{desk.url}/review").text

    def test_it_does_not_answer_the_poll_while_nothing_waits(self, ana, desk):
        answer = ana().get(f"{desk.url}/review", headers={"HX-Request": "true"})

        assert answer.status_code == 204


class TestClaim:
    def test_it_opens_the_next_item(self, ana, desk):
        desk.add("OK, booked!", asked="A room, please.")
        browser = ana()

        answer = browser.post(f"{desk.url}/leases")
        page = browser.get(answer.location).text

        assert answer.status_code == 303
        assert "A room, please." in page
        assert "OK, booked!" in page
        assert "Helpful" in page

    def test_it_gives_the_same_item_to_one_who_claims_twice(self, ana, desk):
        desk.add()
        desk.add()
        browser = ana()

        assert browser.post(f"{desk.url}/leases").location == browser.post(f"{desk.url}/leases").location

    def test_it_says_so_when_somebody_else_was_faster(self, ana, desk):
        answer = ana().post(f"{desk.url}/leases", headers={"HX-Request": "true"})

        assert "Nothing waits for you" in answer.text
        assert answer.headers["HX-Push-Url"] == f"{desk.url}/review"


class TestShow:
    def test_it_is_nobody_elses(self, ana, desk):
        of_somebody_else = factories.Lease(item=desk.add(open_slots=0))

        assert ana().get(desk.lease_url(of_somebody_else)).status_code == 404

    def test_it_says_why_the_item_is_here(self, ana, desk):
        lease = desk.hold()

        assert "Why here: picked by hand" in ana().get(desk.lease_url(lease)).text

    def test_it_fills_in_what_i_left(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        browser.put(f"{desk.lease_url(lease)}/draft", data={"number": 0, "answer.helpful": "4", "comment": "So so."})

        page = browser.get(desk.lease_url(lease)).text

        assert re.search(r'name="answer.helpful" value="4"[^>]* checked', page)
        assert "So so.</textarea>" in page
        assert "Saved" in page

    def test_it_says_that_my_time_is_over(self, ana, desk):
        lease = desk.hold(expired=True)

        page = ana().get(desk.lease_url(lease)).text

        assert "Your time is over" in page
        assert not re.search(r"data-hold-over hidden", page)

    def test_it_leads_from_a_reviewed_item_to_the_review(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="4")

        assert "/reviews/" in browser.get(desk.lease_url(lease)).location


class TestKeepDraft:
    def test_it_counts_the_saves(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        draft = f"{desk.lease_url(lease)}/draft"

        first = browser.put(draft, data={"number": 0, "comment": "So"}).json
        second = browser.put(draft, data={"number": 1, "comment": "So so"}).json

        assert (first["number"], second["number"]) == (1, 2)
        assert second["saved_at"]

    def test_it_hands_out_the_newer_draft_where_another_tab_was_faster(self, ana, desk):
        lease = desk.hold(desk.add("OK, booked!", open_slots=0))
        browser = ana()
        draft = f"{desk.lease_url(lease)}/draft"
        typed = {"number": 0, "answer.helpful": "2", "answer.wrong": ["made_up", "rude"], "comment": "Theirs"}
        browser.put(draft, data=typed)

        answer = browser.put(draft, data={"number": 0, "comment": "Mine"})

        assert answer.status_code == 409
        assert answer.json["error"]["code"] == "stale_draft"
        assert answer.json["draft"]["number"] == 1
        assert answer.json["draft"]["fields"] == {
            "answer.helpful": ["2"],
            "answer.wrong": ["made_up", "rude"],
            "answer.correction": ["OK, booked!"],
            "comment": ["Theirs"],
        }

    def test_it_takes_line_ends_as_they_were_typed(self, ana, desk, committed):
        lease = desk.hold()

        ana().put(f"{desk.lease_url(lease)}/draft", data={"number": 0, "comment": "one\r\ntwo"})

        assert committed.scalar(select(Draft)).answers == {"comment": "one\ntwo"}

    def test_it_takes_an_untouched_correction_for_none(self, ana, desk, committed):
        lease = desk.hold(desk.add("one\r\ntwo", open_slots=0))

        sent = {"number": 0, "answer.helpful": "2", "answer.correction": "one\r\ntwo"}
        ana().put(f"{desk.lease_url(lease)}/draft", data=sent)

        assert committed.scalar(select(Draft)).answers == {"helpful": 2}

    @pytest.mark.parametrize("number", ["", "x", "-1", str(2**40)])
    def test_it_refuses_a_number_that_is_none(self, ana, desk, number):
        lease = desk.hold()

        answer = ana().put(
            f"{desk.lease_url(lease)}/draft", data={"number": number}, headers={"Accept": "application/json"}
        )

        assert answer.status_code == 422
        assert answer.json["error"]["param"] == "/number"

    def test_it_outlives_the_lease(self, ana, desk):
        lease = desk.hold(expired=True)

        assert ana().put(f"{desk.lease_url(lease)}/draft", data={"number": 0, "comment": "So"}).status_code == 200


class TestSubmit:
    def test_it_keeps_the_review_and_leads_to_the_next_item(self, ana, desk, committed):
        lease = desk.hold()
        desk.add("The next answer.")
        browser = ana()

        answer = submit(browser, desk, lease, helpful="4", wrong=["rude"], seconds_on_display="12.5")
        page = browser.get(answer.location).text

        revision = committed.scalar(select(Revision))
        assert answer.status_code == 303
        assert (revision.ratings[0].value, revision.tags[0].value, revision.seconds_on_display) == (4, "rude", 12.5)
        assert "The next answer." in page
        assert "Submitted." in page
        assert "<strong>1</strong> today" in page

    def test_it_answers_htmx_with_the_next_item_in_one_go(self, ana, desk):
        lease = desk.hold()
        desk.add("The next answer.")

        answer = submit(ana(), desk, lease, helpful="4", htmx=True)

        assert answer.status_code == 200
        assert "The next answer." in answer.text
        assert "<html" not in answer.text
        assert "/leases/" in answer.headers["HX-Push-Url"]
        assert str(lease.id) not in answer.headers["HX-Push-Url"]

    def test_it_says_when_nothing_is_left(self, ana, desk):
        lease = desk.hold()

        answer = submit(ana(), desk, lease, helpful="4", htmx=True)

        assert "Nothing waits for you" in answer.text
        assert "You did 1 review today." in answer.text
        assert "Undo" in answer.text

    def test_it_names_what_is_missing_and_keeps_the_text(self, ana, desk, committed):
        lease = desk.hold()

        answer = submit(ana(), desk, lease, comment="Kept <b>text</b>", wrong=["rude"], htmx=True)

        assert answer.status_code == 422
        assert "Choose one under “Helpful”." in answer.text
        assert "Kept &lt;b&gt;text&lt;/b&gt;</textarea>" in answer.text
        assert re.search(r'value="rude"[^>]* checked', answer.text)
        assert committed.scalar(select(func.count()).select_from(Review)) == 0

    def test_it_names_what_the_rubric_does_not_ask(self, ana, desk):
        lease = desk.hold()

        answer = submit(ana(), desk, lease, helpful="4", invented="1", htmx=True)

        assert answer.status_code == 422
        assert "The rubric asks no such thing." in answer.text

    def test_it_says_that_a_late_review_counts(self, ana, desk):
        lease = desk.hold(expired=True)

        answer = submit(ana(), desk, lease, helpful="4", htmx=True)

        assert "Your time was over, but a place was still free: it counts." in answer.text

    def test_it_says_that_a_late_review_is_an_extra(self, ana, desk):
        item = desk.add(open_slots=0)
        lease = factories.Lease(item=item, reviewer=desk.reviewer, expired=True, ended_as="expired", holds_slot=False)
        factories.Lease(item=item)

        answer = submit(ana(), desk, lease, helpful="4", htmx=True)

        assert "kept as an extra for the lead" in answer.text

    def test_it_submits_once_however_often_it_is_sent(self, ana, desk, committed):
        lease = desk.hold()
        desk.add("The next answer.")
        desk.add("The one after.")
        browser = ana()

        answers = [submit(browser, desk, lease, helpful="4", htmx=True) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert len({answer.headers["HX-Push-Url"] for answer in answers}) == 1
        assert committed.scalar(select(func.count()).select_from(Revision)) == 1

    def test_it_refuses_what_was_submitted_otherwise(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        submit(browser, desk, lease, helpful="4")

        answer = submit(browser, desk, lease, helpful="1", htmx=True)

        assert answer.status_code == 409
        assert "already submitted" in answer.json["error"]["message"]

    def test_it_wants_the_token_of_our_own_page(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        browser.environ_base.pop("HTTP_X_CSRFTOKEN")

        assert submit(browser, desk, lease, helpful="4").status_code == 403

    @pytest.mark.parametrize("seconds", ["nan", "-3", "1e9", "soon"])
    def test_it_keeps_no_time_that_cannot_be(self, ana, desk, committed, seconds):
        lease = desk.hold()

        submit(ana(), desk, lease, helpful="4", seconds_on_display=seconds)

        assert committed.scalar(select(Revision)).seconds_on_display is None


class TestUndo:
    def test_it_opens_the_last_review_again_with_its_answers(self, ana, desk):
        lease = desk.hold(desk.add("OK, booked!", open_slots=0))
        browser = ana()
        submit(browser, desk, lease, helpful="2", correction="Sorry, it is full.")

        answer = browser.post(f"{desk.url}/undo")
        page = browser.get(answer.location).text

        assert re.search(r'name="answer.helpful" value="2"[^>]* checked', page)
        assert "Sorry, it is full.</textarea>" in page
        assert "Taken back." in page

    def test_it_goes_on_where_i_was_after_that(self, ana, desk):
        first, other = desk.hold(), desk.add("The next answer.")
        browser = ana()
        following = submit(browser, desk, first, helpful="2").location

        again = browser.post(f"{desk.url}/undo").location
        answer = browser.post(f"{again}/review", data={"answer.helpful": "3"})

        assert other.open_slots == 1
        assert answer.location == following

    def test_it_says_that_there_is_nothing_to_undo(self, ana, desk):
        answer = ana().post(f"{desk.url}/undo", headers={"HX-Request": "true"})

        assert answer.status_code == 409
        assert "no submitted review" in answer.json["error"]["message"]


class TestSkip:
    def test_it_asks_why_on_a_page_too(self, ana, desk):
        lease = desk.hold()

        page = ana().get(f"{desk.lease_url(lease)}/skip").text

        assert "Why skip this item?" in page
        assert "I cannot judge this" in page

    def test_it_leaves_the_item_and_goes_on(self, ana, desk, committed):
        lease = desk.hold()
        desk.add("The next answer.")
        browser = ana()

        sent = {"reason": "I cannot judge this", "words": "Two hotels share the name"}
        answer = browser.post(f"{desk.lease_url(lease)}/skip", data=sent)

        committed.refresh(lease)
        assert lease.ended_as == "skipped"
        assert lease.skip_reason == "I cannot judge this: Two hotels share the name"
        assert "The next answer." in browser.get(answer.location).text

    def test_it_wants_a_reason(self, ana, desk, committed):
        lease = desk.hold()

        answer = ana().post(f"{desk.lease_url(lease)}/skip", data={"reason": "because"})

        committed.refresh(lease)
        assert answer.status_code == 422
        assert "Choose why" in answer.text
        assert lease.ended_as is None

    def test_it_says_so_on_the_skipped_items_page(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/skip", data={"reason": "I cannot judge this"})

        assert "You skipped this item" in browser.get(desk.lease_url(lease)).text


class TestGiveBack:
    def test_it_lets_the_item_go_and_keeps_what_was_typed(self, ana, desk, committed):
        lease = desk.hold()
        browser = ana()
        browser.put(f"{desk.lease_url(lease)}/draft", data={"number": 0, "comment": "So far"})

        answer = browser.post(f"{desk.lease_url(lease)}/return")
        page = browser.get(answer.location).text
        again = browser.get(browser.post(f"{desk.url}/leases").location).text

        assert "You gave this item back" in page
        assert "So far</textarea>" in again

    def test_it_leads_on_when_the_item_is_held_again(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/return")
        again = browser.post(f"{desk.url}/leases").location

        assert browser.get(desk.lease_url(lease)).location == again


class TestExtension:
    def test_it_holds_the_item_longer(self, ana, desk, let_time_pass):
        lease = desk.hold()
        browser = ana()
        let_time_pass(minutes=10)

        answer = browser.post(f"{desk.lease_url(lease)}/extension")

        assert answer.json["ends_at"] > lease.expires_at.isoformat()

    def test_it_is_refused_once_the_item_went_back(self, ana, desk):
        lease = desk.hold()
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/return")

        answer = browser.post(f"{desk.lease_url(lease)}/extension", headers={"Accept": "application/json"})

        assert answer.status_code == 409


class TestGuidelines:
    def test_they_are_on_a_page_of_their_own_and_beside_the_work(self, ana, desk):
        desk.project.guidelines = "# How we judge\n\nBe **fair**. <script>x</script>"
        lease = desk.hold()
        browser = ana()

        for page in (browser.get(f"{desk.url}/guidelines").text, browser.get(desk.lease_url(lease)).text):
            assert "How we judge" in page
            assert "<strong>fair</strong>" in page
            assert "<script>x" not in page


def submit(browser, desk, lease, *, htmx=False, comment="", seconds_on_display="", **answers):
    fields = {f"answer.{name}": value for name, value in answers.items()}
    fields |= {"comment": comment, "seconds_on_display": seconds_on_display}
    headers = {"HX-Request": "true"} if htmx else {}
    return browser.post(f"{desk.lease_url(lease)}/review", data=fields, headers=headers)
