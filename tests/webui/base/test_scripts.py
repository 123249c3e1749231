"""The scripts in a real browser: keys, word diff, draft, clock, and that no payload runs."""

import random
import re

import pytest
from playwright.sync_api import expect

from tests.webui.base.payloads import storable_payloads

pytestmark = pytest.mark.browser

ORIGINAL = "OK, I've successfully completed this Hotel booking for you!"
CORRECTED = (
    "I'm sorry, but the Hilton Hotel could not complete this booking for you. "
    "Would you like me to try again, or look at another hotel?"
)


class TestKeys:
    def test_it_reviews_without_a_mouse(self, page, store):
        page.goto("/review")
        page.keyboard.press("4")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("0")
        page.keyboard.press("j")
        page.keyboard.press("1")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("2")
        page.keyboard.press("5")
        page.keyboard.press("c")
        page.keyboard.type("jes 1?")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Comment")).to_have_value("")

        assert store.reviews == [
            {
                "answer.helpful": ["4"],
                "answer.correct": ["unsure"],
                "answer.tone": ["up"],
                "answer.wrong": ["made-up", "rude"],
                "answer.why": [""],
                "answer.correction": [ORIGINAL],
                "comment": ["jes 1?"],
            }
        ]

    def test_it_moves_on_from_a_point_chosen_with_the_mouse(self, page):
        page.goto("/review")
        page.get_by_text("Cannot judge").first.click()
        page.keyboard.press("ArrowDown")

        expect(page.locator(".is-current")).to_have_attribute("data-criterion", "tone")
        expect(page.locator("[name='answer.correct']:checked")).to_have_value("unsure")

    def test_it_submits_from_inside_a_field(self, page, store):
        page.goto("/review")
        page.keyboard.press("3")
        page.keyboard.press("e")
        page.keyboard.press("End")
        page.keyboard.type(" Really.")
        page.keyboard.press("Control+Enter")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_count(0)

        assert store.reviews[0]["answer.correction"] == [f"{ORIGINAL} Really."]

    def test_it_names_what_is_missing_and_goes_there(self, page, store):
        page.goto("/review")
        page.keyboard.press("j")
        page.keyboard.press("Enter")

        expect(page.get_by_text("Choose a point from 1 to 5.")).to_be_visible()
        expect(page.locator(".is-current")).to_have_attribute("data-criterion", "helpful")
        assert store.reviews == []

    def test_it_types_letters_in_a_field(self, page):
        page.goto("/review")
        page.evaluate("document.getElementById('skip').addEventListener('click', () => { document.title = 'skipped' })")
        page.keyboard.press("c")
        page.keyboard.type("s1?")

        expect(page.get_by_label("Comment")).to_have_value("s1?")
        assert page.title() != "skipped"
        page.keyboard.press("Escape")
        page.keyboard.press("s")
        assert page.title() == "skipped"

    def test_it_shows_all_keys(self, page):
        page.goto("/review")
        page.keyboard.press("?")

        expect(page.get_by_role("dialog", name="Keys on this page")).to_be_visible()
        page.keyboard.press("4")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("[name='answer.helpful']:checked")).to_have_count(0)

    def test_it_can_be_switched_off(self, page):
        page.goto("/review")
        page.keyboard.press("?")
        page.get_by_role("button", name="Switch single keys off").click()
        page.keyboard.press("4")

        expect(page.locator("[name='answer.helpful']:checked")).to_have_count(0)


class TestMenus:
    def test_it_chooses_the_dark_look(self, page):
        page.goto("/review")
        page.get_by_text("Alex: account and appearance").locator("..").click()
        page.get_by_role("button", name="Dark").click()

        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page).to_have_url(re.compile("/review$"))

    def test_it_closes_on_escape_and_on_a_click_elsewhere(self, page):
        page.goto("/")
        menu = page.locator(".bar__end details.menu").first
        for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
            menu.locator("summary").click()
            expect(menu).to_have_attribute("open", "")
            close()
            expect(menu).not_to_have_attribute("open", "")


