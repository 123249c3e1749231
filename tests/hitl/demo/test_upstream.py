from collections.abc import Iterator

import openai
import pytest
import requests
from openai import OpenAI

from hitl.demo import bot
from hitl.demo.real_data import star_exchanges
from hitl.demo.upstream import HUGE_BYTES
from tests.machine.openai_server import OpenAIServer, openai_server

ASKED = [{"role": "user", "content": "Can I view that apartment on Wednesday?"}]


class TestBot:
    def test_it_answers_what_a_person_once_answered_to_words_like_these(self):
        answer = bot.bot().answer(ASKED)

        exchange = next(found for found in star_exchanges() if found[0] == answer.source and found[2] == answer.text)
        assert "apartment" in exchange[1].lower()

    def test_it_does_not_repeat_itself_where_it_knows_something_else(self):
        first = bot.bot().answer(ASKED).text
        again = bot.bot().answer([*ASKED, {"role": "assistant", "content": first}, *ASKED]).text

        assert again != first

    def test_it_says_so_when_it_knows_nothing(self):
        assert bot.bot().answer([{"role": "user", "content": "xyzzy"}]) == (bot.NOTHING_LIKE_IT, None)


class TestUpstream:
    def test_the_openai_client_talks_with_the_bot(self, upstream, client):
        said = client.chat.completions.create(model=bot.NAME, messages=ASKED).choices[0].message.content
        stream = client.chat.completions.create(model=bot.NAME, messages=ASKED, stream=True)

        assert said == bot.bot().answer(ASKED).text
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == said

    def test_it_labels_the_bot(self, client):
        models = {model.id: model.owned_by for model in client.models.list()}

        assert models[bot.NAME] == bot.LABEL

    def test_it_tells_how_long_to_wait(self, client):
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="busy-3", messages=ASKED)

        assert refused.value.response.headers["Retry-After"] == "3"

    def test_it_breaks_in_every_way(self, upstream):
        def ask(model, *, timeout=60, **options):
            body = {"model": model, "messages": ASKED, **options}
            headers = {"Authorization": "Bearer any"}
            return requests.post(f"{upstream.address}/chat/completions", json=body, headers=headers, timeout=timeout)

        assert ask("error-500").status_code == 500
        assert ask("garbage").headers["Content-Type"] == "text/html"
        assert len(ask("huge").content) > HUGE_BYTES
        assert sorted([ask("flaky").status_code, ask("flaky").status_code]) == [200, 500]
        with pytest.raises(requests.exceptions.JSONDecodeError):
            ask("invalid-json").json()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask("breaks", stream=True)
        with pytest.raises(requests.exceptions.ConnectionError):
            ask("refuses")
        with pytest.raises(requests.exceptions.ReadTimeout):
            ask("hangs", timeout=1)


@pytest.fixture(scope="module")
def upstream() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def client(upstream) -> OpenAI:
    return OpenAI(base_url=upstream.address, api_key="any", max_retries=0)
