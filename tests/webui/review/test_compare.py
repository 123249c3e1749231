"""Comparing responses: what a reviewer reads, what the form sends and gives back, and what is refused."""

import re

import pytest
from sqlalchemy import select

from hitl.review.models import Draft, Review, Revision
from tests.hitl import factories
from tests.webui.review.comparisons import (
    OF_EACH,
    PAIR,
    RANKING,
    REASONS,
    comparison,
    held,
)
from tests.webui.words import words_of

TEXTS = ("The tide does it.", "The moon does it.", "Nobody knows.")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def lease(desk):
    return held(desk, comparison(desk, TEXTS, open_slots=0))


@pytest.fixture
def pair(desk):
    return held(desk, comparison(desk, TEXTS[:2], criteria=(PAIR, RANKING, REASONS), open_slots=0))


class TestPage:
    def test_it_shows_the_responses_under_letters_in_my_order(self, ana, desk, lease):
        texts = lease.texts
        page = words_of(ana().get(desk.lease_url(lease)).text)

        assert "What is the question?" in page
        places = [page.index(f"Response {letter}") for letter in "ABC"]
        assert places == sorted(places)
        assert [page.index(texts[letter]) > page.index(f"Response {letter}") for letter in "ABC"] == [True] * 3
        assert "Blind, and shuffled for you" in page

    def test_it_keeps_my_order_and_others_have_theirs(self, ana, desk, sign_in, committed):
        item = comparison(desk, [f"Answer {n}." for n in range(9)], reviews_wanted=5, open_slots=5)
        colleagues = [factories.Membership(project=desk.project).user for _ in range(3)]
        browser = ana()
        url = browser.post(f"{desk.url}/leases").location

        first, again = (order_on(browser.get(url).text) for _ in range(2))
        theirs = []
        for colleague in colleagues:
            other = sign_in(colleague)
            theirs.append(order_on(other.get(other.post(f"{desk.url}/leases").location).text))

        assert first == again
        assert sorted(first) == [f"Answer {n}." for n in range(9)]
        assert any(order != first for order in theirs)
        assert item.open_slots == 5  # this session has not looked again

    def test_the_next_item_is_shown_whatever_its_kind(self, ana, desk):
        comparison(desk, TEXTS)
        desk.add("A response alone.")
        browser = ana()
        opened = browser.post(f"{desk.url}/leases", headers=HTMX).text

        assert "ranked-responses" in opened
        names = re.findall(r'name="(answer\.rank\.[^"]+)"', opened)
        url = re.search(r'hx-post="([^"]+/review)"', opened)[1]
        after = browser.post(url, data={name: place for place, name in enumerate(names, start=1)}, headers=HTMX)
        assert "A response alone." in after.text

    def test_it_shows_where_each_drew_on_other_passages(self, ana, desk):
        responses = [
            factories.Response(
                project=desk.project, asked="Q", text=text, context=[{"title": f"Page {text}", "text": "x"}]
            )
            for text in ("one", "two")
        ]
        lease = held(desk, comparison(desk, (), responses=responses, criteria=(PAIR,), open_slots=0))
        page = ana().get(desk.lease_url(lease)).text

        prompt, below = page.split('id="responses"')
        assert "Page one" not in prompt
        assert "Page one" in below
        assert "Page two" in below

    def test_it_shows_shared_passages_once_with_the_prompt(self, ana, desk):
        shared = [{"title": "The handbook", "text": "x"}]
        responses = [factories.Response(project=desk.project, asked="Q", context=shared) for _ in range(2)]
        lease = held(desk, comparison(desk, (), responses=responses, criteria=(PAIR,), open_slots=0))

        assert ana().get(desk.lease_url(lease)).text.count("The handbook") == 1

    def test_it_shows_tool_calls_and_refusals(self, ana, desk):
        call = {"id": "c", "type": "function", "function": {"name": "book_room", "arguments": '{"nights": 2}'}}
        outputs = [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "assistant", "content": None, "refusal": "I may not do that."},
        ]
        responses = [factories.Response(project=desk.project, asked="Q", output=output) for output in outputs]
        lease = held(desk, comparison(desk, (), responses=responses, criteria=(PAIR,), open_slots=0))
        page = ana().get(desk.lease_url(lease)).text

        assert "book_room" in page
        assert "I may not do that." in page

    def test_it_takes_what_asks_for_no_order(self, ana, desk):
        lease = held(desk, comparison(desk, TEXTS, criteria=OF_EACH, open_slots=0))
        page = ana().get(desk.lease_url(lease)).text

        assert "ranked-responses" not in page
        assert page.count('data-criterion="helpful.') == page.count('data-criterion="wrong.') == 3

    @pytest.mark.parametrize("count", [2, 9])
    def test_it_compares_from_two_to_nine(self, ana, desk, count):
        lease = held(desk, comparison(desk, [f"Answer {n}." for n in range(count)], open_slots=0))
        browser = ana()
        page = browser.get(desk.lease_url(lease)).text
        fields = {f"answer.rank.{name}": place for place, name in enumerate(lease.names.values(), start=1)}

        assert page.count('<article class="candidate"') == count
        assert browser.post(f"{desk.lease_url(lease)}/review", data=fields).status_code == 303


