"""Answers that people look at, over real sockets: the application waits, a supervisor decides."""

import time

import openai
import pytest
import requests
from sqlalchemy import select

from hitl.core import clock
from hitl.gateway.jobs import ABANDONED_AFTER, close_abandoned
from hitl.gateway.models import Repeatable
from hitl.live import holding, taking_over
from hitl.live.models import LiveConversation
from hitl.preferences.models import Evidence
from tests.hitl.gateway.conftest import SAID
from tests.hitl.gateway.supervised import ASKED, WAIT_SECONDS, Desk, said, user

EDITED = {"role": "assistant", "content": "We open at nine."}


class TestGate:
    def test_what_no_rule_holds_goes_out_as_it_came(self, desk):
        answer = desk.ask().result(WAIT_SECONDS)

        assert answer.choices[0].message.content == SAID
        assert answer.id.startswith("chatcmpl-")
        assert desk.kinds() == ["user_message", "draft", "message"]
        (draft,) = desk.drafts()
        assert draft.state == "sent"
        (stored,) = desk.place.recorded(1)
        assert (draft.response_id, stored.client_id) == (stored.id, answer.id)
        (used,) = desk.place.usage()
        assert (used.answers, used.output_tokens) == (1, 6)

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_approved_draft_goes_out_as_it_came(self, desk, stream):
        desk.hold_all()
        asked = desk.ask(stream=stream)
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number))

        answer = asked.result(WAIT_SECONDS)
        assert words_of(answer, stream) == SAID
        assert id_of(answer, stream).startswith("chatcmpl-")

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_edited_one_goes_out_as_edited_and_teaches(self, desk, stream):
        desk.hold_all()
        asked = desk.ask(stream=stream)
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))

        assert words_of(asked.result(WAIT_SECONDS), stream) == EDITED["content"]
        (evidence,) = desk.place.found(select(Evidence), 1)
        assert evidence.origin == "intervention"

    def test_a_refused_one_is_written_again_with_the_reason(self, desk, upstream):
        desk.hold_all()
        asked = desk.ask()
        desk.decide(lambda db, talk, hold, by: holding.refuse(db, talk, hold, by, reason="Too curt"))
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number), number=2)

        assert "Too curt" in asked.result(WAIT_SECONDS).choices[0].message.content  # the bot repeats what it is told
        assert [draft.state for draft in desk.drafts()] == ["unsent", "sent"]
        assert desk.place.recorded(2)[1].input["messages"][-1]["role"] == "system"

    def test_one_that_is_refused_again_and_again_ends_as_denied(self, desk):
        desk.hold_all()
        asked = desk.ask()
        for number in range(4):
            desk.decide(lambda db, talk, hold, by: holding.refuse(db, talk, hold, by), number=number + 1)

        with pytest.raises(openai.PermissionDeniedError) as denied:
            asked.result(WAIT_SECONDS)
        assert denied.value.body["code"] == "denied"

    @pytest.mark.parametrize(
        ("when_nobody", "expected"), [("send", SAID), ("safe_reply", "One moment."), ("refuse", None)]
    )
    def test_when_nobody_comes_the_rule_says_what_happens(self, desk, when_nobody, expected):
        desk.hold_all(deadline_seconds=1, when_nobody=when_nobody, safe_reply="One moment.")
        asked = desk.ask()

        if expected is not None:
            assert asked.result(WAIT_SECONDS).choices[0].message.content == expected
            return
        with pytest.raises(openai.InternalServerError) as told:
            asked.result(WAIT_SECONDS)
        assert told.value.body["code"] == "expired"  # which is nobody's refusal

    def test_a_request_ends_before_the_projects_limit_and_its_repeat_goes_on(self, desk):
        desk.place.set(hold_seconds=6)
        desk.hold_all(deadline_seconds=60)
        with pytest.raises(openai.InternalServerError) as told:
            desk.ask().result(WAIT_SECONDS)
        assert told.value.status_code == 503
        assert told.value.body["code"] == "still_waiting"
        assert told.value.response.headers["Retry-After"]

        again = desk.ask()
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number))
        assert again.result(WAIT_SECONDS).choices[0].message.content == SAID
        assert len(desk.drafts()) == 1

    def test_a_stream_shows_signs_of_life_while_it_waits(self, desk):
        desk.hold_all()
        with requests.post(
            f"{desk.client.base_url}chat/completions",
            json={"model": "echo", "messages": ASKED, "stream": True},
            headers={"Authorization": f"Bearer {desk.client.api_key}", "X-HITL-Conversation": "c-1"},
            stream=True,
            timeout=20,
        ) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            assert next(lines).startswith(b":")
            desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number))
            assert any(line == b"data: [DONE]" for line in lines)

    def test_whispers_go_into_the_next_call_and_no_other(self, desk, upstream):
        desk.ask().result(WAIT_SECONDS)
        desk.act(lambda db, talk, by: taking_over.whisper(db, talk, by, "Offer a refund."))
        desk.ask([*ASKED, said(SAID), user("And?")]).result(WAIT_SECONDS)
        desk.ask([*ASKED, said(SAID), user("And?"), said("x"), user("So?")]).result(WAIT_SECONDS)

        told = [request for request in upstream.requests() if request["messages"][0] == ASKED[0]][-2:]
        assert "Offer a refund." in told[0]["messages"][-1]["content"]
        assert "Offer a refund." not in str(told[1]["messages"])
        assert "Offer a refund." in str(desk.place.recorded(3)[1].input)

    def test_calls_to_the_applications_tools_are_not_held(self, desk):
        desk.hold_all()

        answer = desk.ask(model="tools").result(WAIT_SECONDS)
        assert answer.choices[0].message.tool_calls
        assert len(desk.place.recorded(1)) == 1

    def test_a_conversation_that_is_not_named_is_never_held(self, desk):
        desk.hold_all()
        answer = desk.client.chat.completions.create(model="echo", messages=ASKED)

        assert answer.choices[0].message.content == SAID
        assert desk.place.found(select(LiveConversation), 0) == []

    def test_what_the_upstream_refuses_is_handed_on(self, desk):
        with pytest.raises(openai.BadRequestError):
            desk.ask(model="error-400").result(WAIT_SECONDS)
        with pytest.raises(openai.InternalServerError):
            desk.ask([*ASKED, user("x")], model="breaks", stream=True).result(WAIT_SECONDS)


