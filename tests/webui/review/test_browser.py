"""The reviewer's loop in a real browser: by keyboard alone, with tabs killed, offline, and out of time."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from hitl.queue.models import Lease
from hitl.review.models import Draft, Revision
from tests.hitl import factories

SAVED = 'draft-status[data-state="saved"]'


@pytest.fixture
def open_as_ana(browsing, enter, address, desk):
    """Opens a page as the reviewer: `open_as_ana("/review")`."""

    def open_as_ana(path="/review", **look):
        page = browsing.open(**look)
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.url}{path}")
        return page

    return open_as_ana


@pytest.fixture
def at_work(open_as_ana):
    """Opens the review page, which claims the next item, and waits for it."""

    def at_work(**look):
        page = open_as_ana(**look)
        page.locator("#review").wait_for()
        return page

    return at_work


class TestLoop:
    def test_it_goes_by_keyboard_alone(self, at_work, desk, committed):
        for text in ("The first answer.", "The second answer.", "The third answer."):
            desk.add(text)
        page = at_work()
        keys = page.keyboard
        expect(page.locator("#response")).to_contain_text("The first answer.")

        keys.press("2")
        keys.press("j")
        keys.press("1")
        keys.press("2")
        keys.press("e")
        keys.type(" Only better.")
        keys.press("Control+Enter")
        expect(page.locator("#response")).to_contain_text("The second answer.")
        expect(page.locator("#announcements")).to_contain_text("Submitted.")
        expect(page.locator('[data-criterion="helpful"]')).to_be_focused()
        expect(page).to_have_url(re.compile("/leases/"))

        keys.press("z")
        expect(page.locator("#response")).to_contain_text("The first answer.")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_value("2")
        expect(page.get_by_label("Correct it")).to_have_value("The first answer. Only better.")
        keys.press("5")
        keys.press("Enter")
        expect(page.locator("#response")).to_contain_text("The second answer.")

        keys.press("s")
        expect(page.get_by_role("heading", name="Why skip this item?")).to_be_visible()
        keys.press("3")
        keys.press("Enter")
        expect(page.locator("#response")).to_contain_text("The third answer.")
        expect(page.locator(".bar__nav .count")).to_have_text("0")

        keys.press("4")
        keys.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        expect(page.get_by_text("it opens the next item by itself")).to_be_visible()

        said = committed.scalars(select(Revision).order_by(Revision.submitted_at)).all()
        assert [revision.ratings[0].value for revision in said] == [2, 5, 4]
        assert [tag.value for tag in said[0].tags] == ["made_up", "rude"]
        assert said[0].corrections[0].output["content"] == "The first answer. Only better."
        assert all(0 < revision.seconds_on_display < 60 for revision in said)
        skipped = committed.scalars(select(Lease).where(Lease.ended_as == "skipped")).one()
        assert skipped.skip_reason == "Broken: something is missing or garbled"

    def test_it_names_a_missing_answer_and_goes_there(self, at_work, desk):
        desk.add()
        page = at_work()
        page.get_by_label("Comment").fill("My thoughts.")
        page.keyboard.press("Control+Enter")

        expect(page.get_by_text("Choose one under “Helpful”.")).to_be_visible()
        expect(page.locator('[data-criterion="helpful"]')).to_be_focused()
        expect(page.get_by_label("Comment")).to_have_value("My thoughts.")

    def test_it_submits_once_on_a_double_click(self, at_work, desk, committed):
        desk.add("The first answer.")
        desk.add("The second answer.")
        page = at_work()
        page.keyboard.press("4")
        page.get_by_role("button", name="Submit and next").dblclick()
        expect(page.locator("#response")).to_contain_text("The second answer.")

        assert len(committed.scalars(select(Revision)).all()) == 1

    def test_it_asks_for_a_reason_inside_the_dialog(self, at_work, desk):
        desk.add()
        page = at_work()
        page.keyboard.press("s")
        page.get_by_role("button", name="Skip it").click()

        expect(page.locator("#skip-refusal")).to_contain_text("Choose why")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Submit and next")).to_be_visible()

    def test_it_gives_back_from_the_dialog(self, at_work, desk):
        desk.add()
        page = at_work()
        page.keyboard.press("s")
        page.get_by_role("button", name="Give back for later").click()

        expect(page.get_by_role("heading", name="You gave this item back")).to_be_visible()

    def test_it_shows_the_guidelines_by_a_key(self, at_work, desk):
        desk.project.guidelines = "Be **fair**."
        desk.add()
        page = at_work()
        page.keyboard.press("g")

        expect(page.get_by_role("dialog", name="Guidelines")).to_contain_text("Be fair.")

    def test_it_says_why_an_action_was_refused(self, at_work, desk, browsing):
        desk.add()
        page = at_work()
        page.evaluate("document.querySelector('#undo').requestSubmit()")

        expect(page.locator("#announcements")).to_contain_text("There is no submitted review to take back.")
        expect(page.locator("#review")).to_be_visible()
        browsing.complaints.clear()  # of the refusal

    def test_it_opens_what_comes_in_by_itself(self, open_as_ana, desk, shared_database):
        page = open_as_ana()
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        with shared_database.writing() as db:
            factories.bind(db)
            desk.add("It came in late.")
        page.locator("when-seen").evaluate("element => element.look()")

        expect(page.locator("#response")).to_contain_text("It came in late.")
        expect(page).to_have_url(re.compile("/leases/"))

    def test_it_claims_nothing_in_a_tab_that_nobody_looks_at(self, browsing, enter, address, desk, committed):
        desk.add()
        page = browsing.open()
        page.add_init_script("Object.defineProperty(document, 'visibilityState', {get: () => window.seen ?? 'hidden'})")
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.url}/review")
        page.wait_for_timeout(300)
        assert not committed.scalars(select(Lease)).all()
        committed.rollback()

        page.evaluate("window.seen = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")
        page.locator("#review").wait_for()

    def test_it_works_without_scripts(self, open_as_ana, desk):
        desk.add("The first answer.")
        desk.add("The second answer.")
        page = open_as_ana(javascript=False)
        page.get_by_role("button", name="Start reviewing").click()
        page.locator("[name='answer.helpful'][value='4']").check(force=True)
        page.get_by_role("button", name="Submit and next").click()
        expect(page.locator("#response")).to_contain_text("The second answer.")

        page.get_by_role("button", name="Undo").first.click()
        expect(page.locator("#response")).to_contain_text("The first answer.")
        page.get_by_role("link", name="Skip", exact=True).click()
        page.get_by_label("I cannot judge this").check()
        page.get_by_role("button", name="Skip it").click()
        expect(page.locator("#response")).to_contain_text("The second answer.")


class TestDraft:
    def test_it_survives_a_reload_and_a_killed_tab(self, open_as_ana, desk):
        desk.add()
        page = open_as_ana()
        page.locator("#review").wait_for()
        page.keyboard.press("3")
        page.get_by_label("Comment").fill("My thoughts.")
        page.locator(SAVED).wait_for()
        page.reload()
        expect(page.get_by_label("Comment")).to_have_value("My thoughts.")
        page.get_by_label("Comment").fill("My second thoughts.")
        page.locator(SAVED).wait_for()
        url = page.url
        page.close(run_before_unload=False)

        again = open_as_ana(url[url.index("/leases/") :])

        expect(again.get_by_label("Comment")).to_have_value("My second thoughts.")
        expect(again.locator("[name='answer.helpful']:checked")).to_have_value("3")

    def test_it_shows_both_texts_when_two_tabs_differ(self, at_work, desk):
        desk.add()
        page = at_work()
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_label("Comment").fill("Theirs")
        other.locator(SAVED).wait_for()
        page.get_by_label("Comment").fill("Mine")

        expect(page.get_by_text("Changed in another tab").first).to_be_visible()
        expect(page.locator("[data-draft-other]")).to_contain_text("Theirs")
        expect(page.get_by_label("Comment")).to_have_value("Mine")
        page.get_by_role("button", name="Take the other").click()
        expect(page.get_by_label("Comment")).to_have_value("Theirs")
        expect(page.locator(SAVED)).to_be_visible()

    def test_it_is_kept_on_the_device_while_offline(self, at_work, desk, browsing, committed):
        desk.add()
        page = at_work()
        page.context.set_offline(True)
        page.get_by_label("Comment").fill("Typed on the train.")
        expect(page.get_by_text("Kept on this device")).to_be_visible()
        page.keyboard.press("Control+Enter")
        expect(page.get_by_text("No connection")).to_be_visible(timeout=10_000)  # the submission was tried, and is over
        expect(page.get_by_label("Comment")).to_have_value("Typed on the train.")
        page.context.set_offline(False)
        page.locator(SAVED).wait_for(timeout=20_000)

        assert committed.scalars(select(Draft)).one().answers["comment"] == "Typed on the train."
        browsing.complaints.clear()  # of being offline, which it was


class TestHold:
    def test_it_says_when_the_time_is_over_and_takes_the_review_all_the_same(self, at_work, desk, let_time_pass):
        desk.add()
        page = at_work()
        let_time_pass(minutes=14, seconds=58)
        page.reload()

        expect(page.get_by_text("Your time is over")).to_be_visible()
        expect(page.locator("count-down")).to_have_text("time is over")

    def test_it_is_extended_while_somebody_works(self, at_work, desk, let_time_pass):
        desk.add()
        page = at_work()
        let_time_pass(minutes=10)
        page.reload()
        expect(page.locator("count-down")).to_have_text(re.compile(r"^4:\d\d$"))
        page.keyboard.press("3")

        expect(page.locator("count-down")).to_have_text(re.compile(r"^1[45]:\d\d$"))
        page.locator(SAVED).wait_for()

    def test_it_counts_what_comes_late_if_a_place_is_free(self, at_work, desk, let_time_pass):
        desk.add()
        page = at_work()
        let_time_pass(minutes=16)
        page.keyboard.press("4")
        page.keyboard.press("Enter")

        expect(page.locator("#announcements")).to_contain_text("it counts")

    def test_it_keeps_as_an_extra_what_comes_too_late(self, at_work, desk, let_time_pass, sign_in):
        desk.add()
        colleague = factories.Membership(project=desk.project).user
        page = at_work()
        let_time_pass(minutes=16)
        browser = sign_in(colleague)
        taken = browser.post(f"{desk.url}/leases").location
        browser.post(f"{taken}/review", data={"answer.helpful": "1"})
        page.keyboard.press("4")
        page.keyboard.press("Enter")

        expect(page.locator("#announcements")).to_contain_text("kept as an extra for the lead")


class TestPhone:
    def test_it_has_large_targets_and_jumps(self, at_work, desk):
        desk.add("A long answer. " * 200)
        page = at_work(width=390, height=844)
        page.get_by_role("link", name="To your review").click()
        expect(page.locator('[data-criterion="helpful"]')).to_be_in_viewport()
        page.get_by_role("link", name="To the response").click()
        expect(page.get_by_text("A long answer.").first).to_be_in_viewport()

        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate("""
            [...document.querySelectorAll('.actions :is(button, a), .scale label, .workbar a.button')]
            .filter((part) => part.checkVisibility())
            .map((part) => [part.textContent.trim(), part.getBoundingClientRect().height])
            .filter(([, height]) => height < 43.5)""")
        assert small == []

    def test_it_reads_the_next_item_from_its_top(self, at_work, desk):
        desk.add("A long answer. " * 200)
        desk.add("Another long answer. " * 200)
        page = at_work(width=390, height=844)
        page.get_by_role("link", name="To your review").click()
        page.locator(".scale label").nth(3).click()
        page.get_by_role("button", name="Submit and next").click()
        expect(page.locator("#response")).to_contain_text("Another long answer.")

        assert page.evaluate("window.scrollY") < 10
