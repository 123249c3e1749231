"""Live conversations in a real browser: as they happen, by keyboard, with colleagues."""

import re
import time

import pytest
from playwright.sync_api import expect

from hitl.accounts.sessions import end_all_sessions
from hitl.live.models import Presence
from hitl.live.queries import conversations_held_by

NOTE_WHEN_IT_IS_SAID = """() => {
  const log = document.querySelector("[role=log]");
  new MutationObserver(() => { if (log.textContent.includes("Is anybody there?")) window.seenAt ??= Date.now(); })
    .observe(log, { childList: true, subtree: true });
}"""


class TestAsItHappens:
    def test_what_is_said_appears_without_a_reload(self, address, enter, browsing, supervisor, chat):
        talk = chat()
        talk.user("Hello.")
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(talk)}")

        talk.bot("Hello, how can I help?")
        talk.user("A room please.")

        expect(page.get_by_role("log")).to_contain_text("A room please.", timeout=3000)
        expect(page.get_by_role("log")).to_contain_text("Hello, how can I help?")

    def test_a_hold_opens_on_the_board_and_on_the_desk(self, address, enter, browsing, supervisor, chat, rule):
        rule()
        talk = chat()
        talk.user("I feel sick.")
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(talk)}")
        expect(page.get_by_text("The bot is answering.")).to_be_visible()

        talk.bot("Take an aspirin.")

        expect(page.get_by_role("heading", name="Held, not sent")).to_be_visible(timeout=3000)
        expect(page.get_by_role("region", name="Conversations")).to_contain_text("Held", timeout=5000)
        assert page.title().startswith("(1)")

    def test_ten_supervisors_see_the_same_within_a_second(self, address, enter, browsing, member, chat):
        talk = chat()
        talk.user("Hello.")
        pages = []
        for number in range(10):
            page = browsing.open()
            enter(page, member("supervisor", name=f"Person {number}"))
            page.goto(f"{address}{at(talk)}")
            pages.append(page)
        for page in pages:
            until(page, "document.querySelector('live-talk').source.readyState === 1")

        for page in pages:
            page.evaluate(NOTE_WHEN_IT_IS_SAID)
        said_at = time.time() * 1000
        talk.user("Is anybody there?")
        for page in pages:
            until(page, "window.seenAt !== undefined")
        assert max(page.evaluate("window.seenAt") for page in pages) - said_at < 1000

    def test_it_ends_when_one_signs_out_elsewhere(self, address, enter, browsing, supervisor, chat, committed):
        talk = chat()
        talk.user("Hello.")
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(talk)}")
        until(page, "document.querySelector('live-talk').source.readyState === 1")

        end_all_sessions(committed, committed.merge(supervisor))
        committed.commit()
        talk.user("A secret.")

        expect(page.get_by_text("You are signed out, or may not watch this any more.")).to_be_visible(timeout=3000)
        expect(page.get_by_role("log")).not_to_contain_text("A secret.")
        browsing.complaints.clear()  # the browser says that the stream was refused: that is what is wanted


class TestKeyboard:
    def test_a_held_draft_is_edited_by_keys_alone(self, address, enter, browsing, supervisor, held):
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(held)}")

        page.keyboard.press("e")
        page.keyboard.press("Control+a")
        page.keyboard.type("Please see a doctor.")
        expect(page.locator("[data-diff-view]")).to_contain_text("doctor")
        page.keyboard.press("Control+Enter")

        expect(page.get_by_role("log")).to_contain_text("Please see a doctor.", timeout=3000)
        expect(page.get_by_role("log")).to_contain_text("Kim edited the draft.")

    @pytest.mark.parametrize(("letter", "field"), [("e", "#draft"), ("n", "#note"), ("w", "#whisper-text")])
    def test_a_key_is_not_lost_while_the_page_still_loads(
        self, address, enter, browsing, supervisor, held, letter, field
    ):
        """Else what is typed next acts as keys: "a" sends the draft, "t" takes over."""
        page = browsing.open()
        enter(page, supervisor)
        let_them_come = keep_scripts_away(page)
        page.goto(f"{address}{at(held)}", wait_until="commit")
        expect(page.get_by_role("heading", name="Held, not sent")).to_be_visible()

        page.keyboard.press(letter)
        page.keyboard.type(" What a number not to trust.")

        expect(page.locator(field)).to_have_value(re.compile(r" What a number not to trust\.$"))
        let_them_come()

    def test_a_key_that_sends_something_waits_until_the_page_has_loaded(
        self, address, enter, browsing, supervisor, held
    ):
        page = browsing.open()
        enter(page, supervisor)
        let_them_come = keep_scripts_away(page)
        page.goto(f"{address}{at(held)}", wait_until="commit")
        expect(page.get_by_role("heading", name="Held, not sent")).to_be_visible()
        page.evaluate("window.isTheSame = true")

        page.keyboard.press("t")
        let_them_come()

        expect(page.get_by_label("You speak, the bot is silent")).to_be_focused()
        assert page.evaluate("window.isTheSame")

    def test_take_over_write_and_hand_back(self, address, enter, browsing, supervisor, held):
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(held)}")

        page.keyboard.press("t")
        expect(page.get_by_label("You speak, the bot is silent")).to_be_focused(timeout=3000)
        page.keyboard.type("This is Kim.")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("log").get_by_text("This is Kim.", exact=True)).to_be_visible(timeout=3000)
        expect(page.locator("#message")).to_have_value("")  # it is ready for the next words, and has the focus
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        expect(page.get_by_role("log")).to_contain_text("Kim handed it back to the bot.", timeout=3000)

    def test_an_older_desk_that_comes_late_replaces_nothing(self, address, enter, browsing, supervisor, held):
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(held)}")
        older = page.evaluate("""() => {
          const desk = document.querySelector("#desk");
          return { version: desk.dataset.version, number: Number(desk.dataset.number), html: desk.outerHTML };
        }""")
        page.keyboard.press("t")
        expect(page.get_by_label("You speak, the bot is silent")).to_be_focused()

        page.evaluate("(older) => document.querySelector('live-talk').renewDesk(older)", older)

        expect(page.get_by_label("You speak, the bot is silent")).to_be_focused()

    def test_refuse_whisper_and_note(self, address, enter, browsing, supervisor, held):
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(held)}")

        page.keyboard.press("w")
        page.keyboard.type("Offer a doctor.")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("log")).to_contain_text("Kim to the bot: Offer a doctor.", timeout=3000)
        page.keyboard.press("n")
        page.keyboard.type("Third time.")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("log")).to_contain_text("Kim: Third time.", timeout=3000)
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        page.keyboard.type("No medicine.")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("log")).to_contain_text("Kim refused the draft: No medicine.", timeout=3000)


