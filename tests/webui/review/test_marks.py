"""Passages and turns in forms and in words: what is sent, refused and shown, without scripts."""

import json
import re

import pytest
from sqlalchemy import select

from hitl.review.models import Revision, Span
from hitl.review.spans import text_hash
from tests.hitl import factories
from tests.webui.review.comparisons import OF_EACH, PAIR, RANKING, comparison, held
from tests.webui.review.marks import ERRORS, GOOD, STYLE, TURN_ERRORS, asked, conversation
from tests.webui.words import words_of

TEXT = "The pool is open. It never closes."


def span(start, end, label="made_up", severity="major", text=TEXT):
    return {"start": start, "end": end, "label": label, "severity": severity, "text_hash": text_hash(text)}


class TestForm:
    def test_without_scripts_one_reads_what_is_marked_and_it_stays(self, ana, desk, lease):
        browser = ana()
        url = desk.lease_url(lease)
        marked = json.dumps([span(18, 33)])
        browser.put(f"{url}/draft", data={"number": "0", "answer.errors": marked})
        page = browser.get(url).text

        assert "It never closes Made up Major" in words_of(page)
        assert "Marking needs scripts" in page
        kept = re.search(r'<textarea hidden name="answer.errors"[^>]*>([^<]*)', page).group(1)
        assert json.loads(kept.replace("&#34;", '"')) == [span(18, 33)]

    def test_the_text_is_handed_over_to_the_last_character(self, ana, desk, committed):
        odd = "Cr\r\nlf \u202e <b>&\"' 👩‍🚒 \ufeff."
        lease = desk.hold(asked(desk, STYLE, text=odd, open_slots=0))
        page = ana().get(desk.lease_url(lease)).text

        pieces = json.loads(unescaped(re.search(r'data-pieces="([^"]*)"', page).group(1)))
        assert "".join(piece[0] for piece in pieces) == odd
        assert ["\u202e", "U+202E", "right-to-left override"] in pieces
        assert f'data-hash="{text_hash(odd)}"' in page

    def test_marks_are_kept_and_come_back_to_be_changed(self, ana, desk, lease, committed):
        browser = ana()
        url = desk.lease_url(lease)
        browser.post(f"{url}/review", data={"answer.errors": json.dumps([span(18, 33), span(4, 8, "rude", "minor")])})
        own = browser.get(url, follow_redirects=True)
        browser.post(
            f"{own.request.path}/revisions", data={"answer.errors": json.dumps([span(0, 3)]), "comment": "Only that."}
        )
        mine = words_of(browser.get(f"{desk.url}/my-reviews").text)

        assert "What is wrong in it: Made up · revision 2" in mine
        assert "What is wrong in it: Made up, Cold or rude" in words_of(browser.get(own.request.path).text)
        assert [revision.number for revision in committed.scalars(select(Revision))] == [1, 2]

    @pytest.mark.parametrize(
        ("sent", "problem"),
        [
            ("{not json", "Send a list of spans."),
            ('{"start": 1}', "Send a list of spans."),
            ("[1, 2]", "A span has"),
            (json.dumps([span(0, 900)]), "ends after the text, which has 34 characters"),
            (json.dumps([span(5, 5)]), "ends after its start"),
            (json.dumps([span(0, 3, text="Another text.")]), "was marked in another text"),
            (json.dumps([span(0, 3, label="nonsense")]), "The label of a span is one of made_up, rude."),
            (json.dumps([span(0, 3, severity=None)]), "The severity of a span is one of minor, major."),
            (json.dumps([span(0, 3), span(0, 3)]), "Mark a passage with the same label once."),
            (json.dumps([span(0, n % 30 + 1) for n in range(1_000)]), "Mark at most 500 passages of one text."),
        ],
    )
    def test_what_cannot_be_a_mark_is_named_and_given_back(self, ana, desk, lease, committed, sent, problem):
        answer = ana().post(f"{desk.lease_url(lease)}/review", data={"answer.errors": sent})

        assert answer.status_code == 422
        assert problem in words_of(answer.text)
        assert 'id="answer-errors-problem"' in answer.text
        assert committed.scalars(select(Span)).all() == []

    def test_a_response_without_words_has_none_to_mark(self, ana, desk, committed):
        lease = desk.hold(asked(desk, STYLE, text="", open_slots=0))

        assert "There are no words here to mark." in ana().get(desk.lease_url(lease)).text

    def test_in_a_comparison_each_response_is_marked(self, ana, desk, committed):
        each = {**STYLE, "asked_of": ["comparison"], "per": "response"}
        lease = held(desk, comparison(desk, ["One text.", "Another text."], criteria=[PAIR, each], open_slots=0))
        names, texts = lease.names, lease.texts
        browser = ana()
        page = browser.get(desk.lease_url(lease)).text
        marked = [span(0, 3, "wordy", None, texts["B"])]
        fields = {"answer.pair": "equal", f"answer.style.{names['B']}": json.dumps(marked)}
        browser.post(f"{desk.lease_url(lease)}/review", data=fields)

        assert 'id="words-a"' in page
        assert 'id="words-b"' in page
        assert "Style: B Wordy" in words_of(browser.get(f"{desk.url}/my-reviews").text)

    @pytest.fixture
    def lease(self, desk, committed):
        return desk.hold(asked(desk, ERRORS, text=TEXT, open_slots=0))


