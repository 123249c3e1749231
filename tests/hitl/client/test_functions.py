import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.machine.coroutines import run

ASKED = [{"role": "user", "content": "When do you open?"}]
CHUNKS = [
    {"id": "chatcmpl-" + "a" * 20, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    for word in ("At ", "nine.")
]
END = {"id": "chatcmpl-" + "a" * 20, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class TestCaptured:
    @pytest.mark.parametrize("answer", ["At nine.", {"role": "assistant", "content": "At nine."}])
    def test_what_a_function_returns_is_captured(self, place, client, answer):
        @client.captured(model="bot-4", conversation_id=lambda messages, chat: f"chat-{chat}")
        def reply(messages: list[Any], chat: int) -> Any:
            """Answer."""
            return answer

        assert reply(ASKED, 17) == answer

        assert client.flush(10)
        (stored,) = place.responses().values()
        assert stored.output == {"role": "assistant", "content": "At nine."}
        assert (stored.model, stored.conversation.client_id) == ("bot-4", "chat-17")
        assert stored.latency_seconds is not None
        assert (reply.__name__, reply.__doc__) == ("reply", "Answer.")

    def test_a_completion_says_more(self, place, client):
        completion = {
            "id": "chatcmpl-" + "b" * 20,
            "model": "bot-4",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "At nine."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        }
        client.captured()(lambda messages: completion)(ASKED)

        assert client.flush(10)
        stored = place.responses()[completion["id"]]
        assert (stored.model, stored.input_tokens, stored.output_tokens) == ("bot-4", 7, 3)

    def test_methods_and_named_messages(self, place, client):
        class Bot:
            @client.captured()
            def reply(self, messages: str) -> str:
                return "1"

            @client.captured()
            def answer(self, chat: int, *, messages: str) -> str:
                return "2"

        assert (Bot().reply("One"), Bot().answer(1, messages="Two")) == ("1", "2")

        assert client.flush(10)
        assert {(one.input["messages"][0]["content"], one.output["content"]) for one in place.responses().values()} == {
            ("One", "1"),
            ("Two", "2"),
        }

    def test_generators_pass_through_as_they_come(self, place, client):
        heard = []

        @client.captured()
        def words(messages: Any) -> Iterator[str]:
            heard.append((yield "At "))
            yield "nine."
            return 7

        source = words(ASKED)
        assert next(source) == "At "
        assert source.send("go on") == "nine."
        with pytest.raises(StopIteration) as end:
            next(source)

        assert (heard, end.value.value) == (["go on"], 7)
        assert client.flush(10)
        (stored,) = place.responses().values()
        assert (stored.output["content"], stored.details) == ("At nine.", {})

    @pytest.mark.parametrize("chunks", [["At ", "nine."], CHUNKS])
    def test_a_generator_that_is_left_is_partial(self, place, client, chunks):
        @client.captured()
        def words(messages: Any) -> Iterator[Any]:
            yield from chunks

        for _ in words(ASKED):
            break

        assert client.flush(10)
        (stored,) = place.responses().values()
        assert stored.output["content"] == "At "
        assert (stored.details, stored.may_train) == ({"is_partial": True}, "no")

    def test_async_functions_and_generators(self, place, client):
        @client.captured()
        async def reply(messages: Any) -> str:
            return "whole"

        @client.captured()
        async def words(messages: Any) -> AsyncIterator[Any]:
            for chunk in [*CHUNKS, END]:
                yield chunk

        async def ask() -> list[Any]:
            assert await reply(ASKED) == "whole"
            return [chunk async for chunk in words(ASKED)]

        assert inspect.iscoroutinefunction(reply)
        assert run(ask()) == [*CHUNKS, END]
        assert client.flush(10)
        stored = place.responses()
        assert stored.pop(CHUNKS[0]["id"]).output["content"] == "At nine."
        assert [one.output["content"] for one in stored.values()] == ["whole"]

    def test_a_cancelled_task_leaves_what_came(self, place, client):
        @client.captured()
        async def words(messages: Any) -> AsyncIterator[str]:
            yield "At "
            await asyncio.sleep(60)
            yield "nine."

        async def ask() -> None:
            async def read() -> None:
                async for _ in words(ASKED):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(ask())
        assert client.flush(10)
        (stored,) = place.responses().values()
        assert (stored.output["content"], stored.details) == ("At ", {"is_partial": True})

    def test_what_a_function_raises_is_raised_and_not_captured(self, client):
        @client.captured()
        def fail(messages: Any) -> str:
            raise KeyError("mine")

        @client.captured()
        def half(messages: Any) -> Iterator[str]:
            raise KeyError("mine")
            yield

        with pytest.raises(KeyError):
            fail(ASKED)
        with pytest.raises(KeyError):
            list(half(ASKED))
        with pytest.raises(TypeError):
            fail()

        client.close()
        assert client.statistics().stored_count == 0

    def test_noted_fields_hold_for_a_stream_that_ends_later(self, place, client):
        @client.captured()
        def words(messages: Any) -> Iterator[str]:
            yield "1"

        with client.noting(conversation_id="chat-17"):
            source = words(ASKED)
        list(source)

        assert client.flush(10)
        (stored,) = place.responses().values()
        assert stored.conversation.client_id == "chat-17"


@pytest.fixture
def client(make_client):
    return make_client()
