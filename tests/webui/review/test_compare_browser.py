"""Comparing in a real browser: by keys, by buttons, by dragging, on a phone, and without scripts."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from hitl.review.models import Ranking, Revision, Tag
from tests.hitl import factories
from tests.webui.base.payloads import storable_payloads
from tests.webui.review.comparisons import OF_EACH, PAIR, RANKING, REASONS, comparison, held

TEXTS = ("The tide does it.", "The moon does it.", "Nobody knows.")
SAVED = 'draft-status[data-state="saved"]'
LONG = "A sentence of a very long message. " * 2_900  # 101,500 characters


@pytest.fixture
def compare(browsing, enter, address, desk):
    """Lets the reviewer hold a comparison and opens it: `page, lease = compare(texts, criteria=…, width=390)`."""
    opened = []

    def compare(texts=TEXTS, *, criteria=(RANKING, REASONS), responses=None, **look):
        lease = held(desk, comparison(desk, texts, criteria=criteria, responses=responses, open_slots=0))
        page = browsing.open(**look)
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.lease_url(lease)}")
        page.locator("#review").wait_for()
        opened.append(page)
        return page, lease

    yield compare
    for page in opened:  # a draft on its way when the page closes would be a complaint
        page.locator("draft-status:is([data-state=typing], [data-state=saving])").wait_for(state="detached")


def strip_of(page):
    """Return the strip as one reads it, such as "B › A = C"; letters without a place stand in brackets."""
    return page.locator("[data-strip]").evaluate(
        """strip => [...strip.children].map((part) => part.dataset.token && !part.classList.contains("is-set")
           ? `(${part.textContent})` : part.textContent).join(" ")"""
    )


def ranking_in(committed, lease):
    """Return what was kept of the ranking, such as [["B"], ["A", "C"]]."""
    committed.rollback()
    letters = {text: letter for letter, text in lease.texts.items()}
    rows = committed.execute(
        select(Ranking.position, factories.capture.Response.output)
        .join(factories.capture.Response, Ranking.response_id == factories.capture.Response.id)
        .order_by(Ranking.position)
    ).all()
    places = sorted({position for position, _ in rows})
    return [sorted(letters[output["content"]] for at, output in rows if at == place) for place in places]


class TestKeys:
    def test_letters_place_best_first(self, compare, desk, committed):
        desk.add("The next one.")
        page, lease = compare()
        page.keyboard.press("b")
        page.keyboard.press("a")
        expect(page.locator("[data-order-status]")).to_have_text("C has no place yet")
        expect(page.get_by_role("button", name="Submit and next")).to_have_attribute("aria-disabled", "true")
        expect(page.locator("[data-order-said]")).to_have_text("Best first: B, then A. C has no place yet.")
        page.keyboard.press("e")
        assert strip_of(page) == "B › A = (C)"
        page.keyboard.press("c")
        assert strip_of(page) == "B › A = C"
        page.keyboard.press("3")
        page.keyboard.press("n")
        page.keyboard.type("because")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.locator("#response")).to_contain_text("The next one.")

        assert ranking_in(committed, lease) == [["B"], ["A", "C"]]
        assert committed.scalars(select(Tag.value)).all() == ["easy"]
        assert committed.scalars(select(Revision.comment)).all() == ["because"]

    def test_backspace_takes_one_back_and_x_says_all_bad(self, compare):
        page, _ = compare()
        for key in "cae":
            page.keyboard.press(key)
        page.keyboard.press("Backspace")  # the "equal"
        assert strip_of(page) == "C › A › (B)"
        page.keyboard.press("Backspace")
        assert strip_of(page) == "C › (A) (B)"
        page.keyboard.press("x")
        expect(page.locator("[value=all_bad]")).to_be_checked()
        expect(page.locator("[data-order-status]")).to_have_text("")
        assert page.locator("select[data-letter]").evaluate_all("all => all.map((one) => one.value)") == ["", "", ""]
        page.keyboard.press("x")
        assert strip_of(page) == "C › (A) (B)"
        page.keyboard.press("0")
        expect(page.locator("[value=unsure]")).to_be_checked()
        page.keyboard.press("a")
        expect(page.locator("[value=unsure]")).not_to_be_checked()
        assert strip_of(page) == "A › (B) (C)"

    def test_a_letter_again_goes_to_the_end(self, compare):
        page, _ = compare()
        for key in "abca":
            page.keyboard.press(key)

        assert strip_of(page) == "B › C › A"

    def test_enter_says_what_is_missing_and_sends_nothing(self, compare, committed):
        page, _ = compare()
        page.keyboard.press("a")
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")

        expect(page.locator("[data-order-said]")).to_have_text("Not submitted. B and C have no place yet.")
        expect(page.locator("[data-kind=ranking]")).to_be_focused()
        assert committed.scalars(select(Revision)).all() == []

    def test_letters_type_in_fields(self, compare):
        page, _ = compare()
        page.get_by_label("Comment").fill("")
        page.get_by_label("Comment").press_sequentially("abc e x")

        assert strip_of(page) == "(A) (B) (C)"

    def test_from_five_on_e_is_a_response(self, compare):
        page, _ = compare([f"Answer {n}." for n in range(9)])
        for key in ("g", "e", "=", "i", "c"):
            page.keyboard.press(key)

        assert strip_of(page) == "G › E = I › C › (A) (B) (D) (F) (H)"
        expect(page.locator("dialog#guidelines")).to_be_hidden()

    def test_all_keys_are_listed(self, compare):
        page, _ = compare()
        page.keyboard.press("?")

        expect(page.get_by_role("dialog")).to_contain_text("Compare: place a response, best first")

    def test_two_are_compared_by_side_and_strength(self, compare, committed):
        page, lease = compare(TEXTS[:2], criteria=(PAIR, REASONS))
        status = page.locator("[data-order-status]")
        expect(status).to_have_text("Nothing is chosen yet")
        page.keyboard.press("b")
        expect(page.locator('[data-place-of="B"]')).to_have_text("slightly better")
        page.keyboard.press("b")
        expect(page.locator('[data-place-of="B"]')).to_have_text("much better")
        page.keyboard.press("e")
        expect(page.locator("[value=equal]")).to_be_checked()
        page.keyboard.press("x")
        expect(page.locator("[value=both_bad]")).to_be_checked()
        page.keyboard.press("Backspace")
        expect(status).to_have_text("Nothing is chosen yet")
        page.keyboard.press("a")
        page.keyboard.press("a")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

        kept = committed.scalars(select(Ranking).order_by(Ranking.position)).all()
        assert [row.strength for row in kept] == ["much", "much"]
        assert ranking_in(committed, lease) == [["A"], ["B"]]

    def test_each_is_answered_by_numbers_in_reading_order(self, compare, committed):
        page, lease = compare(TEXTS[:2], criteria=(*OF_EACH, RANKING))
        for key in ("4", "j", "1", "j", "2", "b", "a"):
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

        said = committed.scalars(select(Revision)).one()
        by_text = {text: letter for letter, text in lease.texts.items()}
        of = {
            one.id: by_text.get(one.output["content"]) for one in committed.scalars(select(factories.capture.Response))
        }
        assert {of[rating.response_id]: rating.value for rating in said.ratings} == {"A": 4, "B": 2}
        assert [(of[tag.response_id], tag.value) for tag in said.tags] == [("A", "made_up")]


class TestMouse:
    def test_the_buttons_place_and_take_out(self, compare):
        page, _ = compare()
        page.get_by_role("button", name="make 1st: response C").click()
        page.get_by_role("button", name="make 2nd: response A").click()
        expect(page.locator('[data-place-of="C"]')).to_have_text("1st")
        expect(page.locator('[data-candidate="C"]')).to_have_class(re.compile("is-first"))
        page.get_by_role("button", name="1st: response C. Take it out").click()

        assert strip_of(page) == "A › (B) (C)"
        expect(page.locator('[data-place-of="A"]')).to_have_text("1st")

    def test_a_sign_between_letters_turns(self, compare):
        page, _ = compare()
        for key in "abc":
            page.keyboard.press(key)
        page.locator('[data-sign="B"]').click()
        assert strip_of(page) == "A = B › C"
        expect(page.locator('[data-place-of="B"]')).to_have_text("=1st")
        page.locator('[data-sign="B"]').click()
        assert strip_of(page) == "A › B › C"

    @pytest.mark.parametrize(
        ("letter", "onto", "share", "after"),
        [
            ("C", "A", 0.05, "C › A › B"),
            ("A", "C", 0.95, "B › C › A"),
            ("C", "A", 0.5, "A = C › B"),
            ("A", "B", 0.5, "B = A › C"),
        ],
    )
    def test_letters_are_dragged(self, compare, letter, onto, share, after):
        page, _ = compare()
        for key in "abc":
            page.keyboard.press(key)
        drag(page, letter, onto, share)

        assert strip_of(page) == after
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

    def test_one_without_a_place_is_dragged_in_and_one_with_a_place_out(self, compare):
        page, _ = compare()
        page.keyboard.press("a")
        drag(page, "C", "A", 0.05)
        assert strip_of(page) == "C › A › (B)"
        token = page.locator('[data-token="C"]').bounding_box()
        page.mouse.move(token["x"] + 9, token["y"] + 9)
        page.mouse.down()
        page.mouse.move(token["x"] + 9, token["y"] - 200, steps=5)
        page.mouse.up()

        assert strip_of(page) == "A › (B) (C)"

    def test_arrows_move_a_letter(self, compare):
        page, _ = compare()
        for key in "abc":
            page.keyboard.press(key)
        page.locator('[data-token="C"]').focus()
        page.keyboard.press("ArrowLeft")
        assert strip_of(page) == "A › B = C"
        page.keyboard.press("ArrowLeft")
        assert strip_of(page) == "A › C › B"
        expect(page.locator('[data-token="C"]')).to_be_focused()
        expect(page.locator("[data-order-said]")).to_have_text("Best first: A, then C, then B.")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert strip_of(page) == "A › B › C"
        page.keyboard.press("Delete")
        assert strip_of(page) == "A › B › (C)"

    def test_words_that_differ_are_marked(self, compare):
        page, _ = compare(["It is the tide, they say.", "It is the moon, they say."], criteria=(PAIR,))
        page.get_by_role("button", name="Differences").click()
        marked = "[...CSS.highlights.get('differs') ?? []].map(String).sort()"
        assert page.evaluate(marked) == ["moon,", "tide,"]
        page.keyboard.press("w")
        assert page.evaluate(marked) == []

    def test_of_more_each_in_turn_is_what_the_others_differ_from(self, compare):
        page, lease = compare(["one two", "one three", "one four"])
        page.keyboard.press("w")
        expect(page.get_by_role("button", name="Differences from A")).to_have_attribute("aria-pressed", "true")
        theirs = sorted(lease.texts[letter].split()[1] for letter in "BC")
        assert page.evaluate("[...CSS.highlights.get('differs')].map(String).sort()") == theirs


class TestDraft:
    def test_it_comes_back_to_exactly_the_same(self, compare):
        page, _ = compare(criteria=(*OF_EACH, RANKING, REASONS))
        for key in ("3", "c", "e", "a"):
            page.keyboard.press(key)
        page.get_by_label("Comment").fill("So far.")
        page.locator(SAVED).wait_for()
        before = state_of(page)
        page.reload()
        page.locator("[data-token]").first.wait_for()

        assert state_of(page) == before
        assert strip_of(page) == "A = C › (B)"

    def test_the_other_tabs_ranking_can_be_taken(self, compare):
        page, _ = compare()
        other = page.context.new_page()
        other.goto(page.url)
        for key in "cba":
            other.keyboard.press(key)
        other.locator(SAVED).wait_for()
        page.keyboard.press("x")
        page.get_by_role("button", name="Take the other").click()

        assert strip_of(page) == "C › B › A"
        expect(page.locator("[data-order-status]")).to_have_text("")

    def test_it_comes_back_after_undo(self, compare):
        page, _ = compare()
        for key in "bca":
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        page.keyboard.press("z")
        page.locator("[data-token]").first.wait_for()

        assert strip_of(page) == "B › C › A"


class TestPhone:
    def test_responses_stand_below_each_other_and_the_strip_stays(self, compare):
        page, _ = compare([LONG[:3000] for _ in TEXTS], width=390, height=844)
        boxes = [page.locator(f'[data-candidate="{letter}"]').bounding_box() for letter in "ABC"]
        assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"] < boxes[2]["y"]
        expect(page.locator("[data-strip]")).to_be_in_viewport()
        page.locator('[data-candidate="B"] .candidate__text').scroll_into_view_if_needed()
        page.mouse.wheel(0, 1500)
        expect(page.locator("[data-strip]")).to_be_in_viewport()
        expect(page.get_by_role("button", name="Submit and next")).to_be_in_viewport()
        page.locator('[data-token="B"]').tap()
        page.locator('[data-token="A"]').tap()
        assert strip_of(page) == "B › A › (C)"
        page.get_by_role("link", name="To your verdict").click()
        expect(page.get_by_text("Why the first one")).to_be_in_viewport()

        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate("""
            [...document.querySelectorAll('.actions :is(button, a), [data-token], [data-place-of], .scale label')]
            .filter((part) => part.checkVisibility())
            .map((part) => [part.textContent.trim(), part.getBoundingClientRect().height])
            .filter(([, height]) => height < 43.5)""")
        assert small == []

    def test_nine_fit(self, compare):
        page, _ = compare([f"Answer {n}." for n in range(9)], width=390, height=844)
        for letter in "ABCDEFGHI":
            page.locator(f'[data-token="{letter}"]').tap()

        assert strip_of(page) == " › ".join("ABCDEFGHI")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


class TestWithoutScripts:
    def test_a_ranking_is_submitted_by_places(self, compare, committed):
        page, lease = compare(javascript=False)
        page.locator("select[data-letter=A]").select_option("second")
        page.locator("select[data-letter=B]").select_option("first")
        page.get_by_role("button", name="Submit and next").click()
        expect(page.get_by_text("Give each response a place: 2 of 3 have one.")).to_be_visible()
        expect(page.locator("select[data-letter=B]")).to_have_value("1")
        page.locator("select[data-letter=C]").select_option("first")
        page.get_by_role("button", name="Submit and next").click()
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

        assert ranking_in(committed, lease) == [["B", "C"], ["A"]]

    def test_a_pair_is_submitted_by_radios(self, compare, committed):
        page, lease = compare(TEXTS[:2], criteria=(PAIR,), javascript=False)
        page.get_by_label("B slightly").check(force=True)
        page.get_by_role("button", name="Submit and next").click()
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

        assert ranking_in(committed, lease) == [["B"], ["A"]]


class TestText:
    def test_long_ones_stay_usable(self, compare):
        page, _ = compare([LONG, LONG + "The end."], criteria=(PAIR, REASONS))
        milliseconds = page.evaluate("""async () => {
            const start = performance.now();
            const pane = document.querySelector(".compare");
            for (let step = 0; step < 20; step++) {
              pane.scrollTop += 500;
              await new Promise((seen) => requestAnimationFrame(seen));
            }
            return performance.now() - start;
        }""")
        page.keyboard.press("w")
        page.keyboard.press("a")
        page.locator(SAVED).wait_for()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

        assert milliseconds < 3_000  # 20 frames, on a machine that is busy with other things

    def test_right_to_left_reads_from_the_right(self, compare):
        page, _ = compare(["שלום לכם, אלה הגלים.", "مرحبا، هذا هو القمر.", "Hello."])
        directions = page.locator(".candidate__text p").evaluate_all(
            "all => all.map((one) => getComputedStyle(one).direction)"
        )

        assert sorted(directions) == ["ltr", "rtl", "rtl"]

    def test_hostile_ones_run_nothing(self, compare, desk):
        everything = "\n\n".join(storable_payloads())
        responses = [
            factories.Response(
                project=desk.project,
                input={"messages": [{"role": "user", "content": everything}], "tools": []},
                output={"role": "assistant", "content": everything, "reasoning_content": everything},
                context=[{"title": text, "text": text, "source": text} for text in storable_payloads()],
                model='"><script>window.__ran = 1</script>',
            )
            for _ in range(2)
        ]
        hostile = {**PAIR, "label": '"><script>window.__ran = 1</script>', "hint": "<img src=x onerror=window.__ran=1>"}
        page, _ = compare((), criteria=(hostile, REASONS), responses=responses)
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.keyboard.press("w")
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible(timeout=20_000)
        page.goto(page.url.split("/review")[0] + "/my-reviews")
        page.locator("tbody a").click()
        expect(page.get_by_role("button", name="Save as revision 2")).to_be_visible()

        assert page.evaluate("window.__ran") is None


def drag(page, letter, onto, share):
    start = page.locator(f'[data-token="{letter}"]').bounding_box()
    end = page.locator(f'[data-token="{onto}"]').bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] * share, end["y"] + end["height"] / 2, steps=6)
    page.mouse.up()


def state_of(page):
    return page.evaluate(
        """() => [...new FormData(document.querySelector("#review"))].filter(([name]) => name !== "csrf_token")"""
    )
