import gc
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from pydantic import BaseModel

from hitl.client.openai import captured, client_id_of
from hitl.demo.upstream import TOOL_CALLS
from tests.machine.coroutines import run
from tests.machine.openai_server import OpenAIServer, openai_server

ASKED = [{"role": "user", "content": "When do you open?"}]
SAID = "You said: When do you open? 🙂"


class Answer(BaseModel):
    answer: str


class TestWhole:
    def test_it_returns_what_openai_returns_and_captures_it(self, place, client, bot):
        completion = bot.chat.completions.create(
            model="echo",
            messages=ASKED,
            temperature=0.5,
            user="ann",
            metadata={"conversation_id": "chat-17", "shop": "Rome"},
            extra_headers={"X-Secret": "s3cret"},
            timeout=20,
        )

        assert type(completion) is ChatCompletion
        assert completion.choices[0].message.content == SAID
        assert client.flush(10)
        stored = place.responses()[completion.id]
        assert client_id_of(completion) == completion.id
        assert stored.input == {"messages": ASKED, "tools": []}
        assert stored.output == {"role": "assistant", "content": SAID}
        assert (stored.model, stored.model_version) == ("echo", "echo-2026-05-01")
        assert stored.parameters == {"temperature": 0.5}
        assert (stored.input_tokens, stored.output_tokens) == (10, 6)
        assert 0 < stored.latency_seconds < 20
        assert stored.details == {"shop": "Rome", "finish_reason": "stop"}
        assert (stored.conversation.client_id, stored.turn) == ("chat-17", None)
        assert stored.end_user is not None
        assert stored.may_train == "unknown"

    def test_the_request_goes_out_as_it_was(self, bot, server):
        metadata = {"conversation_id": "chat-17"}
        bot.chat.completions.create(model="echo", messages=iter(ASKED), metadata=metadata, user="ann")

        sent = server.requests()[-1]
        assert (sent["messages"], sent["metadata"], sent["user"]) == (ASKED, metadata, "ann")

    def test_tool_calls(self, place, client, bot):
        tools = [{"type": "function", "function": {"name": "book_room", "parameters": {"type": "object"}}}]

        completion = bot.chat.completions.create(model="tools", messages=ASKED, tools=tools)

        assert client.flush(10)
        stored = place.responses()[completion.id]
        assert stored.output == {"role": "assistant", "content": None, "tool_calls": EXPECTED_CALLS}
        assert stored.input["tools"] == tools

    def test_a_message_of_openai_in_the_history(self, place, client, bot):
        first = bot.chat.completions.create(model="tools", messages=ASKED)
        results = [{"role": "tool", "tool_call_id": call, "content": "ok"} for call, _, _ in TOOL_CALLS]

        second = bot.chat.completions.create(model="echo", messages=[*ASKED, first.choices[0].message, *results])

        assert client.flush(10)
        assert place.responses()[second.id].input["messages"][1]["tool_calls"] == EXPECTED_CALLS

    @pytest.mark.parametrize("stream", [False, True])
    def test_refusals_and_thoughts(self, place, client, bot, stream):
        for model in ("refusal", "reasoning"):
            answer = bot.chat.completions.create(model=model, messages=ASKED, stream=stream)
            list(answer)

        assert client.flush(10)
        refusal, reasoning = sorted(place.responses().values(), key=lambda one: one.model, reverse=True)
        assert refusal.output == {"role": "assistant", "content": None, "refusal": "I cannot do that."}
        assert reasoning.output["reasoning_content"] == "Let me think."
        assert reasoning.output["content"] == SAID

    @pytest.mark.parametrize("stream", [False, True])
    def test_each_of_several_choices_is_a_response_to_the_same_input(self, place, client, bot, stream):
        answer = bot.chat.completions.create(model="echo", messages=ASKED, n=3, stream=stream)
        first = next(answer) if stream else answer
        list(answer)

        assert client.flush(10)
        stored = place.responses()
        assert set(stored) == {client_id_of(first, index) for index in range(3)}
        assert {response.output["content"] for response in stored.values()} == {SAID}
        assert len({response.input_hash for response in stored.values()}) == 1

    def test_parse(self, place, client, bot):
        completion = bot.chat.completions.parse(model="echo", messages=ASKED, response_format=Answer)

        assert isinstance(completion, ParsedChatCompletion)
        assert completion.choices[0].message.parsed == Answer(answer="nine")
        assert client.flush(10)
        stored = place.responses()[completion.id]
        assert json.loads(stored.output["content"]) == {"answer": "nine"}
        assert stored.parameters == {"response_format": "Answer"}

    def test_ids_that_come_again_get_the_time(self, place, client, bot):
        completion = bot.chat.completions.create(model="short-id", messages=ASKED)

        assert client.flush(10)
        assert list(place.responses()) == [client_id_of(completion)] == [f"chatcmpl-7-{completion.created}"]

    def test_fields_may_be_functions_of_the_request(self, place, client, server):
        bot = captured(
            OpenAI(base_url=server.address, api_key="k"),
            client,
            prompt_name="desk",
            client_id=lambda request: request["extra_body"]["my_id"],
            may_train=lambda request: "no" if request.get("user") else "yes",
        )

        bot.chat.completions.create(model="echo", messages=ASKED, extra_body={"my_id": "mine"}, user="ann")

        assert client.flush(10)
        stored = place.responses()["mine"]
        assert (stored.prompt_name, stored.may_train) == ("desk", "no")

    def test_a_field_that_fails_harms_only_the_capture(self, client, server, problems):
        bot = captured(OpenAI(base_url=server.address, api_key="k"), client, trace_id=lambda request: request["none"])

        assert bot.chat.completions.create(model="echo", messages=ASKED).choices[0].message.content == SAID

        client.close()
        assert [problem.code for problem in problems] == ["not_captured"]


