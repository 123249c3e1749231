"""From a chat that somebody steps into to the pairs that a trainer gets.

Customers of real dialogues talk to an application, which uses the `openai` client and knows nothing of people. One
answer is held and edited; of another the conversation is taken over, answered and handed back; a third goes its way.
The exported file holds the two pairs, in the words that stood on the page.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from playwright.sync_api import Page, expect
from pydantic import RedisDsn

from hitl.accounts.keys import create_key
from hitl.accounts.members import add_member
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.passwords import hash_password
from hitl.accounts.projects import change_settings, create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.demo import bot
from hitl.demo.real_data import star_customers
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.conftest import MakeDatabase
from tests.journeys.trainers import rows_of
from tests.machine.chromium import Browsing
from tests.machine.openai_server import OpenAIServer, openai_server
from tests.machine.redis import RedisServer, redis_server
from tests.machine.service import Service, serving

SLUG = "hotel-desk"
PASSWORD = "correct horse battery staple"
EDITED, TAKEN_OVER, ALONE = "star-270", "star-3773", "star-4863"
EDIT = "Dr. Morgan is not free today. May I book tomorrow at nine for you and Ben?"
INSTEAD = "This is Kim from the practice. I have put you down for four o'clock."


@pytest.mark.timeout(300)
def test_two_interventions_become_two_pairs(chats: "Chats", browsing: Browsing, tmp_path: Path) -> None:
    page = chats.supervisors_page(browsing)

    edited = chats.talk_until_held(EDITED)
    draft_edited = open_held(page, chats, edited.question)
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type(EDIT)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("log")).to_contain_text(EDIT)
    assert edited.answer() == EDIT

    taken = chats.talk_until_held(TAKEN_OVER)
    draft_taken = open_held(page, chats, taken.question)
    page.keyboard.press("t")
    expect(page.get_by_label("You speak, the bot is silent")).to_be_visible()
    expect(page.locator("#message")).to_be_focused()
    page.keyboard.type(INSTEAD)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("log")).to_contain_text(INSTEAD)
    expect(page.locator("#message")).to_have_value("")  # it is ready for the next words, and has the focus
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_role("log")).to_contain_text("Kim handed it back to the bot.")
    assert taken.answer() == INSTEAD
    assert chats.say(TAKEN_OVER, "Thank you and goodbye.")  # the bot speaks again

    assert all(chats.say(ALONE, line) for line in chats.lines[ALONE][:3])

    page.goto(f"{chats.service.address}/projects/{SLUG}/live/interventions")
    expect(page.get_by_text("A preference pair")).to_have_count(2)
    pairs = chats.exported_pairs(tmp_path / "out")
    assert pairs == {
        (edited.question, EDIT, draft_edited),
        (taken.question, INSTEAD, draft_taken),
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("chats", ["postgresql"], indirect=True)
def test_open_pages_go_on_while_redis_is_away(chats: "Chats", browsing: Browsing) -> None:
    """Two processes, of which only one has the page's stream: without Redis they look by themselves."""
    redis = chats.redis
    assert redis is not None
    page = chats.supervisors_page(browsing)
    lines = chats.lines[ALONE]
    chats.say(ALONE, lines[0])
    page.goto(f"{chats.service.address}/projects/{SLUG}/live")
    page.locator("live-board .talk").first.click()
    log = page.get_by_role("log")
    expect(log).to_contain_text(lines[0])

    redis.kill()
    for line in lines[1:3]:
        chats.say(ALONE, line)
        expect(log).to_contain_text(line, timeout=3_000)
    redis.start()
    for line in lines[3:5]:
        chats.say(ALONE, line)
        expect(log).to_contain_text(line, timeout=3_000)

    said = log.get_by_role("article").filter(has_text="User")
    expect(said).to_have_count(5)  # nothing came twice


def open_held(page: Page, chats: "Chats", question: str) -> str:
    """Open the conversation that waits, and return the draft as it stands on the page."""
    page.goto(f"{chats.service.address}/projects/{SLUG}/live")
    page.get_by_role("link", name=question[:40]).click()
    expect(page.get_by_role("heading", name="Held, not sent")).to_be_visible()
    return page.get_by_label("Edit before sending").input_value()


