import json
import time

import openai
import pytest
import requests
from openai import OpenAI
from sqlalchemy import select

from hitl.accounts.keys import keys_of, revoke_key
from hitl.capture.models import Conversation
from hitl.demo.upstream import HUGE_BYTES, TOOL_CALLS
from hitl.gateway.budgets import add_budget
from tests.hitl import factories
from tests.hitl.gateway.conftest import SAID
from tests.hitl.gateway.supervised import ASKED
from tests.machine.service import free_port


class TestPassingThrough:
    def test_the_answer_is_the_upstreams(self, client, place):
        answer = client.chat.completions.create(model="echo", messages=ASKED, user="ann", temperature=0.5)

        assert answer.choices[0].message.content == SAID
        (stored,) = place.recorded(1)
        assert stored.client_id == answer.id
        assert stored.output["content"] == SAID
        assert stored.input["messages"] == ASKED
        assert (stored.model, stored.model_version) == ("echo", "echo-2026-05-01")
        assert stored.parameters == {"temperature": 0.5}
        assert (stored.input_tokens, stored.output_tokens) == (10, 6)
        assert stored.end_user not in (None, "ann")
        assert stored.latency_seconds > 0
        assert stored.details["upstream"] == "main"

    def test_a_stream_is_the_upstreams_byte_for_byte(self, place, client, upstream):
        body = {"model": "echo", "messages": ASKED, "stream": True}

        def lines(url, key):
            headers = {"Authorization": f"Bearer {key}"}
            answer = requests.post(f"{url}/chat/completions", json=body, headers=headers, timeout=20)
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            return [_without_names(line) for line in answer.content.split(b"\n\n")]

        assert lines(str(client.base_url).rstrip("/"), client.api_key) == lines(upstream.address, "any")

    def test_a_stream_is_put_together(self, client, place):
        pieces = list(
            client.chat.completions.create(
                model="echo", messages=ASKED, stream=True, stream_options={"include_usage": True}
            )
        )

        (stored,) = place.recorded(1)
        assert stored.output["content"] == SAID
        assert stored.client_id == pieces[0].id
        assert (stored.input_tokens, stored.output_tokens) == (10, 6)
        assert stored.details["finish_reason"] == "stop"

    @pytest.mark.parametrize("stream", [False, True])
    def test_tool_calls_are_kept(self, client, place, stream):
        tools = [{"type": "function", "function": {"name": "opening_hours", "parameters": {"type": "object"}}}]
        answer = client.chat.completions.create(model="tools", messages=ASKED, tools=tools, stream=stream)
        if stream:
            list(answer)

        (stored,) = place.recorded(1)
        called = [(call["id"], call["function"]) for call in stored.output["tool_calls"]]
        assert called == [(name, {"name": of, "arguments": "".join(said)}) for name, of, said in TOOL_CALLS]
        assert stored.input["tools"] == tools

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_refusal_is_kept(self, client, place, stream):
        answer = client.chat.completions.create(model="refusal", messages=ASKED, stream=stream)
        if stream:
            list(answer)

        assert place.recorded(1)[0].output["refusal"] == "I cannot do that."

    def test_several_answers_are_several_responses(self, client, place):
        client.chat.completions.create(model="echo", messages=ASKED, n=3)

        assert len(place.recorded(3)) == 3

    def test_models_are_those_of_the_upstreams(self, client, place, upstream):
        place.add_upstream(upstream.address, name="another", models=["echo", "new"])

        assert "star-retrieval" in {model.id for model in client.models.list()}

    def test_the_upstream_gets_its_own_key_and_nothing_of_ours(self, client, upstream):
        client.chat.completions.create(
            model="echo", messages=ASKED, extra_headers={"X-HITL-Conversation": "c-1", "traceparent": "00-1"}
        )

        headers = upstream.requests()[-1]["_headers"]
        assert headers["authorization"] == "Bearer upstream-key-123"
        assert headers["traceparent"] == "00-1"
        assert "x-hitl-conversation" not in headers
        assert not any(client.api_key in str(value) for value in headers.values())

    def test_unknown_keys_of_messages_go_through_and_are_named(self, client, place, upstream):
        asked = [*ASKED, {"role": "assistant", "content": "At nine.", "audio": {"id": "a"}}, *ASKED]
        client.chat.completions.create(model="echo", messages=asked)

        assert upstream.requests()[-1]["messages"] == asked
        assert place.recorded(1)[0].details["keys_not_kept"] == ["audio"]


