"""Promise 4 on the page that compares: nothing there tells one response from another but its own words."""

import pytest

from tests.hitl import factories
from tests.webui.review.comparisons import OF_EACH, RANKING, REASONS, comparison, held
from tests.webui.review.marks import STYLE
from tests.webui.review.test_blind import CANARY, NUMBER, marked_response, spellings

HTMX = {"HX-Request": "true"}
MARKS = {**STYLE, "asked_of": ["comparison"], "per": "response"}


@pytest.fixture
def marked_lease(desk, committed):
    """A comparison of responses whose every field beside their words holds the canary; another review is wanted."""
    return held(desk, marked_comparison(desk, committed, reviews_wanted=2, open_slots=1))


def marked_comparison(desk, committed, **item):
    responses = [marked_response(desk, committed) for _ in range(3)]
    for response in responses:
        call = {"id": f"{CANARY}-call", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        thought = {"reasoning_content": f"I am model-{CANARY}.", "tool_calls": [call]}
        response.output = response.output | thought
    return comparison(desk, (), criteria=(*OF_EACH, MARKS, RANKING, REASONS), responses=responses, **item)


class TestBlindness:
    def test_no_answer_of_the_server_tells(self, ana, desk, marked_lease, committed):
        marked_comparison(desk, committed)
        ids = [str(target.response_id) for target in marked_lease.item.targets]
        names = list(marked_lease.names.values())
        whole = {f"answer.rank.{name}": place for place, name in enumerate(names, start=1)}
        whole |= {f"answer.helpful.{name}": "3" for name in names}
        browser = ana()
        url = desk.lease_url(marked_lease)

        answers = [
            browser.get(f"{desk.url}/review", headers=HTMX),
            browser.get(url),
            browser.get(f"{url}/skip"),
            browser.put(f"{url}/draft", data={"number": 0, f"answer.rank.{names[0]}": "1"}),
            browser.put(f"{url}/draft", data={"number": 0, "answer.rank": "all_bad"}),
            browser.post(f"{url}/extension"),
            browser.post(f"{url}/review", headers=HTMX),
            browser.post(f"{url}/review", data=whole, headers=HTMX),
            browser.post(f"{desk.url}/undo", headers=HTMX),
        ]
        again = answers[-1].headers["HX-Push-Url"]
        answers += [
            browser.post(f"{again}/review", data=whole | {"answer.why": "easy"}, headers=HTMX),
            browser.get(f"{desk.url}/my-reviews"),
            browser.get(url, follow_redirects=True),
            browser.get(f"{desk.url}/review", follow_redirects=True),
        ]

        assert [answer.status_code for answer in answers] == [200] * 4 + [409, 200, 422] + [200] * 6
        for answer in answers:
            said = answer.text + str(answer.headers)
            assert CANARY not in said.lower(), answer.request.path
            assert not any(spelling in said for spelling in spellings(NUMBER)), answer.request.path
            assert not any(own_id in said for own_id in ids), answer.request.path
            assert "Not booked." not in said, "only a response that was sent has feedback"

    def test_the_browser_holds_nothing_more(self, browsing, enter, address, desk, marked_lease):
        page = browsing.open()
        said = []
        page.on("response", lambda answer: said.append(answer) if "/static/" not in answer.url else None)
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.lease_url(marked_lease)}")
        for key in "bac":
            page.keyboard.press(key)
        page.locator('draft-status[data-state="saved"]').wait_for()

        assert CANARY not in page.content().lower()
        assert any(answer.url.endswith("/draft") for answer in said)
        assert not any(CANARY in answer.text().lower() for answer in said if answer.status == 200)
        assert CANARY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])").lower()

    def test_one_who_still_judges_learns_nothing_when_the_others_are_done(self, ana, desk, committed):
        item = marked_comparison(desk, committed, open_slots=0)
        item.closed_at = factories.clock.now()
        item.closed_as = "complete"
        lease = held(desk, item)

        assert CANARY not in ana().get(desk.lease_url(lease)).text

    def test_afterwards_it_names_the_models_on_demand_and_nothing_else(self, ana, desk, committed):
        lease = held(desk, marked_comparison(desk, committed, open_slots=0))
        browser = ana()
        url = desk.lease_url(lease)
        whole = {"answer.rank": "all_bad"} | {f"answer.helpful.{name}": "3" for name in lease.names.values()}
        browser.post(f"{url}/review", data=whole)
        own = browser.get(url).location
        assert CANARY not in browser.get(own).text.lower()
        page = browser.post(f"{own}/disclosure", headers=HTMX).text
        listed = browser.get(f"{desk.url}/my-reviews").text

        assert page.count(f"model-{CANARY} version-{CANARY}") == 3
        assert CANARY not in page.replace(f"model-{CANARY} version-{CANARY}", "").lower()
        assert CANARY not in listed.lower()
