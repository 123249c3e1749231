"""Captured text that tries to break out, and text of great length, on the reviewer's pages."""

import json

import pytest
from playwright.sync_api import expect

from hitl.capture.models import Feedback
from hitl.core import clock
from tests.hitl import factories
from tests.webui.base.payloads import storable_payloads

LONG = "A sentence of a very long message. " * 2_900  # 101,500 characters


class TestHostileText:
    def test_nothing_runs_and_the_page_stays_whole(self, browsing, enter, address, desk, hostile_lease):
        page = browsing.open()
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.lease_url(hostile_lease)}")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.keyboard.press("g")
        expect(page.locator("dialog#guidelines")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("dialog#guidelines")).to_be_hidden()
        page.keyboard.press("1")
        page.get_by_role("button", name="Submit and next").click()
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible(timeout=20_000)
        page.goto(f"{address}{desk.url}/my-reviews")
        page.locator("tbody a").click()
        expect(page.get_by_role("button", name="Save as revision 2")).to_be_visible()

        assert page.evaluate("window.__ran") is None
        assert page.locator("#review").count() == page.locator("#work").count() == 1

    @pytest.fixture
    def hostile_lease(self, desk, committed):
        """An item that is hostile wherever somebody else chose the text."""
        all_of_them = "\n\n".join(storable_payloads())
        desk.project.guidelines = all_of_them
        desk.project.name = '"><script>window.__ran = 1</script>'
        rubric = factories.RubricVersion(project_id=desk.project.id, number=2, criteria=hostile_criteria())
        desk.project.rubric_version_id = rubric.id
        response = factories.Response(
            project=desk.project,
            input={"messages": hostile_messages(all_of_them), "tools": []},
            output={"role": "assistant", "content": all_of_them, "reasoning_content": all_of_them},
            context=[{"title": text, "text": text, "source": text} for text in storable_payloads()],
            end_user='"><img src=x onerror=window.__ran=1>',
        )
        said = {"project_id": desk.project.id, "response_id": response.id, "given_at": clock.now()}
        committed.add_all(
            Feedback(**said, kind=f"kind-{number}{text[:40]}", value=text[:100], comment=text)
            for number, text in enumerate(storable_payloads())
        )
        item = factories.Item(project=desk.project, response=response, open_slots=0)
        return factories.Lease(item=item, reviewer=desk.reviewer)


class TestLongText:
    def test_it_stays_usable(self, browsing, enter, address, desk):
        response = factories.Response(project=desk.project, text=LONG, asked=LONG)
        factories.Item(project=desk.project, response=response)
        factories.Item(project=desk.project, response=factories.Response(project=desk.project, text="The next one."))
        page = browsing.open()
        enter(page, desk.reviewer)
        page.goto(f"{address}{desk.url}/review")
        page.locator("#review").wait_for()
        page.keyboard.press("2")
        page.keyboard.press("e")
        page.keyboard.type("Enough.")
        expect(page.locator("[data-diff-count]")).to_have_text("0 words out, 1 in")
        page.locator('draft-status[data-state="saved"]').wait_for()
        page.keyboard.press("Control+Enter")

        expect(page.locator("#response")).to_contain_text("The next one.")


def hostile_messages(everything):
    """Each payload as a message, as a tool's name, arguments and answer, and as a speaker's name."""
    messages = [{"role": "system", "content": everything}]
    for number, text in enumerate(storable_payloads()):
        call = {"id": f"call-{number}", "type": "function"}
        named = {**call, "function": {"name": text[:255] or "x", "arguments": json.dumps({text: text})}}
        messages += [
            {"role": "user", "name": text[:255] or "x", "content": text},
            {"role": "assistant", "content": text, "tool_calls": [named]},
            {"role": "tool", "tool_call_id": f"call-{number}", "content": text},
        ]
    return [*messages, {"role": "user", "content": everything}]


def hostile_criteria():
    text = '"><script>window.__ran = 1</script>'
    return [
        {
            "name": "helpful",
            "kind": "scale",
            "label": text,
            "hint": text,
            "required": True,
            "overall": True,
            "points": [{"value": 1, "label": text}, {"value": 2, "label": text}],
        },
        {"name": "wrong", "kind": "tags", "label": text, "options": [{"value": "a", "label": text}]},
        {"name": "correction", "kind": "correction", "label": text},
    ]