class TestTakeovers:
    def test_the_application_gets_what_the_person_says(self, desk):
        desk.hold_all()
        asked = desk.ask()
        desk.decide(lambda db, talk, hold, by: taking_over.take_over(db, talk, by))
        desk.act(lambda db, talk, by: taking_over.say(db, talk, by, EDITED))

        assert asked.result(WAIT_SECONDS).choices[0].message.content == EDITED["content"]

    def test_while_a_person_has_the_conversation_the_model_is_not_asked(self, desk, upstream):
        desk.ask().result(WAIT_SECONDS)
        desk.act(lambda db, talk, by: taking_over.take_over(db, talk, by))
        before = len(upstream.requests())
        asked = desk.ask([*ASKED, said(SAID), user("Are you human?")])
        desk.until(lambda: desk.kinds().count("user_message") == 2)
        desk.act(lambda db, talk, by: taking_over.say(db, talk, by, EDITED))

        assert asked.result(WAIT_SECONDS).choices[0].message.content == EDITED["content"]
        assert len(upstream.requests()) == before

    def test_one_who_says_nothing_is_a_clear_end(self, desk):
        desk.place.set(hold_seconds=2)
        desk.ask().result(WAIT_SECONDS)
        desk.act(lambda db, talk, by: taking_over.take_over(db, talk, by))

        with pytest.raises(openai.ConflictError) as told:
            desk.ask([*ASKED, said(SAID), user("Hello?")]).result(WAIT_SECONDS)
        assert told.value.body["code"] == "taken_over"

    def test_handed_back_the_model_answers(self, desk):
        desk.ask().result(WAIT_SECONDS)
        desk.act(lambda db, talk, by: taking_over.take_over(db, talk, by))
        asked = desk.ask([*ASKED, said(SAID), user("Hello?")])
        desk.until(lambda: desk.kinds().count("user_message") == 2)
        desk.act(lambda db, talk, by: taking_over.hand_back(db, talk, by))

        assert asked.result(WAIT_SECONDS).choices[0].message.content == "You said: Hello? 🙂"