class TestAtTheDoor:
    def test_a_wrong_key_is_told_in_openais_shape(self, place):
        with pytest.raises(openai.AuthenticationError) as refused:
            place.client(token="hitl_wrong").chat.completions.create(model="echo", messages=ASKED)

        assert refused.value.body["code"] == "unauthenticated"

    def test_a_key_needs_the_scope(self, place):
        with pytest.raises(openai.PermissionDeniedError):
            place.client(scopes=("datasets",)).chat.completions.create(model="echo", messages=ASKED)

    def test_another_projects_key_learns_nothing(self, place, client):
        url = str(client.base_url).replace(place.project.slug, "another")

        with pytest.raises(openai.NotFoundError):
            OpenAI(base_url=url, api_key=client.api_key, max_retries=0).models.list()

    def test_a_revoked_key_ends(self, place, client, committed):
        client.models.list()
        for key in committed.scalars(keys_of(place.project)):
            revoke_key(committed, key)
        committed.commit()

        time.sleep(1.1)  # for so long what was known of it serves
        with pytest.raises(openai.AuthenticationError):
            client.models.list()

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": []}', b'{"model": 7}', b""])
    def test_a_broken_request_is_told(self, client, body):
        answer = requests.post(
            f"{client.base_url}chat/completions",
            data=body,
            headers={"Authorization": f"Bearer {client.api_key}", "Content-Type": "application/json"},
            timeout=20,
        )

        assert answer.status_code == 422
        assert answer.json()["error"]["message"]

    def test_it_says_that_no_upstream_is_there(self, bare_place):
        with pytest.raises(openai.NotFoundError) as refused:
            bare_place.client().chat.completions.create(model="echo", messages=ASKED)

        assert refused.value.body["code"] == "model_not_found"