class Waiting:
    """An answer that the application waits for."""

    def __init__(self, chats: "Chats", name: str, question: str) -> None:
        self.question = question
        self._answers: list[str] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(chats.say(name, question)))
        self._thread.start()

    def answer(self) -> str:
        self._thread.join(timeout=30)
        (answer,) = self._answers
        return answer


class Chats:
    """The application, its customers, and the service that it talks through."""

    def __init__(self, service: Service, upstream: OpenAIServer, redis: RedisServer | None = None) -> None:
        self.service, self.redis = service, redis
        self.lines = {name: lines for name, lines in star_customers() if name in (EDITED, TAKEN_OVER, ALONE)}
        self._said: dict[str, list[dict[str, Any]]] = {name: [] for name in self.lines}
        import_parts()
        with service.instance() as instance, instance.database.writing() as db:
            project = create_project(db, SLUG, "Hotel desk")
            change_settings(db, project, {"may_train_default": "yes"})
            for role, name in (("supervisor", "Kim Sato"), ("engineer", "Ana Lima")):
                user = create_user(db, f"{role}@example.com", name)
                set_password_hash(db, user, hash_password(PASSWORD), by=None)
                add_member(db, project, user, role)
            _, key = create_key(db, project, user, "application", ["capture"])
            held = PolicyTerms(expression='question.contains("headache")', deadline_seconds=120, when_nobody="refuse")
            create_rule(db, project, "Health", held)
        service.run(
            "gateway", "add-upstream", "bot", upstream.address, "--project", SLUG, "--key-stdin", typed="any key"
        )
        service.run("gateway", "set", "--mode", "gate", "--project", SLUG)
        service.start()
        self._openai = openai.OpenAI(base_url=f"{service.address}/gateway/{SLUG}/v1", api_key=key, max_retries=0)

    def say(self, name: str, text: str) -> str:
        """Ask for the answer to what a customer says, as an application does that keeps its own history."""
        said = self._said[name]
        said.append({"role": "user", "content": text})
        answer = self._openai.chat.completions.create(
            model=bot.NAME, messages=list(said), extra_headers={"X-HITL-Conversation": name}
        )
        content = answer.choices[0].message.content or ""
        said.append({"role": "assistant", "content": content})
        return content

    def talk_until_held(self, name: str) -> Waiting:
        """Let a customer talk up to the words that are held."""
        for line in self.lines[name]:
            if "headache" in line:
                return Waiting(self, name, line)
            assert self.say(name, line)
        raise AssertionError(f"{name} says nothing that is held")

    def supervisors_page(self, browsing: Browsing) -> Page:
        """Sign a supervisor in, as they do it themselves."""
        page = browsing.open(f"{self.service.address}/sign-in")
        page.get_by_label("E-mail").fill("supervisor@example.com")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/projects/**")
        return page

    def exported_pairs(self, folder: Path) -> set[tuple[str, str, str]]:
        """Freeze, export for DPO, and return the rows: the customer's last words, what is better, what was not sent."""
        self.service.run("dataset", "freeze", "answers", "--project", SLUG)
        self.service.run("export", "answers", "--project", SLUG, "--format", "trl-preference", "--out", str(folder))
        rows = list(rows_of(folder))
        found = {
            (row["prompt"][-1]["content"], row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows
        }
        assert len(found) == len(rows)
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
def chats(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Chats]:
    """One process on SQLite alone; two on PostgreSQL with Redis."""
    with openai_server() as upstream:
        port = upstream.address.rpartition(":")[2].partition("/")[0]
        changes: dict[str, Any] = {"private_hosts": f"127.0.0.1:{port}"}
        if request.param == "sqlite":
            with serving(tmp_path, make_database("sqlite")) as service:
                service.settings = service.settings.model_copy(update=changes)
                yield Chats(service, upstream)
            return
        with (
            redis_server(tmp_path) as redis,
            serving(tmp_path, make_database("postgresql"), web_processes=2) as service,
        ):
            service.settings = service.settings.model_copy(update={**changes, "redis_url": RedisDsn(redis.url)})
            yield Chats(service, upstream, redis)