class TestWordDiff:
    def test_it_shows_what_leaves_and_what_comes(self, page):
        page.goto("/review")
        editor = page.get_by_label("Correct it")
        expect(page.locator(".diff")).to_be_hidden()
        editor.fill(CORRECTED)

        expect(page.locator("[data-diff-count]")).to_have_text("6 words out, 22 in")
        expect(page.locator(".diff del").first).to_contain_text("OK, I've successfully completed")
        expect(page.locator(".diff ins").last).to_contain_text("Would you like me to try again")
        page.get_by_role("button", name="Original").click()
        expect(editor).to_have_value(ORIGINAL)
        expect(page.locator(".diff")).to_be_hidden()

    def test_it_shows_markup_as_text(self, page):
        page.goto("/review")
        page.get_by_label("Correct it").fill("<img src=x onerror='window.__ran = 1'><script>window.__ran = 1</script>")

        expect(page.locator(".diff ins").last).to_contain_text("<script>")
        assert page.locator(".diff img, .diff script").count() == 0
        assert page.evaluate("window.__ran") is None

    def test_it_puts_both_texts_together_again(self, page):
        page.goto("/review")
        chance = random.Random(7)
        words = ["a", "b", "c", " ", "\n", ". ", "ü", "🙂", "the "]
        for _ in range(300):
            before, after = ("".join(chance.choices(words, k=chance.randrange(25))) for _ in range(2))
            changes = page.evaluate(
                "([a, b]) => hitlWordDiff.changes(hitlWordDiff.pieces(a), hitlWordDiff.pieces(b))", [before, after]
            )
            assert "".join(part["text"] for part in changes if part["kind"] != "in") == before
            assert "".join(part["text"] for part in changes if part["kind"] != "out") == after

    def test_it_stays_quick_with_long_texts(self, page):
        page.goto("/review")
        milliseconds = page.evaluate(
            """() => {
              const word = (n) => (n * 2654435761 % 4294967296).toString(36);
              const a = Array.from({length: 14000}, (_, n) => word(n)).join(" ");
              const b = Array.from({length: 14000}, (_, n) => word(n % 3 ? n : n + 50000)).join(" ");
              const started = performance.now();
              hitlWordDiff.changes(hitlWordDiff.pieces(a), hitlWordDiff.pieces(b));
              return performance.now() - started;
            }"""
        )
        assert milliseconds < 2000