class TestWhenTheUpstreamFails:
    @pytest.mark.parametrize(
        ("model", "error", "code"),
        [
            ("garbage", openai.InternalServerError, "upstream_unusable"),
            ("invalid-json", openai.InternalServerError, "upstream_unusable"),
            ("breaks", openai.InternalServerError, "upstream_broke_off"),
            ("refuses", openai.InternalServerError, "upstream_broke_off"),
            ("error-401", openai.InternalServerError, "upstream_unusable"),
        ],
    )
    def test_what_is_no_answer_is_told(self, client, place, model, error, code):
        with pytest.raises(error) as told:
            client.chat.completions.create(model=model, messages=ASKED)

        assert told.value.status_code == 502
        assert told.value.body["code"] == code
        (used,) = place.usage()
        assert place.recorded(0) == []
        assert (used.model, used.answers, used.failures) == (model, 0, 1)

    def test_a_refusal_of_the_upstream_is_handed_on(self, client):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="error-400", messages=ASKED)

        assert refused.value.body["message"] == "As you wish."

    def test_it_says_how_long_to_wait(self, client):
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="busy-7", messages=ASKED)

        assert refused.value.response.headers["Retry-After"] == "7"

    def test_silence_ends(self, bare_place, upstream):
        bare_place.add_upstream(upstream.address, silence_seconds=0.3)

        with pytest.raises(openai.InternalServerError) as told:
            bare_place.client().chat.completions.create(model="hangs", messages=ASKED)
        assert told.value.status_code == 504

    def test_twenty_megabytes_go_through(self, client, place):
        answer = client.chat.completions.create(model="huge", messages=ASKED)

        assert len(answer.choices[0].message.content) > HUGE_BYTES - 20

    @pytest.mark.parametrize("model", ["breaks", "fails"])
    def test_half_a_stream_ends_with_an_error_and_is_kept_as_partial(self, client, place, model):
        stream = client.chat.completions.create(model=model, messages=ASKED, stream=True)
        with pytest.raises(openai.APIError):
            list(stream)

        (stored,) = place.recorded(1)
        assert stored.output["content"] == "You said: When "
        assert stored.details["broke_off"] == "upstream"
        assert stored.may_train == "no"

    def test_it_tries_again(self, bare_place, upstream):
        bare_place.add_upstream(upstream.address, retries=1)
        client = bare_place.client()

        for _ in range(3):  # each first try may fail, no second one does
            assert client.chat.completions.create(model="flaky", messages=ASKED).choices

    def test_it_falls_back_to_the_next(self, bare_place, upstream):
        bare_place.add_upstream(f"http://127.0.0.1:{free_port()}/v1", name="away", position=0)
        bare_place.add_upstream(upstream.address, name="second", position=1)

        answer = bare_place.client().chat.completions.create(model="echo", messages=ASKED)

        assert answer.choices[0].message.content == SAID
        assert bare_place.recorded(1)[0].details["upstream"] == "second"

    def test_one_that_is_away_is_left_alone_after_a_while(self, bare_place, upstream):
        away = bare_place.add_upstream(f"http://127.0.0.1:{free_port()}/v1", name="away")
        bare_place.add_upstream(upstream.address, name="second", position=1)
        client = bare_place.client()

        for _ in range(6):
            client.chat.completions.create(model="echo", messages=ASKED)

        assert bare_place.gateway.forwarder.breakers.is_open(away.id)

    def test_an_address_inside_is_not_called(self, bare_place):
        bare_place.add_upstream("http://169.254.169.254/v1")

        with pytest.raises(openai.InternalServerError, match="private address"):
            bare_place.client().chat.completions.create(model="echo", messages=ASKED)


class TestWhenTheCallerLeaves:
    def test_what_came_so_far_is_kept_as_partial(self, client, place):
        stream = client.chat.completions.create(model="slow", messages=ASKED, stream=True)
        next(iter(stream))
        stream.close()

        (stored,) = place.recorded(1)
        assert stored.details["broke_off"] == "caller"
        assert stored.may_train == "no"


