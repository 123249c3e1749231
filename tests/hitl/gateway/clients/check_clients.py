"""Applications on LangChain and LiteLLM; nothing but address and key was changed. Run by scripts/test-clients."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hitl.live import holding
from tests.hitl.gateway.conftest import SAID
from tests.hitl.gateway.supervised import ASKED, WAIT_SECONDS

FOLDER = Path(os.environ["CLIENTS"])
EDITED = {"role": "assistant", "content": "We open at nine."}
TOOL = {
    "type": "function",
    "function": {
        "name": "opening_hours",
        "description": "When it is open.",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
    },
}
Ask = Callable[..., Future[dict[str, Any]]]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
class TestObserve:
    def test_an_answer_comes_and_is_captured_with_who_and_what_about(self, place, ask, stream):
        answer = ask(stream=stream).result(WAIT_SECONDS * 2)

        assert answer["text"] == SAID
        assert not stream or answer["pieces"] > 2
        (stored,) = place.recorded(1)
        assert stored.output["content"] == SAID
        assert stored.conversation.client_id == "c-1"
        assert stored.conversation.end_user is not None

    def test_calls_of_tools_come_whole(self, place, ask, stream):
        answer = ask(model="tools", tools=[TOOL], stream=stream).result(WAIT_SECONDS * 2)

        (stored,) = place.recorded(1)
        captured = [call["function"] for call in stored.output["tool_calls"]]
        assert captured
        assert answer["tool_calls"] == [
            {"name": function["name"], "arguments": json.loads(function["arguments"])} for function in captured
        ]

    def test_what_the_upstream_refuses_is_the_clients_own_error(self, ask, stream):
        refusal = ask(model="error-429", stream=stream).result(WAIT_SECONDS * 2)

        assert refusal["status"] == 429
        assert "RateLimitError" in refusal["error"]

    def test_a_wrong_key_is_the_clients_own_error(self, ask, stream):
        refusal = ask(api_key="hitl_nobody", stream=stream).result(WAIT_SECONDS * 2)

        assert refusal["status"] == 401
        assert "AuthenticationError" in refusal["error"]

    def test_a_conversation_may_be_named_in_the_metadata(self, place, ask, stream):
        ask(headers={}, metadata={"conversation_id": "c-2"}, stream=stream).result(WAIT_SECONDS * 2)

        (stored,) = place.recorded(1)
        assert stored.conversation.client_id == "c-2"


class TestBrokenStream:
    def test_an_error_in_its_middle_is_an_error(self, ask):
        told = ask(model="fails", stream=True).result(WAIT_SECONDS * 2)

        assert "fell over" in told["says"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
class TestGate:
    def test_an_edited_answer_is_what_the_application_gets(self, desk, ask, stream):
        desk.hold_all()
        asked = ask(stream=stream)
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))

        assert asked.result(WAIT_SECONDS)["text"] == EDITED["content"]

    def test_nobody_coming_is_an_error_that_says_so(self, desk, ask, stream):
        desk.hold_all(deadline_seconds=1, when_nobody="refuse")

        told = ask(stream=stream).result(WAIT_SECONDS * 2)

        assert "nobody came" in told["says"]


class TestRetries:
    def test_a_client_that_gives_up_and_tries_again_gets_what_was_decided_meanwhile(self, desk, ask):
        desk.hold_all()
        asked = ask(retries=2, timeout_seconds=4)
        desk.until(lambda: desk.holds())
        time.sleep(5.0)  # it has given up once by now
        desk.decide(lambda db, talk, hold, by: holding.edit(db, talk, hold, by, EDITED, read_to=talk.last_number))

        assert asked.result(WAIT_SECONDS)["text"] == EDITED["content"]
        assert len(desk.drafts()) == 1
        assert desk.kinds().count("user_message") == 1


@pytest.fixture(scope="module", params=["langchain", "litellm"])
def program(request) -> Iterator[subprocess.Popen[str]]:
    """A process of the client's own environment, which makes one call after another."""
    command = [FOLDER / request.param / "bin" / "python", Path(__file__).with_name(f"{request.param}.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def ask(program, place) -> Iterator[Ask]:
    """Makes a call: ask(stream=True).result()."""
    client = place.client()

    def make(**changes: Any) -> Future[dict[str, Any]]:
        call = {
            "base_url": str(client.base_url),
            "api_key": client.api_key,
            "model": "echo",
            "messages": ASKED,
            "stream": False,
            "tools": [],
            "user": "user-7",
            "metadata": {"shop": "north"},
            "headers": {"X-HITL-Conversation": "c-1"},
            "retries": 0,
            "timeout_seconds": 60,
            **changes,
        }
        program.stdin.write(json.dumps(call) + "\n")
        program.stdin.flush()
        return thread.submit(lambda: json.loads(program.stdout.readline()))

    with ThreadPoolExecutor(1) as thread:
        yield make
