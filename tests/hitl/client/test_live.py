"""The client for live conversations, over a real socket."""

import threading
import time

import pytest

from hitl.accounts.keys import revoke_key
from hitl.accounts.models import ApiKey
from hitl.client import LiveClient, LiveRefused, LiveUnreachable, Misconfigured
from hitl.core.secrets import token_digest
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.hitl import factories

MESSAGES = [{"role": "user", "content": "Is it open?"}]


class TestConversation:
    def test_an_answer_is_sent_and_heard(self, chat):
        asked = chat.user_says("Is it open?")
        draft = chat.propose("Yes.", messages=MESSAGES, answers=asked, model="desk-small")

        assert (draft.word, draft.message["content"]) == ("send", "Yes.")
        assert [(said.by, said.text) for said in chat.events()] == [("user", "Is it open?"), ("bot", "Yes.")]
        chat.delivered(draft.number)

    def test_it_waits_while_a_person_decides(self, chat, desk, hold_everything):
        draft = chat.propose("Yes.", messages=MESSAGES, answers=chat.user_says("Is it open?"))
        assert draft.word == "wait"
        (hold,) = desk.get(f"/api/v1/projects/{hold_everything.slug}/holds").json["holds"]
        edited = {"decision": "edit", "read_to": 100, "message": {"role": "assistant", "content": "Until six."}}
        later = threading.Timer(0.3, desk.post, [f"/api/v1/holds/{hold['id']}/decision"], {"json": edited})
        later.start()

        decided = draft.decided()
        later.join()

        assert (decided.word, decided.message["content"]) == ("send", "Until six.")

    def test_it_waits_no_longer_than_it_is_told(self, chat, hold_everything):
        draft = chat.propose("Yes.", messages=MESSAGES, answers=chat.user_says("Is it open?"))
        began = time.monotonic()
        assert draft.decided(timeout=1.2).word == "wait"
        assert time.monotonic() - began < 5

    def test_a_stream_ends_when_somebody_takes_over(self, chat, desk):
        asked = chat.user_says("Is it open?")
        draft = chat.propose("Yes, until six.", messages=MESSAGES, answers=asked, streams=True)
        assert draft.piece("Yes, ")
        desk.post(f"/api/v1/conversations/{chat.id}/takeover", json={})
        assert not draft.piece("until six.")
        assert draft.end().message["content"] == "Yes, "

    def test_whispers_come_with_the_turn(self, chat, desk):
        desk.post(f"/api/v1/conversations/{chat.id}/whispers", json={"text": "Be brief."})
        assert chat.turn().whispers == ("Be brief.",)

    def test_it_follows_what_is_said(self, chat, desk):
        chat.user_says("Hello.")
        over = threading.Event()
        heard = chat.follow(until=over)
        assert next(heard).text == "Hello."
        desk.post(f"/api/v1/conversations/{chat.id}/takeover", json={})
        message = {"role": "assistant", "content": "This is Kim."}
        desk.post(f"/api/v1/conversations/{chat.id}/messages", json={"message": message})

        said = next(heard)
        assert (said.by, said.text, said.number) == ("person", "This is Kim.", 3)
        over.set()

    def test_following_ends_when_the_key_is_revoked(self, chat, committed, key):
        chat.user_says("Hello.")
        heard = chat.follow()
        next(heard)
        revoke_key(committed, committed.query(ApiKey).filter_by(digest=token_digest(key)).one())
        committed.commit()
        with pytest.raises(LiveRefused) as refusal:
            next(heard)
        assert refusal.value.status == 401

    def test_a_customers_token_is_for_the_customer(self, chat, client):
        token = chat.customer_token()
        answer = client.post(
            "/api/v1/customer/messages", json={"text": "Hi."}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 201


class TestRefusals:
    def test_it_says_what_the_service_said(self, address, key, project):
        with pytest.raises(LiveRefused) as refusal:
            LiveClient(address, key, project.slug).conversation("")
        assert refusal.value.code == "invalid"

    def test_a_service_that_is_not_there_is_unreachable(self, key):
        with pytest.raises(LiveUnreachable):
            LiveClient("http://127.0.0.1:1", key, "support").conversation("chat")

    def test_it_asks_for_what_it_needs(self, monkeypatch):
        monkeypatch.delenv("HITL_URL", raising=False)
        with pytest.raises(Misconfigured, match="HITL_URL"):
            LiveClient(key="hitl_x", project="support")


@pytest.fixture
def project(committed):
    return factories.Project(slug="support")


@pytest.fixture
def key(api, project):
    return api(project, "capture").environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")


@pytest.fixture
def desk(api, project):
    return api(project, "supervise", maker=factories.Membership(project=project, role="supervisor").user)


@pytest.fixture
def chat(address, key, project):
    return LiveClient(address, key, project.slug).conversation("chat-7", end_user="kim")


@pytest.fixture
def hold_everything(committed, project):
    create_rule(committed, project, "Everything", PolicyTerms(expression="true", when_nobody="refuse"))
    committed.commit()
    return project