class TestSubmitting:
    @pytest.mark.parametrize(
        ("places", "said"),
        [
            ({"A": 2, "B": 1, "C": 2}, "Best first: B › A = C"),
            ({"A": 3, "B": 2, "C": 1}, "Best first: C › B › A"),
            ({"A": 7, "B": 7, "C": 7}, "Best first: A = B = C"),
        ],
    )
    def test_my_reviews_say_the_ranking_as_i_saw_it(self, ana, desk, lease, places, said):
        browser = ana()
        names = lease.names
        data = {f"answer.rank.{names[letter]}": place for letter, place in places.items()}
        answer = browser.post(f"{desk.lease_url(lease)}/review", data={**data, "answer.why": ["easy", "correct"]})
        page = browser.get(f"{desk.url}/my-reviews").text

        assert answer.status_code == 303
        assert f"{said} · Why the first one: More correct, Easier to follow" in words_of(page)
        assert "3 responses to What is the question?" in words_of(page)

    @pytest.mark.parametrize(("value", "said"), [("all_bad", "all bad"), ("unsure", "cannot judge")])
    def test_a_ranking_may_say_that_there_is_none(self, ana, desk, lease, value, said):
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.rank": value})

        assert f"Best first: {said}" in words_of(browser.get(f"{desk.url}/my-reviews").text)

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("{B}.much", "B much better"),
            ("{A}.slightly", "A slightly better"),
            ("equal", "equal"),
            ("both_bad", "both bad"),
            ("unsure", "cannot judge"),
        ],
    )
    def test_my_reviews_say_which_of_two_was_better(self, ana, desk, pair, committed, value, said):
        browser = ana()
        sent = value.format(**pair.names)
        browser.post(f"{desk.lease_url(pair)}/review", data={"answer.pair": sent})
        page = browser.get(f"{desk.url}/my-reviews").text
        own = browser.get(review_url(desk, committed)).text

        assert f"Which is better: {said}" in words_of(page)
        assert re.search(rf'value="{re.escape(sent)}"[^>]* checked', own)

    def test_it_keeps_what_is_said_about_each(self, ana, desk, committed):
        lease = held(desk, comparison(desk, TEXTS, criteria=(*OF_EACH, RANKING), open_slots=0))
        names = lease.names
        data = {f"answer.rank.{name}": place for place, name in enumerate(names.values(), start=1)}
        data |= {f"answer.helpful.{names[letter]}": value for letter, value in {"A": 4, "B": "unsure", "C": 1}.items()}
        data[f"answer.wrong.{names['C']}"] = ["made_up", "rude"]
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data=data)
        said = words_of(browser.get(f"{desk.url}/my-reviews").text)
        own = browser.get(review_url(desk, committed)).text

        assert (
            "Helpful: A 4, B cannot judge, C 1 · What is wrong: C Made up, Cold or rude · Best first: A › B › C" in said
        )
        assert re.search(rf'name="answer.helpful.{names["A"]}" value="4"[^>]* checked', own)
        assert own.count(" checked") == 3 + 2 + 1  # scales, tags, and that it is ranked by place
        assert own.count(" selected") == 3


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({}, "Give each response a place under “Best first”."),
            ({"answer.rank.{A}": "1", "answer.rank.{C}": "2"}, "Give each response a place: 2 of 3 have one."),
            ({"answer.rank.{A}": "1", "answer.rank.{B}": "x", "answer.rank.{C}": "2"}, "Give each response a place"),
            ({"answer.rank.{A}": "1", "answer.rank.other": "2"}, "names a response that is not compared here"),
            ({"answer.rank": "best"}, "Give each response a place"),
        ],
    )
    def test_a_ranking_that_is_none_is_named_in_its_place(self, ana, desk, lease, data, sentence):
        names = lease.names
        sent = {field.format(**names): value for field, value in data.items()}
        answer = ana().post(f"{desk.lease_url(lease)}/review", data={**sent, "answer.why": "easy"}, headers=HTMX)

        assert answer.status_code == 422
        field = answer.text[answer.text.index('id="answer-rank"') :]
        assert sentence in field[: field.index("</fieldset>")]
        assert re.search(r'value="easy"[^>]* checked', answer.text)

    def test_it_gives_back_the_places_that_were_right(self, ana, desk, lease):
        names = lease.names
        sent = {f"answer.rank.{names['B']}": "1", f"answer.rank.{names['A']}": "2"}
        page = ana().post(f"{desk.lease_url(lease)}/review", data=sent, headers=HTMX).text

        assert places_on(page) == {names["A"]: "2", names["B"]: "1"}

    @pytest.mark.parametrize("value", ["other.much", "{A}.hugely", "{A}", "first"])
    def test_a_pair_that_is_none_is_named(self, ana, desk, pair, value):
        sent = value.format(**pair.names)
        answer = ana().post(f"{desk.lease_url(pair)}/review", data={"answer.pair": sent}, headers=HTMX)

        assert answer.status_code == 422
        assert "answer-pair-problem" in answer.text

    def test_the_response_without_an_answer_is_named(self, ana, desk):
        lease = held(desk, comparison(desk, TEXTS, criteria=OF_EACH, open_slots=0))
        names = lease.names
        sent = {f"answer.helpful.{names[letter]}": "3" for letter in "AC"}
        page = ana().post(f"{desk.lease_url(lease)}/review", data=sent, headers=HTMX).text

        assert "Choose one under “Helpful” for each response." in page
        assert re.findall(r'id="answer-helpful\.([^"]+)-problem"', page) == [names["B"]]

    def test_a_response_of_elsewhere_is_refused(self, ana, desk):
        lease = held(desk, comparison(desk, TEXTS, criteria=OF_EACH, open_slots=0))
        sent = {f"answer.helpful.{name}": "3" for name in (*lease.names.values(), "elsewhere")}
        answer = ana().post(f"{desk.lease_url(lease)}/review", data=sent, headers=HTMX)

        assert answer.status_code == 422
        assert "not asked about here" in answer.text

    def test_one_that_is_over_is_taken_all_the_same(self, ana, desk, let_time_pass):
        comparison(desk, TEXTS, criteria=(RANKING,))
        browser = ana()
        url = browser.post(f"{desk.url}/leases").location
        let_time_pass(minutes=20)

        assert "Your time is over" in browser.get(url).text
        assert "it counts" in browser.post(f"{url}/review", data={"answer.rank": "all_bad"}, headers=HTMX).text