class TestTurns:
    def test_they_are_asked_below_each_message_of_the_assistant(self, ana, desk, committed):
        lease = desk.hold(conversation(desk, GOOD, TURN_ERRORS, open_slots=0))
        page = ana().get(desk.lease_url(lease)).text

        assert re.findall(r'data-criterion="([a-z.0-9]+)"', page) == [
            "good.2",
            "slips.2",
            "good.4",  # a call of a tool has no words to mark
            "good.6",
            "slips.6",
            "comment",
        ]
        assert "(required)" in page

    def test_my_reviews_says_what_was_said_about_each(self, ana, desk, committed):
        lease = desk.hold(conversation(desk, GOOD, TURN_ERRORS, open_slots=0))
        browser = ana()
        marked = json.dumps([span(0, 5, text="Until ten in the evening.")])
        fields = {"answer.good.2": "up", "answer.good.4": "unsure", "answer.good.6": "down", "answer.slips.6": marked}
        answer = browser.post(f"{desk.lease_url(lease)}/review", data=fields)
        mine = words_of(browser.get(f"{desk.url}/my-reviews").text)

        assert answer.status_code == 303
        assert "A conversation up to Until when?" in mine
        assert "Good turn: turn 1 up, turn 2 cannot judge, turn 3 down · Slips: turn 3 Made up" in mine


class TestLead:
    def test_the_item_page_quotes_what_was_marked(self, ana, desk, lead, committed):
        item = asked(desk, ERRORS, text=TEXT, open_slots=0)
        lease = desk.hold(item)
        url = f"{desk.url}/items/{item.id}"
        browser, leader = ana(), lead()
        browser.post(f"{desk.lease_url(lease)}/review", data={"answer.errors": json.dumps([span(18, 33)])})
        page = words_of(leader.get(url).text)

        assert "What is wrong in it Made up" in page
        assert "It never closes Made up Major" in page

    def test_it_says_turns_by_number(self, ana, desk, lead, committed):
        item = conversation(desk, GOOD, TURN_ERRORS, open_slots=0)
        lease = desk.hold(item)
        url = f"{desk.url}/items/{item.id}"
        browser, leader = ana(), lead()
        marked = json.dumps([span(0, 5, text="Until ten in the evening.")])
        fields = {"answer.good.2": "up", "answer.good.4": "unsure", "answer.good.6": "down", "answer.slips.6": marked}
        browser.post(f"{desk.lease_url(lease)}/review", data=fields)
        page = words_of(leader.get(url).text)

        assert "Good turn turn 1 up, turn 2 cannot judge, turn 3 down" in page
        assert "Until Made up Major turn 3" in page

    def test_it_says_rankings_by_the_letters_of_the_page(self, ana, desk, lead, committed):
        item = comparison(desk, ["One.", "Two.", "Three."], criteria=[RANKING, *OF_EACH], open_slots=0)
        lease = held(desk, item, holds_slot=True)
        url = f"{desk.url}/items/{item.id}"
        by_text = {text: letter for letter, text in lease.texts.items()}
        names = [lease.names[by_text[text]] for text in ("One.", "Two.", "Three.")]
        browser, leader = ana(), lead()
        places = {f"answer.rank.{name}": str(place) for name, place in zip(names, (2, 1, 2), strict=True)}
        points = {f"answer.helpful.{name}": str(point) for name, point in zip(names, (3, 5, 3), strict=True)}
        browser.post(f"{desk.lease_url(lease)}/review", data=places | points)
        leader.post(f"{url}/closing")
        page = words_of(leader.get(url).text)

        assert "Best first B › A = C" in page
        assert "Helpful A 3, B 5, C 3" in page

    @pytest.fixture
    def lead(self, desk, sign_in):
        person = factories.User(name="Kim")
        factories.Membership(user=person, project=desk.project, role="lead")
        return lambda: sign_in(person)


def unescaped(attribute):
    return attribute.replace("&#34;", '"').replace("&amp;", "&")