class TestConversations:
    def test_the_header_names_one(self, client, place):
        client.chat.completions.create(model="echo", messages=ASKED, extra_headers={"X-HITL-Conversation": "c-1"})
        client.chat.completions.create(model="echo", messages=ASKED, metadata={"conversation_id": "c-1", "tier": "a"})

        first, second = place.recorded(2)
        assert first.conversation_id == second.conversation_id
        assert "conversation_is_guessed" not in first.details
        assert second.details["tier"] == "a"
        assert [talk.client_id for talk in place.found(select(Conversation), 1)] == ["c-1"]

    def test_a_continuation_is_guessed(self, client, place):
        ask(client, ASKED, user="ann")
        ask(client, [*ASKED, said(SAID), *ASKED], user="ann")

        first, second = place.recorded(2)
        assert first.conversation_id == second.conversation_id
        assert second.details["conversation_is_guessed"] is True
        assert (first.turn, second.turn) == (0, 1)

    def test_the_same_words_in_two_conversations_are_no_continuation_of_either(self, client, place):
        ask(client, ASKED, user="ann")
        ask(client, ASKED, user="ann")
        ask(client, [*ASKED, said(SAID), *ASKED], user="ann")

        assert len({stored.conversation_id for stored in place.recorded(3)}) == 3

    @pytest.mark.parametrize(
        ("user", "messages"),
        [
            ("bob", [*ASKED, {"role": "assistant", "content": SAID}, *ASKED]),
            ("ann", [*ASKED, {"role": "assistant", "content": "Something else"}, *ASKED]),
            ("ann", [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": SAID}, *ASKED]),
            ("ann", ASKED),
        ],
    )
    def test_others_are_new(self, client, place, user, messages):
        ask(client, ASKED, user="ann")
        ask(client, messages, user=user)

        first, second = place.recorded(2)
        assert first.conversation_id != second.conversation_id

    def test_another_key_continues_nothing(self, client, place):
        ask(client, ASKED, user="ann")
        ask(place.client(), [*ASKED, said(SAID), *ASKED], user="ann")

        first, second = place.recorded(2)
        assert first.conversation_id != second.conversation_id

    def test_an_id_of_another_project_is_one_of_ones_own(self, client, place):
        factories.Conversation(client_id="theirs")
        place.db.commit()
        ask(client, ASKED, extra_headers={"X-HITL-Conversation": "theirs"})

        (stored,) = place.recorded(1)
        assert stored.conversation.project_id == place.project.id

    @pytest.mark.parametrize("name", ["x" * 256, 7, ["c"]])
    def test_a_name_that_is_none_is_refused(self, client, name):
        with pytest.raises(openai.UnprocessableEntityError):
            ask(client, ASKED, extra_body={"metadata": {"conversation_id": name}})


class TestUsage:
    def test_it_is_counted_by_key_model_and_day(self, client, place):
        place.set(prices={"echo": {"input": 100_000, "output": 200_000}})
        ask(client, ASKED)
        ask(client, ASKED)
        list(ask(client, ASKED, stream=True))

        (used,) = place.usage(3)
        assert (used.answers, used.input_tokens, used.output_tokens, used.without_usage) == (3, 20, 12, 1)
        assert used.cost_usd == pytest.approx(2 * (1.0 + 1.2))

    def test_a_spent_budget_refuses(self, client, place):
        add_budget(place.db, place.project, period="day", max_tokens=10)
        place.db.commit()
        place.gateway.forget()
        ask(client, ASKED)
        place.usage(1)
        place.gateway.forget()

        with pytest.raises(openai.RateLimitError) as refused:
            ask(client, ASKED)
        assert refused.value.body["type"] == "insufficient_quota"
        assert 0 < int(refused.value.response.headers["Retry-After"]) <= 24 * 3600

    def test_a_budget_of_another_model_does_not(self, client, place):
        add_budget(place.db, place.project, period="month", max_tokens=0, model="tools")
        place.db.commit()
        place.gateway.forget()

        assert ask(client, ASKED)


class TestAnswerCache:
    def test_it_is_off_by_default(self, client, upstream):
        assert len({ask(client, ASKED).id for _ in range(2)}) == 2

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_very_same_request_is_answered_from_it(self, client, place, stream):
        place.set(cache_seconds=60)

        def name_of(answer):
            return list(answer)[0].id if stream else answer.id  # noqa: RUF015 - to its end

        first = name_of(ask(client, ASKED, stream=stream))
        place.usage(1)  # its reader has the last byte a moment before it is kept
        assert name_of(ask(client, ASKED, stream=stream)) == first
        (used,) = place.usage(2)
        assert (used.answers, used.from_cache) == (2, 1)
        assert len(place.recorded(1)) == 1

    def test_another_key_gets_its_own_answer(self, client, place):
        place.set(cache_seconds=60)

        assert ask(client, ASKED).id != ask(place.client(), ASKED).id


def ask(client, messages, **options):
    return client.chat.completions.create(model="echo", messages=messages, **options)


def said(text):
    return {"role": "assistant", "content": text}


def _without_names(line: bytes):
    """A chunk without what differs from answer to answer."""
    text = line.removeprefix(b"data: ")
    return {**json.loads(text), "id": "", "created": 0} if text.startswith(b"{") else line