class TestDraft:
    def test_it_comes_back_as_it_was(self, ana, desk, lease, committed):
        names = lease.names
        sent = {
            f"answer.rank.{names['C']}": "1",
            f"answer.rank.{names['A']}": "1",
            "answer.rank": "",
            "answer.why": "easy",
        }
        browser = ana()
        url = desk.lease_url(lease)
        saved = browser.put(f"{url}/draft", data={**sent, "number": 0, "comment": "So"})
        page = browser.get(url).text

        assert saved.json["number"] == 1
        assert places_on(page) == {names["A"]: "1", names["C"]: "1"}
        assert re.search(r'value="easy"[^>]* checked', page)
        assert "So</textarea>" in page
        assert committed.scalars(select(Draft)).one().answers["rank"] in (
            [[names["C"], names["A"]]],
            [[names["A"], names["C"]]],
        )

    def test_another_tab_gets_the_newer_one_by_fields(self, ana, desk, lease):
        names = lease.names
        browser = ana()
        url = f"{desk.lease_url(lease)}/draft"
        browser.put(url, data={"number": 0, f"answer.rank.{names['B']}": "1"})
        refused = browser.put(url, data={"number": 0, "answer.rank": "all_bad"})

        assert refused.status_code == 409
        assert refused.json["draft"]["fields"][f"answer.rank.{names['B']}"] == ["1"]

    def test_undo_opens_it_with_what_was_said(self, ana, desk, lease):
        names = lease.names
        sent = {f"answer.rank.{name}": place for place, name in enumerate(names.values(), start=1)}
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data=sent)
        page = browser.post(f"{desk.url}/undo", headers=HTMX).text

        assert places_on(page) == {name: str(place) for place, name in enumerate(names.values(), start=1)}
        assert order_on(page) == list(lease.texts.values())

    def test_it_is_skipped_and_given_back_like_any_item(self, ana, desk):
        comparison(desk, TEXTS)
        browser = ana()
        url = browser.post(f"{desk.url}/leases").location

        assert "You gave this item back" in browser.post(f"{url}/return", headers=HTMX).text
        url = browser.post(f"{desk.url}/leases").location
        assert "Skipped." in browser.post(f"{url}/skip", data={"reason": "I cannot judge this"}, headers=HTMX).text