class TestDealtWith:
    def test_a_wish_for_a_person_is_dealt_with_by_a_key(self, address, enter, browsing, supervisor, chat):
        talk = chat()
        talk.user("Let me talk to a human, please.")
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(talk)}")
        expect(page.get_by_label("What you can do")).to_contain_text("The user asked for a person")

        page.keyboard.press("d")

        expect(page.get_by_role("log")).to_contain_text("Kim dealt with it.", timeout=3000)
        expect(page.get_by_label("What you can do")).not_to_contain_text("The user asked for a person")
        expect(page.get_by_role("region", name="Conversations")).to_contain_text("Nobody does just now.", timeout=5000)


class TestColleagues:
    def test_they_see_who_looks_and_who_writes(self, address, enter, browsing, supervisor, member, held, committed):
        mine, theirs = browsing.open(), browsing.open()
        enter(mine, supervisor)
        enter(theirs, member("lead", name="Ana Lima"))
        mine.goto(f"{address}{at(held)}")
        theirs.goto(f"{address}{at(held)}")
        expect(mine.locator("[data-people]")).to_contain_text("Ana is looking", timeout=5000)

        theirs.keyboard.press("e")
        theirs.keyboard.type("x")

        expect(mine.locator("[data-people]")).to_contain_text("Ana is writing", timeout=5000)
        assert committed.query(Presence).count() == 2

    def test_what_one_typed_stays_when_a_colleague_is_quicker(
        self, address, enter, browsing, supervisor, member, held, sign_in, committed
    ):
        page = browsing.open()
        enter(page, supervisor)
        page.goto(f"{address}{at(held)}")
        page.keyboard.press("e")
        page.keyboard.type(" Or see a doctor.")

        ana = member("lead", name="Ana Lima")
        sign_in(ana).post(f"{at(held)}/takeover")

        expect(page.get_by_role("heading", name="Ana Lima speaks here")).to_be_visible(timeout=3000)
        expect(page.get_by_label("What you wrote")).to_have_value("Take an aspirin. Or see a doctor.")
        page.keyboard.type("at")  # keys that would send and take over act on nothing while one writes
        assert committed.scalars(conversations_held_by(ana.id)).all() == [held.id]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(address, enter, browsing, supervisor, held, width, dark):
    held.user("https://example.com/" + "a" * 300)
    page = browsing.open(width=width, dark=dark)
    enter(page, supervisor)
    for path in ("/projects/hotel-desk/live", at(held), "/projects/hotel-desk/live/interventions"):
        page.goto(f"{address}{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def at(chat):
    return f"/projects/hotel-desk/live/{chat.id}"


def until(page, condition):
    """Wait until a condition holds; Playwright's own way is against the pages' security policy."""
    deadline = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def keep_scripts_away(page):
    """Let all scripts but the one that hears keys wait; returns what lets them come."""
    waiting = []
    page.route(lambda url: ".js" in url and "/keys.js" not in url, lambda route: waiting.append(route))

    def let_them_come():
        assert waiting
        for route in waiting:
            route.continue_()

    return let_them_come
