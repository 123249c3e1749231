"""Items about a whole conversation, and what is asked about each message of the assistant."""

import re

import pytest

from hitl.capture.models import Conversation
from hitl.queue.models import ItemTarget
from tests.hitl import factories
from tests.webui.words import words_of

HTMX = {"HX-Request": "true"}
CRITERIA = [
    {"name": "solved", "kind": "thumbs", "label": "Solved", "required": True, "asked_of": ["conversation"]},
    {"name": "good", "kind": "thumbs", "label": "Good", "required": True, "asked_of": ["conversation"], "per": "turn"},
]


@pytest.fixture
def lease(desk, committed):
    """The reviewer holds a conversation in which the assistant spoke twice, as messages 1 and 3."""
    rubric = factories.RubricVersion(project_id=desk.project.id, number=2, criteria=CRITERIA)
    conversation = Conversation(project_id=desk.project.id, client_id="a-conversation")
    committed.add(conversation)
    committed.flush()
    said = ["Hello.", "Good day, how can I help?", "A room, please."]
    messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), said, strict=True)]
    response = factories.Response(
        project=desk.project,
        conversation_id=conversation.id,
        input={"messages": messages, "tools": []},
        text="It is booked.",
    )
    targets = [
        ItemTarget(position=0, conversation_id=conversation.id),
        ItemTarget(position=1, response_id=response.id),
    ]
    item = factories.Item(
        project=desk.project, kind="conversation", targets=targets, rubric_version_id=rubric.id, open_slots=0
    )
    return factories.Lease(item=item, reviewer=desk.reviewer)


class TestConversation:
    def test_each_answer_of_the_assistant_is_asked_about(self, ana, desk, lease):
        words = words_of(ana().get(desk.lease_url(lease)).text)

        assert "A room, please." in words
        assert "The whole conversation" in words
        assert re.search(r"Good day, how can I help\? Turn 1 Good of turn 1 .* A room, please\.", words)
        assert re.search(r"It is booked\. Turn 2 Good of turn 2 ", words)

    def test_what_was_said_comes_back(self, ana, desk, lease):
        browser = ana()
        url = desk.lease_url(lease)
        fields = {"answer.solved": "up", "answer.good.1": "down"}
        refused = browser.post(f"{url}/review", data=fields, headers=HTMX)
        named = re.findall(r'id="answer-([^"]+)-problem"', refused.text)
        answer = browser.post(f"{url}/review", data=fields | {"answer.good.3": "up"})
        own = browser.get(url, follow_redirects=True).text

        assert refused.status_code == 422
        assert named == ["good.3"]
        assert re.search(r'name="answer.good.1" value="down"[^>]* checked', refused.text)
        assert answer.status_code == 303
        assert re.search(r'name="answer.good.3" value="up"[^>]* checked', own)
        assert "Solved up · Good: turn 1 down, turn 2 up" in words_of(browser.get(f"{desk.url}/my-reviews").text)