class TestDraft:
    def test_it_is_saved_as_one_types_and_is_there_again(self, page, store):
        page.goto("/review")
        page.keyboard.press("4")
        page.get_by_label("Comment").fill("Half")
        expect(page.locator("[data-draft-words]")).to_have_text("Saved")

        assert store.fields["answer.helpful"] == ["4"]
        assert store.fields["comment"] == ["Half"]
        assert page.evaluate("localStorage.length") == 0
        page.reload()
        expect(page.get_by_label("Comment")).to_have_value("Half")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_value("4")

    def test_it_says_when_it_is_saving(self, page, store):
        store.slow_seconds = 1
        page.goto("/review")
        page.keyboard.press("4")

        expect(page.locator("[data-draft-words]")).to_have_text("Saving…")
        expect(page.locator("[data-draft-words]")).to_have_text("Saved")

    def test_it_is_kept_on_this_device_while_the_server_is_away(self, page, store):
        store.failing = True
        page.goto("/review")
        page.get_by_label("Comment").fill("Kept")
        expect(page.locator("[data-draft-words]")).to_have_text("Kept on this device: the server does not answer")
        page.reload()
        expect(page.get_by_label("Comment")).to_have_value("Kept")
        store.failing = False

        expect(page.locator("[data-draft-words]")).to_have_text("Saved", timeout=10_000)
        assert store.fields["comment"] == ["Kept"]

    def test_it_is_sent_when_the_connection_is_back(self, page, store):
        page.goto("/review")
        page.context.set_offline(True)
        page.get_by_label("Comment").fill("From a tunnel")
        expect(page.locator("[data-draft-words]")).to_have_text("Kept on this device")
        page.context.set_offline(False)

        expect(page.locator("[data-draft-words]")).to_have_text("Saved", timeout=10_000)
        assert store.fields["comment"] == ["From a tunnel"]

    def test_it_keeps_both_texts_when_another_tab_was_first(self, page, store):
        page.goto("/review")
        other = page.context.new_page()
        other.goto("/review")
        other.get_by_label("Comment").fill("From the other tab")
        expect(other.locator("[data-draft-words]")).to_have_text("Saved")
        page.get_by_label("Comment").fill("From this tab")

        expect(page.locator("[data-draft-words]")).to_have_text("Changed in another tab")
        expect(page.locator("[data-draft-other]")).to_contain_text("From the other tab")
        expect(page.get_by_label("Comment")).to_have_value("From this tab")
        page.get_by_role("button", name="Keep mine").click()
        expect(page.locator("[data-draft-words]")).to_have_text("Saved")
        assert store.fields["comment"] == ["From this tab"]

        other.get_by_label("Comment").fill("Again")
        other.get_by_role("button", name="Take the other").click()
        expect(other.get_by_label("Comment")).to_have_value("From this tab")

    def test_it_waits_for_the_draft_before_it_submits(self, page, store):
        store.slow_seconds = 0.5
        page.goto("/review")
        page.keyboard.press("4")
        expect(page.locator("[data-draft-words]")).to_have_text("Saving…")
        page.keyboard.press("Enter")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_count(0)
        page.wait_for_timeout(1200)

        assert [review["answer.helpful"] for review in store.reviews] == [["4"]]
        assert store.number == 0  # no draft came after the review
        assert page.evaluate("localStorage.length") == 0

    def test_it_is_kept_when_the_page_is_left_at_once(self, page, store):
        page.goto("/review")
        page.get_by_label("Comment").fill("Quick")
        page.goto("/")
        page.goto("/review")

        expect(page.get_by_label("Comment")).to_have_value("Quick")


class TestAnswers:
    def test_it_says_when_there_is_no_connection(self, page, store):
        page.goto("/review")
        page.keyboard.press("4")
        expect(page.locator("[data-draft-words]")).to_have_text("Saved")
        page.context.set_offline(True)
        page.keyboard.press("Enter")

        expect(page.locator("#announcements .toast")).to_contain_text("No connection")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_value("4")


class TestCountdown:
    def test_it_counts_by_the_clock_of_the_server(self, page):
        page.goto("/")
        expect(page.locator("count-down")).to_have_text(re.compile(r"^0:(3\d|4[0-2])$"))
        expect(page.locator("count-down")).to_have_class("clock clock--soon")

    def test_it_says_when_time_is_over(self, page):
        page.goto("/")
        page.evaluate(
            """() => {
              const clock = document.createElement("count-down");
              clock.dataset.now = "2026-01-01T00:00:00Z";
              clock.dataset.endsAt = "2026-01-01T00:00:01Z";
              clock.dataset.ended = "time is over";
              clock.id = "short";
              document.body.append(clock);
            }"""
        )
        expect(page.locator("#short")).to_have_text("time is over")


class TestPayloads:
    def test_it_runs_none_of_them_and_asks_nobody_else(self, page, address):
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/captured")
        page.wait_for_timeout(500)

        expect(page.locator("main > section")).to_have_count(len(storable_payloads()))
        assert page.evaluate("window.__ran") is None
        assert [url for url in asked if not url.startswith(address)] == []
        assert (
            page.locator("main :is(script, style, iframe, object, embed, svg, math, img, form, input, button)").count()
            == 0
        )
        assert page.locator("main [id], main [onclick], main [style]").count() == 0
