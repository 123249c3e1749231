"""Marking passages and judging turns in a real browser: by mouse, by keyboard, by finger, and without scripts."""

import json

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from hitl.review.models import Draft, Rating, Span
from hitl.review.spans import text_hash
from tests.hitl import factories
from tests.webui.review.marks import ERRORS, GOOD, HELPFUL, STYLE, TALK, TURN_ERRORS, asked, conversation

TEXT = "The pool is open. It never closes, they say."
SAVED = 'draft-status[data-state="saved"]'
TYPING = "draft-status:is([data-state=typing], [data-state=saving])"
FIELD = "[name='answer.errors']"
# Emoji of several code points, a combining mark, right-to-left words, an invisible joiner, and both kinds of line ends.
ODD = "👩‍🚒 s’e\u0301leva.\r\nשלום עולם\rover\u200bthere 🏴 end"


@pytest.fixture
def mark(browsing, enter, address, desk):
    """Lets the reviewer hold an item and opens it: `page, _ = mark(item, width=390)`."""
    opened = []

    def mark(item, **look):
        lease = desk.hold(item)
        page = browsing.open(**look)
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.lease_url(lease)}")
        page.locator("#review").wait_for()
        opened.append(page)
        return page, lease

    yield mark
    for page in opened:  # a draft on its way when the page closes would be a complaint
        page.locator(TYPING).wait_for(state="detached")


def choose(page, words, view="marked-words"):
    """Select words of a text as a mouse or a finger leaves them selected."""
    page.locator(view).first.evaluate(
        "(view, words) => { const start = view.text.indexOf(words); view.select(start, start + words.length); }", words
    )
    page.locator(".markmenu").wait_for()


def spans_in(page, field=FIELD):
    kept = page.locator(field).input_value()
    return [(one["start"], one["end"], one["label"], one["severity"]) for one in json.loads(kept or "[]")]


def drag_over(page, words):
    """Drag the mouse from the beginning to the end of words."""
    box = page.locator("marked-words").first.evaluate(
        """(view, words) => { const start = view.text.indexOf(words);
           const boxes = [...view.range(start, start + words.length).getClientRects()];
           const [first, last] = [boxes[0], boxes.at(-1)];
           return [first.left + 1, first.top + first.height / 2, last.right - 1, last.top + last.height / 2]; }""",
        words,
    )
    page.mouse.move(box[0], box[1])
    page.mouse.down()
    page.mouse.move(box[2], box[3], steps=5)
    page.mouse.up()


class TestFormatted:
    def test_one_reads_the_formatted_text_and_marks_it_as_it_was_written(self, mark, desk):
        text = "**The pool** is open:\n\n- from seven\n- to ten"
        page, _ = mark(asked(desk, HELPFUL, ERRORS, text=text, open_slots=0))
        choose(page, "from seven")
        for key in ("1", "1", "Enter"):
            page.keyboard.press(key)
        page.locator(".marks li").wait_for()
        formatted, written = page.locator("#response li", has_text="from seven"), page.locator(".words__text")

        page.keyboard.press("v")
        expect(formatted).to_be_visible()
        expect(written).to_be_hidden()
        page.keyboard.press("m")
        expect(written).to_be_focused()
        page.keyboard.press("v")
        expect(page.locator("marked-words.is-marking")).to_have_count(0)
        expect(page.get_by_role("button", name="Formatted")).to_have_attribute("aria-pressed", "true")
        page.locator("[data-jump]").click()
        expect(formatted).to_be_hidden()
        expect(page.locator("mark.marked")).to_have_text("from seven")
        start = text.index("from seven")
        assert spans_in(page) == [(start, start + len("from seven"), "made_up", "minor")]

    def test_what_is_saved_again_is_marked_once(self, mark, desk):
        page, lease = mark(asked(desk, HELPFUL, ERRORS, text=TEXT, open_slots=0))
        choose(page, "open")
        for key in ("1", "2", "Enter", "k", "3", "Enter"):
            page.keyboard.press(key)
        page.get_by_text("Submitted.").wait_for()
        page.goto(page.url.split("/review")[0] + f"/leases/{lease.id}")
        page.get_by_role("button", name="Save as revision 2").wait_for()
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        page.get_by_text("Saved as revision 2.").wait_for()

        expect(page.locator("mark.marked")).to_have_attribute("data-numbers", "1")
        expect(page.locator(".marks li")).to_have_count(1)

    def test_a_text_without_format_has_one_view(self, mark, desk):
        page, _ = mark(asked(desk, HELPFUL, ERRORS, text=TEXT, open_slots=0))
        expect(page.locator("marked-words")).to_be_visible()
        expect(page.locator("words-view")).to_be_hidden()