class TestStreams:
    def test_chunks_pass_unchanged_and_as_they_come(self, place, client, server, bot):
        plain = OpenAI(base_url=server.address, api_key="k")
        request: dict[str, Any] = {"model": "slow", "messages": ASKED, "stream": True}
        expected = [chunk.choices[0].to_dict() for chunk in plain.chat.completions.create(**request)]

        stream = bot.chat.completions.create(**request, stream_options={"include_usage": True})
        assert type(stream) is Stream
        chunks = list(stream)

        assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
        assert [chunk.choices[0].to_dict() for chunk in chunks[:-1]] == expected
        assert client.flush(10)
        stored = place.responses()[chunks[0].id]
        assert stored.output == {"role": "assistant", "content": SAID}
        assert (stored.input_tokens, stored.output_tokens) == (10, 6)
        assert 0 < stored.signals["first_piece_seconds"] < stored.latency_seconds
        assert stored.details == {"finish_reason": "stop"}

    def test_it_hands_on_a_chunk_before_the_next_is_there(self, bot):
        stream = bot.chat.completions.create(model="slow", messages=ASKED, stream=True)

        first = next(stream)

        assert first.choices[0].delta.role == "assistant"
        assert first.choices[0].finish_reason is None

    def test_arguments_of_tool_calls_are_put_together(self, place, client, bot):
        stream = bot.chat.completions.create(model="tools", messages=ASKED, stream=True)
        names = {chunk.id for chunk in stream}

        assert client.flush(10)
        (stored,) = place.responses().values()
        assert names == {stored.client_id}
        assert stored.output == {"role": "assistant", "content": None, "tool_calls": EXPECTED_CALLS}

    @pytest.mark.parametrize("how", ["with", "close", "forget"])
    def test_a_stream_that_is_left_is_partial_and_never_trained_on(self, place, client, bot, how):
        stream = bot.chat.completions.create(model="slow", messages=ASKED, stream=True)
        if how == "with":
            with stream:
                chunks = [next(stream) for _ in range(3)]
        else:
            chunks = [next(stream) for _ in range(3)]
            stream.close() if how == "close" else None
        if how == "forget":
            del stream
            gc.collect()

        assert client.flush(10)
        stored = place.responses()[chunks[0].id]
        assert stored.output["content"] == "You said: When "
        assert (stored.details, stored.may_train) == ({"is_partial": True}, "no")

    @pytest.mark.parametrize("model", ["breaks", "fails"])
    def test_a_stream_that_breaks_off_raises_as_ever_and_is_partial(self, place, client, bot, model):
        stream = bot.chat.completions.create(model=model, messages=ASKED, stream=True)
        with pytest.raises((openai.APIError, openai.APIConnectionError)):
            list(stream)

        assert client.flush(10)
        (stored,) = place.responses().values()
        assert stored.details == {"is_partial": True}
        assert stored.output["content"] == "You said: When "

    def test_the_stream_helper(self, place, client, bot):
        with bot.chat.completions.stream(model="echo", messages=ASKED) as stream:
            final = stream.get_final_completion()
        with bot.chat.completions.stream(model="slow", messages=ASKED) as stream:
            for _ in range(4):
                next(stream)

        assert client.flush(10)
        stored = place.responses()
        whole = stored.pop(final.id)
        assert (whole.output["content"], whole.details) == (SAID, {"finish_reason": "stop"})
        (partial,) = stored.values()
        assert partial.details == {"is_partial": True}


