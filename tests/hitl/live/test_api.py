"""The API of live conversations, as an application, a supervisor's program and a customer's browser use it."""

import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from hitl.accounts.keys import revoke_key
from hitl.accounts.models import ApiKey
from hitl.accounts.projects import change_settings
from hitl.core.bell import ASK_SECONDS
from hitl.core.secrets import token_digest
from hitl.live.customers import LIFETIME, MESSAGES_A_MINUTE, STREAMS_AT_ONCE
from hitl.live.models import Draft
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.hitl import factories


class TestTalking:
    def test_an_application_without_policy_is_told_to_send_its_draft(self, bot, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json

        drafted = bot.post(talk("drafts"), json=draft("Yes, until six.", answers=asked["number"]))

        assert drafted.status_code == 201
        assert drafted.json["decision"] == "send"
        assert drafted.json["message"]["content"] == "Yes, until six."
        events = bot.get(talk("events")).json["events"]
        assert [(event["kind"], event["by"]) for event in events] == [("user_message", "user"), ("message", "bot")]

    def test_a_conversation_is_begun_once(self, bot, project):
        body = {"conversation_id": "chat-1", "end_user": "kim@example.com"}
        first = bot.post(f"/api/v1/projects/{project.slug}/conversations", json=body)
        again = bot.post(f"/api/v1/projects/{project.slug}/conversations", json=body)

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json["id"] == again.json["id"]
        assert "kim" not in first.get_data(as_text=True)

    def test_a_draft_that_came_too_late_is_dropped_and_captured_all_the_same(self, bot, talk, committed):
        first = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        bot.post(talk("messages"), json={"message": user("Or closed?")})

        late = bot.post(talk("drafts"), json=draft("Yes.", answers=first["number"])).json

        assert late["decision"] == "drop"
        assert late["why"] == "The user has written again."
        assert late["response_id"]

    def test_the_same_response_again_gets_the_same_draft(self, bot, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        body = draft("Yes.", answers=asked["number"], client_id="answer-1")

        assert bot.post(talk("drafts"), json=body).json == bot.post(talk("drafts"), json=body).json
        assert len(bot.get(talk("events")).json["events"]) == 2

    def test_what_is_told_to_the_user_holds_no_placeholders_though_what_is_captured_does(
        self, bot, talk, project, committed
    ):
        change_settings(committed, project, {"personal_data": "pseudonymise"})
        create_rule(
            committed, project, "Leaks", PolicyTerms(expression="signals.personal_data > 0", when_nobody="refuse")
        )
        committed.commit()
        asked = bot.post(talk("messages"), json={"message": user("Whom do I write to?")}).json

        drafted = bot.post(talk("drafts"), json=draft("To kim@example.org.", answers=asked["number"])).json

        assert drafted["decision"] == "wait"
        kept = committed.scalars(select(Draft).where(Draft.response_id.is_not(None))).one()
        assert kept.output["content"] == "To kim@example.org."
        assert kept.response.output["content"].startswith("To ⟨e-mail ")

    def test_a_whisper_is_told_once(self, bot, desk, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        desk.post(talk("whispers"), json={"text": "Offer the late ticket."})

        assert [whisper["text"] for whisper in bot.get(talk("turn")).json["whispers"]] == ["Offer the late ticket."]
        bot.post(talk("drafts"), json=draft("Yes.", answers=asked["number"]))
        assert bot.get(talk("turn")).json["whispers"] == []

    def test_keys_say_only_what_they_may(self, bot, desk, talk):
        as_person = bot.post(talk("messages"), json={"message": {"role": "assistant", "content": "Hi."}})
        as_user = desk.post(talk("messages"), json={"message": user("Hi.")})

        assert (as_person.status_code, as_user.status_code) == (422, 422)
        assert as_person.json["error"]["param"] == "/message/role"

    def test_delivery_is_reported_up_to_what_there_is(self, bot, desk, talk):
        bot.post(talk("messages"), json={"message": user("Hello.")})

        assert bot.post(talk("deliveries"), json={"number": 1}).json == {"number": 1}
        assert bot.post(talk("deliveries"), json={"number": 0}).json == {"number": 1}
        assert bot.post(talk("deliveries"), json={"number": 2}).status_code == 422


class TestStreamedDrafts:
    def test_a_takeover_ends_the_stream_at_its_next_piece(self, bot, desk, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        drafted = bot.post(talk("drafts"), json={**draft("Yes, until six.", answers=asked["number"]), "stream": True})
        pieces = f"/api/v1/drafts/{drafted.json['id']}/pieces"

        assert drafted.json["decision"] == "stream"
        assert bot.post(pieces, json={"text": "Yes, "}).json == {"go_on": True}
        desk.post(talk("takeover"), json={})
        assert bot.post(pieces, json={"text": "until"}).json == {"go_on": False}
        last = bot.get(talk("events")).json["events"][-1]
        assert (last["message"]["content"], last["is_partial"]) == ("Yes, ", True)

    def test_one_that_ends_is_sent_whole(self, bot, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        drafted = bot.post(talk("drafts"), json={**draft("Yes.", answers=asked["number"]), "stream": True}).json
        bot.post(f"/api/v1/drafts/{drafted['id']}/pieces", json={"text": "Yes."})

        assert bot.post(f"/api/v1/drafts/{drafted['id']}/end").json["decision"] == "send"


class TestHolds:
    def test_an_edited_draft_is_what_the_application_gets(self, bot, desk, talk, holding_rule):
        held = self.held(bot, talk)
        assert (held["decision"], bool(held["deadline_at"])) == ("wait", True)
        (hold,) = desk.get(f"/api/v1/projects/{holding_rule.slug}/holds").json["holds"]
        assert hold["reasons"] == ["The rule “Everything” fits."]

        decided = desk.post(
            f"/api/v1/holds/{hold['id']}/decision",
            json={"decision": "edit", "read_to": 100, "message": {"role": "assistant", "content": "Until six."}},
        )

        assert decided.json["ended_as"] == "edited"
        now = bot.get(f"/api/v1/drafts/{held['id']}").json
        assert (now["decision"], now["message"]["content"]) == ("send", "Until six.")

    def test_a_refusal_asks_for_another_draft_and_says_why(self, bot, desk, talk, holding_rule):
        held = self.held(bot, talk)
        decision = {"decision": "refuse", "read_to": 100, "reason": "Rude."}
        desk.post(f"/api/v1/holds/{held['hold_id']}/decision", json=decision)

        now = bot.get(f"/api/v1/drafts/{held['id']}").json
        assert (now["decision"], now["reason"]) == ("regenerate", "Rude.")

    def test_an_approval_asks_once_more_when_the_user_wrote_meanwhile(self, bot, desk, talk, holding_rule):
        held = self.held(bot, talk)
        bot.post(talk("messages"), json={"message": user("Hello?")})

        decision = desk.post(f"/api/v1/holds/{held['hold_id']}/decision", json={"decision": "approve", "read_to": 3})

        assert (decision.status_code, decision.json["error"]["code"]) == (409, "user_said_more")
        assert bot.get(f"/api/v1/drafts/{held['id']}").json["decision"] == "wait"

    def test_what_came_too_late_is_kept(self, bot, desk, talk, holding_rule, committed):
        held = self.held(bot, talk)
        path = f"/api/v1/holds/{held['hold_id']}/decision"
        desk.post(path, json={"decision": "refuse", "read_to": 100})

        late = desk.post(
            path, json={"decision": "edit", "read_to": 100, "message": {"role": "assistant", "content": "Six."}}
        )

        assert (late.status_code, late.json["error"]["code"]) == (409, "hold_ended")
        kept = committed.query(Draft).filter_by(why_unsent="hold_ended").one()
        assert kept.output["content"] == "Six."

    def test_waiting_ends_with_the_decision(self, address, tokens, bot, desk, talk, holding_rule):
        held = self.held(bot, talk)
        path = f"/api/v1/holds/{held['hold_id']}/decision"
        later = threading.Timer(0.5, desk.post, [path], {"json": {"decision": "approve", "read_to": 100}})
        later.start()
        began = time.monotonic()
        got = fetch(f"{address}/api/v1/drafts/{held['id']}?wait_seconds=30", tokens["bot"])
        later.join()

        assert got["decision"] == "send"
        assert 0.3 < time.monotonic() - began < 5

    def held(self, bot, talk):
        asked = bot.post(talk("messages"), json={"message": user("Is it open?")}).json
        return bot.post(talk("drafts"), json=draft("Yes.", answers=asked["number"])).json


class TestPeople:
    def test_a_person_speaks_once_they_have_taken_over(self, bot, desk, talk):
        bot.post(talk("messages"), json={"message": user("Hello.")})
        words = {"message": {"role": "assistant", "content": "This is Kim."}}

        refused = desk.post(talk("messages"), json=words)
        assert (refused.status_code, refused.json["error"]["code"]) == (409, "not_your_conversation")
        assert desk.post(talk("takeover"), json={}).json["holder"] == "person"
        assert desk.post(talk("messages"), json=words).status_code == 201
        assert desk.post(talk("handback"), json={}).json["holder"] == "bot"

    def test_the_conversations_that_need_somebody_come_by_themselves(self, bot, desk, talk, project, committed):
        factories.LiveConversation(project=project)
        committed.commit()
        bot.post(talk("messages"), json={"message": user("Can I talk to a real person please?")})

        found = desk.get(f"/api/v1/projects/{project.slug}/conversations?needs=true").json["conversations"]
        assert [need["kind"] for need in found[0]["needs"]] == ["wants_person"]
        assert len(found) == 1


class TestDealtWith:
    def test_a_wish_for_a_person_is_over_once_somebody_says_so(self, bot, desk, talk, project):
        bot.post(talk("messages"), json={"message": user("I want to talk to a human.")})
        assert desk.get(f"/api/v1/projects/{project.slug}/conversations?needs=true").json["conversations"]

        answer = desk.post(talk("dismissal"), json={})

        assert (answer.status_code, answer.json["needs"]) == (200, [])
        assert not desk.get(f"/api/v1/projects/{project.slug}/conversations?needs=true").json["conversations"]
        assert "dismissal" not in [event["kind"] for event in bot.get(talk("events")).json["events"]]


class TestStreams:
    def test_a_stream_goes_on_where_the_reader_was(self, address, tokens, bot, talk):
        for text in ("One.", "Two.", "Three."):
            bot.post(talk("messages"), json={"message": user(text)})

        with Reader(address + talk("events"), tokens["bot"], after=1) as reader:
            assert [event["message"]["content"] for event in reader.take(2)] == ["Two.", "Three."]
            bot.post(talk("messages"), json={"message": user("Four.")})
            (event,) = reader.take(1)
            assert (event["number"], reader.last_id) == (4, 4)

    def test_only_the_staff_see_what_is_the_staffs(self, address, tokens, bot, desk, talk):
        desk.post(talk("notes"), json={"text": "canary-note"})
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with (
            Reader(address + talk("events"), tokens["desk"]) as staff,
            Reader(address + talk("events"), tokens["bot"]) as application,
        ):
            assert [event["kind"] for event in staff.take(2)] == ["note", "user_message"]
            assert [event["number"] for event in application.take(1)] == [2]

    def test_it_ends_within_a_second_of_a_revoked_key(self, address, tokens, bot, talk, committed):
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with Reader(address + talk("events"), tokens["bot"]) as reader:
            reader.take(1)
            revoke_key(committed, committed.query(ApiKey).filter_by(digest=token_digest(tokens["bot"])).one())
            committed.commit()
            began = time.monotonic()
            assert reader.take(1) == []
            assert time.monotonic() - began < 1.5

    @pytest.mark.parametrize("number", ["-1", "two", "99999999999999999999", "1e3", "7"])
    def test_a_number_that_is_none_of_its_events_is_refused(self, bot, talk, number):
        bot.post(talk("messages"), json={"message": user("Hello.")})
        headers = {"Accept": "text/event-stream", "Last-Event-ID": number}

        answer = bot.get(talk("events"), headers=headers)

        assert (answer.status_code, answer.json["error"]["type"]) == (422, "invalid")

    def test_there_are_no_more_than_may_be(self, app, address, tokens, bot, talk, monkeypatch):
        monkeypatch.setitem(app.extensions, "hitl_open_streams", threading.BoundedSemaphore(1))
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with Reader(address + talk("events"), tokens["bot"]) as reader:
            reader.take(1)
            with pytest.raises(urllib.error.HTTPError) as refusal:
                Reader(address + talk("events"), tokens["bot"]).__enter__()
            assert (refusal.value.code, refusal.value.headers["Retry-After"]) == (503, "1")

    def test_who_leaves_gives_up_their_place_within_seconds(self, app, address, tokens, bot, talk, monkeypatch):
        places = threading.BoundedSemaphore(1)
        monkeypatch.setitem(app.extensions, "hitl_open_streams", places)
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with Reader(address + talk("events"), tokens["bot"]) as reader:
            reader.take(1)
        assert places.acquire(timeout=ASK_SECONDS + 2)


class TestCustomers:
    def test_a_customer_talks_and_never_sees_the_staff(self, client, bot, desk, talk, holding_rule, project):
        token = self.token(bot, talk)
        asked = client.post("/api/v1/customer/messages", json={"text": "Is it open?"}, headers=bearer(token)).json
        held = bot.post(talk("drafts"), json=draft("canary-draft", answers=asked["number"])).json
        desk.post(talk("notes"), json={"text": "canary-note"})
        desk.post(talk("whispers"), json={"text": "canary-whisper"})
        refusal = {"decision": "refuse", "read_to": 100, "reason": "canary-reason"}
        desk.post(f"/api/v1/holds/{held['hold_id']}/decision", json=refusal)
        desk.post(talk("takeover"), json={})
        desk.post(talk("messages"), json={"message": {"role": "assistant", "content": "Until six."}})

        shown = client.get("/api/v1/customer/events", headers=bearer(token)).get_data(as_text=True)

        assert "Until six." in shown
        assert "canary" not in shown
        assert "Everything" not in shown  # the rule's name
        assert desk.maker_name not in shown
        assert [event["by"] for event in json.loads(shown)["events"]] == ["user", "person"]

    def test_the_token_may_stand_in_the_address_of_a_stream(self, address, bot, talk):
        token = self.token(bot, talk)
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with Reader(f"{address}/api/v1/customer/events?token={token}", None) as reader:
            assert reader.take(1)[0]["message"]["content"] == "Hello."

    def test_a_customer_cannot_flood_a_conversation(self, client, bot, talk):
        token = self.token(bot, talk)

        def says(number):
            return client.post("/api/v1/customer/messages", json={"text": f"Line {number}"}, headers=bearer(token))

        answers = [says(number) for number in range(MESSAGES_A_MINUTE + 1)]

        assert {answer.status_code for answer in answers[:-1]} == {201}
        assert answers[-1].status_code == 429
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        assert len(bot.get(talk("events")).json["events"]) == MESSAGES_A_MINUTE

    def test_a_customer_cannot_take_the_places_of_others(self, address, bot, talk, tokens):
        url = f"{address}/api/v1/customer/events?token={self.token(bot, talk)}"
        bot.post(talk("messages"), json={"message": user("Hello.")})
        with ExitStack() as stack:
            readers = [stack.enter_context(Reader(url, None)) for _ in range(STREAMS_AT_ONCE)]
            readers[-1].take(1)
            with pytest.raises(urllib.error.HTTPError) as refusal:
                Reader(url, None).__enter__()
            assert refusal.value.code == 503
            with Reader(address + talk("events"), tokens["bot"]) as other:
                other.take(1)

    def test_a_token_is_for_an_hour(self, client, bot, talk, monkeypatch):
        token = self.token(bot, talk)
        real = time.time
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: real() + LIFETIME.total_seconds() + 5)

        answer = client.get("/api/v1/customer/events", headers=bearer(token))

        assert (answer.status_code, answer.json["error"]["code"]) == (401, "token_refused")

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "ö"])
    def test_other_tokens_are_refused(self, client, token):
        answer = client.get("/api/v1/customer/events", query_string={"token": token})
        assert answer.status_code == 401

    def test_a_project_key_is_no_customer(self, bot):
        assert bot.get("/api/v1/customer/events").status_code == 401

    def test_browsers_of_any_site_may_ask(self, client):
        asked = client.options("/api/v1/customer/messages", headers={"Origin": "https://shop.example"})
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]

    def token(self, bot, talk):
        return bot.post(talk("customer-token")).json["token"]


class Reader:
    """Reads a stream of events over a real socket."""

    def __init__(self, url, token, after=None):
        headers = {"Accept": "text/event-stream"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self.request = urllib.request.Request(url, headers=headers)
        self.last_id = None

    def __enter__(self):
        self.answer = urllib.request.urlopen(self.request, timeout=20)
        return self

    def __exit__(self, *_):
        self.answer.close()

    def take(self, count):
        """Return so many events; fewer when the stream ends."""
        events = []
        while len(events) < count:
            line = self.answer.readline()
            if not line:
                break
            if line.startswith(b"id: "):
                self.last_id = int(line[4:])
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
        return events


def user(text):
    return {"role": "user", "content": text}


def draft(text, *, answers, holder_number=1, **row):
    messages = [user("Is it open?")]
    output = {"role": "assistant", "content": text}
    response = {"input": {"messages": messages}, "output": output, **row}
    return {"answers": answers, "holder_number": holder_number, "response": response}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def fetch(url, token):
    with urllib.request.urlopen(urllib.request.Request(url, headers=bearer(token)), timeout=40) as answer:
        return json.load(answer)


@pytest.fixture
def project(committed):
    return factories.Project(slug="support")


@pytest.fixture
def bot(api, project, tokens):
    program = api(project, "capture")
    tokens["bot"] = token_of(program)
    return program


@pytest.fixture
def desk(api, project, tokens):
    maker = factories.Membership(project=project, role="supervisor", user=factories.User(name="Canary Kim")).user
    program = api(project, "supervise", maker=maker)
    program.maker_name = maker.name
    tokens["desk"] = token_of(program)
    return program


@pytest.fixture
def tokens():
    return {}


@pytest.fixture
def talk(bot, project):
    """The address of something in one live conversation: talk("drafts")."""
    begun = bot.post(f"/api/v1/projects/{project.slug}/conversations", json={"conversation_id": "chat"}).json
    return lambda what: f"/api/v1/conversations/{begun['id']}/{what}"


@pytest.fixture
def holding_rule(committed, project):
    """Every draft waits for a person."""
    admin = factories.Membership(project=project, role="admin").user
    create_rule(committed, project, "Everything", PolicyTerms(expression="true", when_nobody="refuse"), by=admin)
    committed.commit()
    return project


def token_of(program):
    return program.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