class TestMouse:
    def test_a_selection_is_labelled_kept_changed_and_removed(self, mark, desk, committed):
        page, _ = mark(asked(desk, HELPFUL, ERRORS, text=TEXT, open_slots=0))
        drag_over(page, "It never closes")
        page.get_by_role("button", name="Made up").click()
        page.get_by_role("button", name="Major").click()
        expect(page.locator(".marks li")).to_have_count(1)
        expect(page.locator(".marks li")).to_contain_text("It never closes")
        assert spans_in(page) == [(18, 33, "made_up", "major")]

        page.locator("mark.marked").first.click()
        page.locator(".markmenu").get_by_role("button", name="Cold or rude").click()
        page.get_by_role("button", name="Keep the change").click()
        assert spans_in(page) == [(18, 33, "rude", "major")]

        drag_over(page, "pool is open")
        page.locator(".markmenu").get_by_role("button", name="Cold or rude").click()
        page.get_by_role("button", name="Minor").click()
        page.get_by_role("button", name="Remove mark 2").click()
        assert spans_in(page) == [(4, 16, "rude", "minor")]

        page.keyboard.press("k")
        page.keyboard.press("3")
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing waits for you").wait_for()
        kept = committed.scalars(select(Span)).one()
        assert (kept.start, kept.end, kept.label, kept.severity) == (4, 16, "rude", "minor")
        assert kept.text_hash == text_hash(TEXT)

    def test_marks_may_overlap_and_each_has_a_number_and_a_line(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, ERRORS, text=TEXT, open_slots=0))
        choose(page, "pool is open. It never")
        page.get_by_role("button", name="Wordy").click()
        page.locator(".marks li").first.wait_for()
        choose(page, "open. It never closes")
        page.get_by_role("button", name="What is wrong in it").click()
        page.get_by_role("button", name="Made up").click()
        page.get_by_role("button", name="Minor").click()

        expect(page.locator("mark.marked")).to_have_count(3)
        assert page.locator("mark.marked").evaluate_all("all => all.map((one) => one.dataset.numbers)") == [
            "1",
            "1 2",
            "2",
        ]
        expect(page.locator("mark.lane-1.lane-2")).to_have_text("open. It never")
        assert spans_in(page, "[name='answer.style']") == [(4, 26, "wordy", None)]
        assert spans_in(page) == [(12, 33, "made_up", "minor")]

    def test_the_same_mark_twice_is_named(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, text=TEXT, open_slots=0))
        for _ in range(2):
            choose(page, "pool")
            page.get_by_role("button", name="Mark it").click()

        expect(page.locator(".markmenu__problem")).to_have_text("This passage has that label already.")
        page.locator(SAVED).wait_for()


