"""Promise 4: while they judge, nothing tells a reviewer which model answered."""

import pytest

from hitl.capture.models import Conversation, Feedback
from hitl.core import clock
from hitl.queue.models import ItemTarget, Rule, RuleVersion, Selection
from tests.hitl import factories
from tests.webui.review.marks import GOOD, TURN_ERRORS, rubric

# Whatever a client sends beside the words of a response holds this word, or this number.
CANARY = "canary"
NUMBER = 73_519_460


class TestBlindness:
    def test_no_answer_of_the_server_names_the_model(self, ana, desk, marked_item, committed):
        lease = factories.Lease(item=marked_item, reviewer=desk.reviewer)
        factories.Item(project=desk.project, response=marked_response(desk, committed))
        browser = ana()
        htmx, url = {"HX-Request": "true"}, desk.lease_url(lease)

        answers = [
            browser.get(f"{desk.url}/review", headers=htmx),
            browser.get(url),
            browser.get(f"{url}/skip"),
            browser.put(f"{url}/draft", data={"number": 0, "comment": "So"}),
            browser.put(f"{url}/draft", data={"number": 0, "comment": "So so"}),
            browser.post(f"{url}/extension"),
            browser.post(f"{url}/review", headers=htmx),
            browser.post(f"{url}/review", data={"answer.helpful": "4"}, headers=htmx),
            browser.post(f"{desk.url}/undo", headers=htmx),
        ]
        again = answers[-1].headers["HX-Push-Url"]
        answers += [
            browser.post(f"{again}/review", data={"answer.helpful": "3"}, headers=htmx),
            browser.get(url, follow_redirects=True),
            browser.get(f"{desk.url}/my-reviews"),
            browser.get(f"{desk.url}/review", follow_redirects=True),
        ]

        for answer in answers:
            said = answer.text + str(answer.headers)
            assert CANARY not in said.lower(), answer.request.path
            assert not any(spelling in said for spelling in spellings(NUMBER)), answer.request.path
        assert [answer.status_code for answer in answers] == [200] * 4 + [409, 200, 422] + [200] * 6

    def test_it_shows_what_may_be_seen(self, ana, desk, marked_item):
        lease = factories.Lease(item=marked_item, reviewer=desk.reviewer)

        page = ana().get(desk.lease_url(lease)).text

        assert "The words of the answer." in page
        assert "random sample of all responses of one model, 5 in 100" in page
        assert "The user gave a thumbs down: “Not booked.”" in page
        assert "About the whole conversation, the user gave 2 stars." in page
        assert "A passage" in page

    def test_the_browser_holds_nothing_more(self, browsing, enter, address, desk, marked_item):
        factories.Lease(item=marked_item, reviewer=desk.reviewer)
        page = browsing.open()
        said = []
        page.on("response", lambda answer: said.append(answer) if "/static/" not in answer.url else None)
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.url}/review")
        page.get_by_label("Comment").fill("So")
        page.locator('draft-status[data-state="saved"]').wait_for()

        assert CANARY not in page.content().lower()
        assert len(said) >= 3
        assert not any(CANARY in answer.text().lower() for answer in said if answer.status == 200)
        assert CANARY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])").lower()

    def test_a_conversation_and_its_turns_name_no_model_either(self, ana, desk, committed):
        response = marked_response(desk, committed)
        version = rubric(desk, GOOD, TURN_ERRORS)
        targets = [
            ItemTarget(position=0, conversation_id=response.conversation_id),
            ItemTarget(position=1, response_id=response.id),
        ]
        lease = desk.hold(
            factories.Item(
                project=desk.project,
                kind="conversation",
                targets=targets,
                rubric_version_id=version.id,
                open_slots=0,
            )
        )
        browser = ana()
        url = desk.lease_url(lease)
        answers = [
            browser.get(url),
            browser.put(f"{url}/draft", data={"number": 0, "answer.good.1": "up"}),
            browser.post(f"{url}/review", data={"answer.good.1": "up"}),
            browser.post(f"{url}/review", data={"answer.good.1": "up", "answer.good.3": "down"}),
            browser.get(f"{desk.url}/my-reviews"),
            browser.get(url, follow_redirects=True),
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 422, 303, 200, 200]
        assert "Words said before." in answers[0].text
        for answer in answers:
            said = answer.text + str(answer.headers)
            assert CANARY not in said.lower(), answer.request.path
            assert not any(spelling in said for spelling in spellings(NUMBER)), answer.request.path

    @pytest.fixture
    def marked_item(self, desk, committed):
        """An item that a rule with a telling name drew."""
        item = factories.Item(project=desk.project, response=marked_response(desk, committed), open_slots=0)
        rule = Rule(project_id=desk.project.id, name=f"rule-{CANARY}")
        condition = {"kind": "model", "name": f"model-{CANARY}", "version": f"version-{CANARY}"}
        version = RuleVersion(rule=rule, number=1, condition=condition, rate=0.05)
        committed.add_all([rule, version])
        committed.flush()
        committed.add(
            Selection(
                response_id=item.targets[0].response_id,
                rule_id=rule.id,
                rule_version_id=version.id,
                rate=0.05,
                is_drawn=True,
            )
        )
        committed.flush()
        return item


def marked_response(desk, committed):
    """A response whose every field beside its words holds the canary."""
    conversation = Conversation(
        project_id=desk.project.id,
        client_id=f"conversation-{CANARY}-{factories.clock.now().timestamp()}",
        end_user=f"end-user-{CANARY}",
        details={f"key-{CANARY}": f"value-{CANARY}"},
    )
    committed.add(conversation)
    committed.flush()
    response = factories.Response(
        project=desk.project,
        client_id=f"client-{CANARY}-{conversation.id}",
        conversation_id=conversation.id,
        end_user=f"end-user-{CANARY}",
        input={
            "messages": [
                {"role": "user", "content": "The words of the question."},
                {"role": "assistant", "name": f"assistant-{CANARY}", "content": "Words said before."},
                {"role": "user", "content": "And now?"},
            ],
            "tools": [],
        },
        output={"role": "assistant", "name": f"assistant-{CANARY}", "content": "The words of the answer."},
        model=f"model-{CANARY}",
        model_version=f"version-{CANARY}",
        prompt_name=f"prompt-{CANARY}",
        prompt_version=f"prompt-version-{CANARY}",
        parameters={"temperature": NUMBER, f"key-{CANARY}": CANARY},
        input_tokens=NUMBER,
        output_tokens=NUMBER,
        latency_seconds=float(NUMBER),
        cost_usd=float(NUMBER),
        trace_id=f"trace-{CANARY}",
        context=[{"title": "A passage", "text": "Its words.", "source": "handbook", "retriever": f"by-{CANARY}"}],
        signals={f"signal-{CANARY}": NUMBER},
        details={f"key-{CANARY}": f"value-{CANARY}"},
    )
    said = {"project_id": desk.project.id, "given_at": clock.now()}
    committed.add_all(
        [
            Feedback(**said, response_id=response.id, kind="thumbs", value=False, comment="Not booked."),
            Feedback(**said, response_id=response.id, kind="grade", value=1, source=f"judge-{CANARY}"),
            Feedback(**said, conversation_id=conversation.id, kind="stars", value=2),
        ]
    )
    committed.flush()
    return response


def spellings(number):
    return str(number), f"{number:,}", str(float(number))