class TestRepeats:
    def test_the_same_idempotency_key_gets_the_same_answer(self, desk):
        headers = {"Idempotency-Key": "k-1"}
        first = desk.ask(headers=headers).result(WAIT_SECONDS)
        again = desk.ask(headers=headers).result(WAIT_SECONDS)

        assert again.choices[0].message.content == first.choices[0].message.content
        assert desk.kinds() == ["user_message", "draft", "message"]

    def test_an_idempotency_key_is_for_one_request(self, desk):
        desk.ask(headers={"Idempotency-Key": "k-1"}).result(WAIT_SECONDS)

        with pytest.raises(openai.UnprocessableEntityError):
            desk.ask([*ASKED, user("Else")], headers={"Idempotency-Key": "k-1"}).result(WAIT_SECONDS)

    def test_a_retry_of_the_client_is_no_new_message(self, desk):
        desk.ask().result(WAIT_SECONDS)
        desk.ask(headers={"x-stainless-retry-count": "1"}).result(WAIT_SECONDS)

        assert desk.kinds() == ["user_message", "draft", "message"]

    def test_the_same_words_later_are_new(self, desk):
        desk.ask().result(WAIT_SECONDS)
        desk.ask([*ASKED, said(SAID), *ASKED]).result(WAIT_SECONDS)

        assert desk.kinds().count("user_message") == 2

    @pytest.mark.parametrize("headers", [{"x-stainless-retry-count": "1"}, {}], ids=["retry", "repeat"])
    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_an_application_that_left_finds_what_was_decided_meanwhile(self, desk, stream, headers):
        desk.hold_all()
        leaving = desk.leaving_request(stream=stream)
        desk.until(lambda: desk.holds())
        leaving.close()
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))

        again = desk.ask(headers=headers).result(WAIT_SECONDS)
        assert again.choices[0].message.content == EDITED["content"]
        assert desk.kinds().count("user_message") == 1

    def test_the_answer_is_owed_once(self, desk):
        desk.hold_all()
        leaving = desk.leaving_request()
        desk.until(lambda: desk.holds())
        leaving.close()
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))
        desk.ask().result(WAIT_SECONDS)

        anew = desk.ask()
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number), number=2)
        assert anew.result(WAIT_SECONDS).choices[0].message.content == SAID
        assert desk.kinds().count("user_message") == 2

    def test_what_somebody_got_is_asked_anew(self, desk):
        desk.hold_all()
        asked = desk.ask()
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))
        asked.result(WAIT_SECONDS)

        anew = desk.ask()
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number), number=2)
        assert anew.result(WAIT_SECONDS).choices[0].message.content == SAID

    def test_what_a_person_said_to_nobody_is_owed_too(self, desk):
        desk.place.set(mode="person", hold_seconds=30)
        leaving = desk.leaving_request(stream=False)
        desk.until(lambda: desk.talk() is not None)
        leaving.close()
        desk.act(lambda db, talk, by: taking_over.take_over(db, talk, by))
        desk.act(lambda db, talk, by: taking_over.say(db, talk, by, EDITED))
        time.sleep(2.5)  # until it is noticed that nobody waits

        assert desk.ask().result(WAIT_SECONDS).choices[0].message.content == EDITED["content"]
        assert desk.kinds().count("user_message") == 1

    def test_a_hold_that_nobody_waits_for_is_closed_after_a_minute(self, desk, shared_database):
        desk.hold_all()
        leaving = desk.leaving_request()
        desk.until(lambda: desk.holds())
        leaving.close()
        with shared_database.writing() as db:
            close_abandoned(db)
        assert desk.holds()[0].ended_at is None

        time.sleep(2.5)  # until it is noticed
        with shared_database.writing() as db:
            for request in db.scalars(select(Repeatable)):
                request.waited_at = clock.now() - ABANDONED_AFTER * 1.1
        with shared_database.writing() as db:
            close_abandoned(db)
        assert desk.holds()[0].ended_as == "expired"
        assert desk.drafts()[0].state == "unsent"

    def test_words_that_come_while_a_draft_is_held_get_its_answer_and_the_first_request_none(self, desk):
        desk.hold_all()
        first = desk.ask()
        desk.until(lambda: desk.holds())
        second = desk.ask([*ASKED, user("Hurry!")])
        desk.until(lambda: desk.kinds().count("draft") == 2)
        desk.decide(lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number))

        assert second.result(WAIT_SECONDS).choices[0].message.content == SAID
        with pytest.raises(openai.ConflictError):
            first.result(WAIT_SECONDS)