class TestKeyboard:
    def test_it_marks_without_a_mouse(self, mark, desk):
        page, _ = mark(asked(desk, ERRORS, HELPFUL, text=TEXT, open_slots=0))
        keys = page.keyboard
        keys.press("m")
        expect(page.get_by_role("textbox", name="Words to mark")).to_be_focused()
        keys.press("Control+ArrowRight")
        for _ in range(2):
            keys.press("Control+Shift+ArrowRight")
        page.locator(".markmenu").wait_for()
        keys.press("1")
        keys.press("2")
        keys.press("Enter")
        assert spans_in(page) == [(4, 11, "made_up", "major")] or spans_in(page) == [(3, 11, "made_up", "major")]
        expect(page.locator("[data-marks-said]")).to_contain_text("made up, major".capitalize()[:4])

        keys.press("ArrowLeft")
        keys.press("ArrowLeft")
        keys.press("Enter")  # changes the mark at the caret
        page.get_by_role("button", name="Keep the change").wait_for()
        keys.press("1")
        keys.press("Enter")
        assert [span[2:] for span in spans_in(page)] == [("made_up", "minor")]

        keys.press("Delete")
        assert spans_in(page) == []
        keys.press("Escape")
        expect(page.locator('[data-criterion="errors"]')).to_be_focused()
        keys.press("j")
        keys.press("4")
        expect(page.locator("[name='answer.helpful']:checked")).to_have_value("4")
        page.locator(SAVED).wait_for()

    def test_shift_and_arrows_select_by_character(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, text=TEXT, open_slots=0))
        keys = page.keyboard
        keys.press("m")
        keys.press("ArrowRight")
        for _ in range(2):
            keys.press("Shift+ArrowRight")
        page.locator(".markmenu").wait_for()
        keys.press("Escape")
        expect(page.locator(".markmenu")).to_have_count(0)
        keys.press("Home")
        keys.press("Shift+End")
        page.locator(".markmenu").wait_for()
        keys.press("Enter")  # the only label is chosen already
        assert spans_in(page, "[name='answer.style']") == [(0, len(TEXT), "wordy", None)]
        page.locator(SAVED).wait_for()

    def test_enter_without_a_choice_asks_for_it_and_does_not_submit(self, mark, desk):
        page, _ = mark(asked(desk, ERRORS, text=TEXT, open_slots=0))
        page.keyboard.press("m")
        page.keyboard.press("Enter")
        page.keyboard.press("Control+Shift+ArrowRight")
        page.locator(".markmenu").wait_for()
        page.keyboard.press("Enter")
        expect(page.locator(".markmenu__problem")).to_have_text("Choose a label.")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator(".markmenu__problem")).to_have_text("Choose how bad it is.")
        expect(page.locator("#review")).to_be_visible()

    def test_a_mark_is_removed_from_the_list(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, text=TEXT, open_slots=0))
        for words in ("pool", "never"):
            choose(page, words)
            page.get_by_role("button", name="Mark it").click()
        jump = page.locator("[data-jump]").first
        jump.focus()
        expect(page.locator("mark.is-shown")).to_have_text("pool")
        page.keyboard.press("Delete")

        expect(page.locator("[data-jump]")).to_be_focused()
        assert spans_in(page, "[name='answer.style']") == [(21, 26, "wordy", None)]
        page.locator(SAVED).wait_for()


class TestOffsets:
    @pytest.mark.parametrize("words", ["👩‍🚒", "e\u0301leva", "שלום", "over\u200bthere", "🏴 end", "leva.\r\nשלום"])
    def test_they_count_code_points_of_what_is_stored(self, mark, desk, committed, words):
        page, _ = mark(asked(desk, STYLE, text=ODD, open_slots=0))
        assert page.locator("marked-words").evaluate("view => view.text") == ODD
        choose(page, words)
        page.get_by_role("button", name="Mark it").click()
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing waits for you").wait_for()

        kept = committed.scalars(select(Span)).one()
        assert ODD[kept.start : kept.end] == words

    def test_markdown_is_shown_as_it_was_written(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, text="A **bold** word.", open_slots=0))

        expect(page.locator(".words__text")).to_have_text("A **bold** word.")
        expect(page.locator("#response strong")).to_be_hidden()

    def test_a_long_text_stays_smooth(self, mark, desk):
        long = "A sentence of a very long answer, 🙂 and on. " * 2_300
        page, _ = mark(asked(desk, STYLE, text=long, open_slots=0))
        milliseconds = page.locator("marked-words").evaluate(
            """view => {
              const owner = document.querySelector("passage-marks");
              for (let n = 0; n < 499; n += 1) {
                owner.marks.push({ owner, start: n * 200, end: n * 200 + 250, label: "wordy", severity: null });
              }
              const before = performance.now();
              owner.write();
              view.getBoundingClientRect();
              return performance.now() - before;
            }"""
        )
        assert milliseconds < 5_000  # far less where nothing else runs
        choose(page, "A sentence of")
        page.get_by_role("button", name="Mark it").click()
        expect(page.locator(".marks li")).to_have_count(500)
        choose(page, "very long")
        page.get_by_role("button", name="Mark it").click()
        expect(page.locator(".markmenu__problem")).to_contain_text("At most 500")
        page.locator(SAVED).wait_for()