class TestOwnComparison:
    def test_it_names_the_models_once_all_is_decided_and_it_is_asked(self, ana, desk, committed):
        lease = held(desk, comparison(desk, TEXTS, open_slots=0))
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.rank": "all_bad"})
        url = review_url(desk, committed)
        committed.rollback()
        before = browser.get(url).text
        assert "desk-small" not in before
        assert "Show who wrote what" in before
        page = browser.post(f"{url}/disclosure", follow_redirects=True).text

        assert len(re.findall(r'class="candidate__model">.*?desk-small', page)) == 3
        assert "your blind review is the one that counts" in page

    def test_it_names_none_while_others_judge(self, ana, desk, committed):
        lease = held(desk, comparison(desk, TEXTS, reviews_wanted=2, open_slots=1))
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.rank": "all_bad"})
        page = browser.get(review_url(desk, committed)).text

        assert "desk-small" not in page
        assert "No longer blind" not in page
        assert "Show who wrote what" not in page
        url = review_url(desk, committed)
        committed.rollback()
        assert browser.post(f"{url}/disclosure").status_code == 409

    def test_a_change_after_that_is_kept_and_does_not_count(self, ana, desk, committed):
        lease = held(desk, comparison(desk, TEXTS, open_slots=0))
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.rank": "all_bad"})
        url = review_url(desk, committed)
        committed.rollback()
        browser.post(f"{url}/disclosure")
        browser.post(f"{url}/revisions", data={"answer.rank": "unsure"})
        browser.post(f"{url}/revisions", data={"answer.rank": "all_bad"})

        first, second, _ = committed.scalars(select(Revision).order_by(Revision.number)).all()
        review = committed.scalars(select(Review)).one()
        assert (first.is_unblinded, second.is_unblinded) == (False, True)
        assert review.counting_revision_id == first.id
        assert "no longer blind, so it does not count" in words_of(browser.get(url).text)
        committed.rollback()
        again = browser.post(f"{url}/reopening", follow_redirects=True).text
        assert "What you submit is kept, but does not count" in again
        assert "desk-small" not in again

    def test_a_change_before_that_counts(self, ana, desk, committed):
        lease = held(desk, comparison(desk, TEXTS, reviews_wanted=2, open_slots=1))
        names = lease.names
        browser = ana()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.rank": "all_bad"})
        url = review_url(desk, committed)
        committed.rollback()
        sent = {f"answer.rank.{name}": 1 for name in names.values()}
        page = browser.post(f"{url}/revisions", data=sent, headers=HTMX).text

        newest = committed.scalars(select(Revision).order_by(Revision.number.desc())).first()
        assert committed.scalars(select(Review)).one().counting_revision_id == newest.id
        assert "Saved as revision 2." in page
        assert places_on(page) == dict.fromkeys(names.values(), "1")
        assert order_on(page) == list(lease.texts.values())


def order_on(page):
    """Return the texts of the responses in the order of the page."""
    found = re.findall(r'class="candidate__text.*?<p>(.*?)</p>', page, re.DOTALL)
    return [text.strip() for text in found]


def places_on(page):
    """Return the places that are chosen, by the names of the responses."""
    found = re.findall(r'<select[^>]* name="answer\.rank\.([^"]+)".*?</select>', page, re.DOTALL)
    blocks = re.findall(r"<select.*?</select>", page, re.DOTALL)
    chosen = [re.search(r'value="(\d+)" selected', block) for block in blocks]
    return {name: hit[1] for name, hit in zip(found, chosen, strict=True) if hit}


def review_url(desk, committed):
    return f"{desk.url}/reviews/{committed.scalars(select(Review.id)).one()}"