class TestRawAnswers:
    def test_raw_answers(self, place, client, bot):
        raw = bot.chat.completions.with_raw_response.create(model="echo", messages=ASKED)
        streamed = bot.chat.completions.with_raw_response.create(model="echo", messages=ASKED, stream=True)
        assert raw.headers["content-type"] == "application/json"
        chunks = list(streamed.parse())

        assert client.flush(10)
        assert set(place.responses()) == {raw.parse().id, chunks[0].id}

    def test_answers_that_are_read_later(self, place, client, bot):
        with bot.chat.completions.with_streaming_response.create(model="echo", messages=ASKED) as response:
            completion = response.parse()
        with bot.chat.completions.with_streaming_response.create(model="echo", messages=ASKED) as response:
            b"".join(response.iter_bytes())  # not parsed: passes through, not captured

        assert client.flush(10)
        assert list(place.responses()) == [completion.id]


class TestErrors:
    @pytest.mark.parametrize(
        ("model", "error"),
        [
            ("error-400", openai.BadRequestError),
            ("error-429", openai.RateLimitError),
            ("error-500", openai.InternalServerError),
            ("breaks", openai.APIConnectionError),
        ],
    )
    def test_errors_are_raised_as_ever_and_not_captured(self, place, client, bot, model, error):
        with pytest.raises(error):
            bot.with_options(max_retries=0).chat.completions.create(model=model, messages=ASKED)

        client.close()
        assert client.statistics().given_count == 0

    def test_garbage_is_handed_on(self, client, bot, server):
        plain = OpenAI(base_url=server.address, api_key="k").chat.completions.create(model="garbage", messages=ASKED)

        assert bot.chat.completions.create(model="garbage", messages=ASKED) == plain

    def test_a_mistake_of_the_caller_is_raised(self, bot):
        with pytest.raises(TypeError):
            bot.chat.completions.create(model="echo")

    def test_a_provider_that_is_away_is_told_as_ever(self, client):
        with openai_server() as server:
            bot = captured(OpenAI(base_url=server.address, api_key="k", max_retries=0), client)
            bot.chat.completions.create(model="echo", messages=ASKED)
            server.kill()

            with pytest.raises(openai.APIConnectionError):
                bot.chat.completions.create(model="echo", messages=ASKED)


class TestClients:
    def test_the_given_client_stays_as_it_was(self, client, server):
        plain = OpenAI(base_url=server.address, api_key="k")
        captured(plain, client)

        plain.chat.completions.create(model="echo", messages=ASKED)

        assert client.statistics().given_count == 0

    def test_copies_are_captured_once(self, place, client, bot):
        completion = bot.with_options(timeout=20).copy().chat.completions.create(model="echo", messages=ASKED)
        again = bot.beta.chat.completions.create(model="echo", messages=ASKED)

        assert client.flush(10)
        assert set(place.responses()) == {completion.id, again.id}
        assert client.statistics().given_count == 2

    def test_async(self, place, client, server):
        async def ask() -> list[str]:
            bot = captured(AsyncOpenAI(base_url=server.address, api_key="k"), client)
            whole = await bot.chat.completions.create(model="echo", messages=ASKED)
            stream = await bot.chat.completions.create(model="echo", messages=ASKED, stream=True)
            assert type(stream) is AsyncStream
            streamed = [chunk.id async for chunk in stream]
            async with bot.chat.completions.stream(model="tools", messages=ASKED) as helper:
                helped = await helper.get_final_completion()
            parsed = await bot.chat.completions.parse(model="echo", messages=ASKED, response_format=Answer)
            raw = await bot.chat.completions.with_raw_response.create(model="echo", messages=ASKED)
            async with bot.chat.completions.with_streaming_response.create(model="echo", messages=ASKED) as response:
                later = await response.parse()
            left = await bot.chat.completions.create(model="slow", messages=ASKED, stream=True)
            async with left:
                for _ in range(3):
                    chunk = await left.__anext__()
            with pytest.raises(openai.BadRequestError):
                await bot.chat.completions.create(model="error-400", messages=ASKED)
            return [whole.id, streamed[0], helped.id, parsed.id, raw.parse().id, later.id, chunk.id]

        names = run(ask())

        assert client.flush(10)
        stored = place.responses()
        assert set(stored) == set(names)
        assert stored[names[1]].output["content"] == SAID
        assert stored[names[2]].output["tool_calls"] == EXPECTED_CALLS
        assert stored[names[-1]].details == {"is_partial": True}
        assert sum(response.details == {"finish_reason": "stop"} for response in stored.values()) == 5


EXPECTED_CALLS = [
    {"id": call, "type": "function", "function": {"name": name, "arguments": "".join(arguments)}}
    for call, name, arguments in TOOL_CALLS
]


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def bot(client, server) -> OpenAI:
    return captured(OpenAI(base_url=server.address, api_key="k"), client)