class TestPersonMode:
    def test_a_supervisor_answers_and_the_model_is_not_asked(self, desk, upstream):
        desk.place.set(mode="person")
        before = len(upstream.requests())
        asked = desk.ask()
        desk.until(lambda: desk.talk() and desk.talk().needs)
        assert desk.talk().needs[0]["kind"] == "wants_person"
        desk.act(lambda db, talk, by: taking_over.take_over(db, talk, by))
        desk.act(lambda db, talk, by: taking_over.say(db, talk, by, EDITED))

        assert asked.result(WAIT_SECONDS).choices[0].message.content == EDITED["content"]
        assert len(upstream.requests()) == before

    @pytest.mark.parametrize(("when_nobody", "expected"), [("send", SAID), ("safe_reply", "Soon."), ("refuse", None)])
    def test_when_nobody_comes_there_is_an_end(self, desk, when_nobody, expected):
        desk.place.set(mode="person", hold_seconds=2, when_nobody=when_nobody, safe_reply="Soon.")
        asked = desk.ask(stream=True)

        if expected is None:
            with pytest.raises(openai.APIError, match="nobody came"):
                asked.result(WAIT_SECONDS)
        else:
            assert words_of(asked.result(WAIT_SECONDS), True) == expected

    def test_it_wants_to_know_the_conversation(self, desk):
        desk.place.set(mode="person")

        with pytest.raises(openai.UnprocessableEntityError, match="which conversation"):
            desk.client.chat.completions.create(model="echo", messages=ASKED)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestWithoutDatabase:
    """What is to be looked at cannot be; the project says what happens then."""

    @pytest.mark.parametrize("mode", ["gate", "person"])
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(("then", "expected"), [("safe_reply", "Later."), ("send", SAID), ("refuse", None)])
    def test_the_project_says_what_happens(self, cut_place, shared_database, mode, stream, then, expected):
        wire, place = cut_place
        desk = Desk(place, shared_database)
        place.set(mode=mode, when_database_down=then, safe_reply="Later.", hold_seconds=5)
        place.client().models.list()  # what is known of the project
        desk.client.models.list()
        wire.cut()

        asked = desk.ask(stream=stream)
        if expected is None:
            with pytest.raises(openai.InternalServerError) as told:
                asked.result(WAIT_SECONDS)
            assert told.value.status_code == 503
        else:
            assert words_of(asked.result(WAIT_SECONDS), stream) == expected
        wire.mend()
        if then == "send":
            assert len(place.recorded(1)) == 1

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_hold_survives_a_restart_of_the_database(self, cut_place, shared_database, stream):
        wire, place = cut_place
        desk = Desk(place, shared_database)
        desk.hold_all()
        asked = desk.ask(stream=stream)
        desk.until(lambda: desk.holds())
        wire.cut()
        time.sleep(3)
        wire.mend()
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))

        assert words_of(asked.result(WAIT_SECONDS), stream) == EDITED["content"]


def words_of(answer, stream):
    if not stream:
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def id_of(answer, stream):
    return answer[0].id if stream else answer.id