class TestDraft:
    def test_marks_come_back(self, mark, desk, committed):
        page, _ = mark(asked(desk, ERRORS, text=TEXT, open_slots=0))
        choose(page, "never closes")
        page.keyboard.press("1")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.locator(SAVED).wait_for()
        page.reload()

        expect(page.locator("mark.marked")).to_have_text("never closes")
        expect(page.locator(".marks li")).to_contain_text("Made upMinor")
        assert spans_in(page) == [(21, 33, "made_up", "minor")]
        (draft,) = committed.scalars(select(Draft))
        assert draft.answers["errors"][0]["text_hash"] == text_hash(TEXT)

    def test_what_another_tab_marked_can_be_taken(self, mark, desk):
        page, _ = mark(asked(desk, STYLE, text=TEXT, open_slots=0))
        other = page.context.new_page()
        other.goto(page.url)
        choose(other, "pool")
        other.get_by_role("button", name="Mark it").click()
        other.locator(SAVED).wait_for()
        page.get_by_label("Comment").fill("Mine")
        page.get_by_text("Changed in another tab").first.wait_for()
        expect(page.locator("[data-draft-other]")).to_contain_text("Style: 1 passage marked")
        page.get_by_role("button", name="Take the other").click()

        expect(page.locator("mark.marked")).to_have_text("pool")
        other.close()

    def test_what_does_not_fit_the_text_is_said_and_can_be_removed(self, mark, desk, committed):
        item = asked(desk, STYLE, text=TEXT, open_slots=0)
        stale = [{"start": 0, "end": 3, "label": "wordy", "severity": None, "text_hash": "0" * 64}, {"start": "x"}]
        committed.add(
            Draft(item_id=item.id, reviewer_id=desk.reviewer.id, number=1, answers={"style": stale}, updated_at=clock())
        )
        committed.flush()
        page, _ = mark(item)

        expect(page.locator(".marks li")).to_have_text("2 marks do not fit this text.×")
        page.keyboard.press("Enter")
        expect(page.locator(".field__problem")).to_contain_text("span")
        page.get_by_role("button", name="Remove what does not fit").click()
        page.locator(SAVED).wait_for()
        assert spans_in(page, "[name='answer.style']") == []


class TestTurns:
    def test_each_is_judged_where_it_stands_by_keyboard(self, mark, desk, committed):
        page, _ = mark(conversation(desk, GOOD, HELPFUL, open_slots=0))
        expect(page.locator("#conversation")).to_contain_text("The whole conversation")
        expect(page.locator('[data-kind="thumbs"]')).to_have_count(3)
        keys = page.keyboard
        keys.press("1")
        for key in "j2j0j4":
            keys.press(key)
        page.locator(SAVED).wait_for()
        page.reload()
        expect(page.locator("[name='answer.good.2']:checked")).to_have_value("up")
        keys.press("Enter")
        page.get_by_role("heading", name="Nothing waits for you").wait_for()

        kept = committed.execute(select(Rating.message_index, Rating.value).order_by(Rating.message_index)).all()
        assert sorted(kept, key=str) == sorted([(2, 1), (4, 0), (6, None), (None, 4)], key=str)

    def test_a_missing_turn_is_named_there(self, mark, desk):
        page, _ = mark(conversation(desk, GOOD, HELPFUL, open_slots=0))
        page.keyboard.press("1")
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")

        problem = page.locator("[data-criterion='good.4'] .field__problem")
        expect(problem).to_contain_text("each answer of the assistant")
        expect(page.locator("[data-criterion='good.2'] .field__problem")).to_have_count(0)
        expect(page.locator("[data-criterion='good.4']")).to_be_focused()

    def test_passages_of_a_turn(self, mark, desk, committed):
        page, _ = mark(conversation(desk, TURN_ERRORS, open_slots=0))
        page.keyboard.press("m")
        page.keyboard.press("Control+Shift+ArrowRight")
        page.locator(".markmenu").wait_for()
        for key in ("1", "1", "Enter", "Escape"):
            page.keyboard.press(key)
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing waits for you").wait_for()

        kept = committed.scalars(select(Span)).one()
        assert (kept.message_index, kept.start, kept.end) == (2, 0, 2)

    def test_a_long_history_is_not_folded_away(self, mark, desk):
        page, _ = mark(asked(desk, GOOD, messages=TALK * 4, open_slots=0))

        expect(page.locator('[data-kind="thumbs"]')).to_have_count(9)
        expect(page.locator(".fold--earlier")).to_have_count(0)


class TestPhone:
    def test_a_finger_marks(self, mark, desk):
        page, _ = mark(asked(desk, ERRORS, text=TEXT, open_slots=0), width=390)
        choose(page, "never closes")
        page.get_by_role("button", name="Made up").tap()
        page.get_by_role("button", name="Major").tap()
        assert spans_in(page) == [(21, 33, "made_up", "major")]
        page.locator("mark.marked").tap()
        page.get_by_role("button", name="Remove", exact=True).tap()
        assert spans_in(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(SAVED).wait_for()


def clock():
    return factories.clock.now()
