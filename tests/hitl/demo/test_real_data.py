import hashlib
from collections import Counter
from importlib.resources import files
from itertools import chain, pairwise
from typing import Any

import orjson
import pytest

from hitl.capture.rows import FeedbackRow, ResponseRow, read_row
from hitl.demo import real_data

RESPONSES = [
    real_data.support_responses,
    real_data.tool_responses,
    real_data.model_responses,
    real_data.rated_responses,
]
FEEDBACK = [real_data.support_feedback, real_data.tool_feedback, real_data.rated_feedback]


class TestResponses:
    @pytest.mark.parametrize(
        ("responses", "number"),
        [
            (real_data.support_responses, 1281),
            (real_data.tool_responses, 266),
            (real_data.model_responses, 765),
            (real_data.rated_responses, 120),
        ],
    )
    def test_it_yields_rows_that_capture_takes(self, responses: Any, number: int) -> None:
        rows = [read_row(ResponseRow, row) for row in responses()]

        assert len(rows) == number

    def test_it_gives_every_response_an_id_of_its_own(self) -> None:
        ids = [row["client_id"] for responses in RESPONSES for row in responses()]

        assert len(set(ids)) == len(ids)

    @pytest.mark.parametrize("responses", [real_data.support_responses, real_data.tool_responses])
    def test_it_keeps_the_order_of_time_and_names_no_model_for_people(self, responses: Any) -> None:
        rows = list(responses())

        assert all(earlier["created_at"] <= later["created_at"] for earlier, later in pairwise(rows))
        assert rows[0]["created_at"].startswith("2020-05-")
        assert all(row["model"] is None for row in rows)

    def test_it_tells_no_conversation_twice(self) -> None:
        support = {row["conversation_id"] for row in real_data.support_responses()}
        with_tools = [row["conversation_id"] for row in real_data.tool_responses()]

        assert len(support) == 200
        assert support.isdisjoint(with_tools)
        assert len(set(with_tools)) == len(with_tools)

    def test_it_yields_five_models_for_each_prompt(self) -> None:
        rows = list(real_data.model_responses())
        prompts = {row["metadata"]["prompt_id"] for row in rows}

        assert {len([row for row in rows if row["metadata"]["prompt_id"] == prompt]) for prompt in prompts} == {5}
        assert len({row["model"] for row in rows}) == 5


class TestToolCalls:
    def test_it_answers_every_call_with_its_result(self) -> None:
        with_calls = (row for row in real_data.rated_responses() if "tool_calls" in str(row["input"]))
        for row in chain(real_data.tool_responses(), with_calls):
            messages = row["input"]["messages"]
            calls = [call["id"] for message in messages for call in message.get("tool_calls", [])]
            results = [message["tool_call_id"] for message in messages if message["role"] == "tool"]

            assert calls == results != []

    def test_it_ends_in_the_answer_to_the_last_result(self) -> None:
        assert all(row["input"]["messages"][-1]["role"] == "tool" for row in real_data.tool_responses())

    def test_it_writes_arguments_and_results_as_json(self) -> None:
        row = next(row for row in real_data.tool_responses() if row["conversation_id"] == "star-4863")
        call, result = row["input"]["messages"][-2:]

        assert call["tool_calls"][0]["function"] == {
            "name": "plane_book",
            "arguments": '{"id":146,"CustomerName":"Mark","RequestType":"Book"}',
        }
        assert orjson.loads(result["content"]) == {
            "APIName": "plane_book",
            "ReservationStatus": "Reservation Failed",
            "id": 146,
        }
        assert row["output"]["content"] == "The flight is available. Should I reserve it for you?"

    def test_it_keeps_all_values_of_a_field_that_was_filled_twice(self) -> None:
        given = [
            {"Name": '"Dr. Morgan"'},
            {"Day": "api.is_at_most(5)"},
            {"Name": '"Dr. Alexis"'},
            {"Name": '"Dr. Morgan"'},
        ]

        assert real_data._arguments(given) == {"Name": ["Dr. Morgan", "Dr. Alexis"], "Day": "api.is_at_most(5)"}


class TestFeedback:
    @pytest.mark.parametrize("feedback", FEEDBACK)
    def test_it_yields_rows_that_capture_takes(self, feedback: Any) -> None:
        assert all(read_row(FeedbackRow, row) for row in feedback())

    @pytest.mark.parametrize(
        ("feedback", "responses"),
        [
            (real_data.support_feedback, real_data.support_responses),
            (real_data.tool_feedback, real_data.tool_responses),
        ],
    )
    def test_it_says_each_thing_once_about_conversations_that_are_there(self, feedback: Any, responses: Any) -> None:
        said = [(row["conversation_id"], row["kind"]) for row in feedback()]

        assert len(set(said)) == len(said)
        assert {conversation for conversation, _ in said} <= {row["conversation_id"] for row in responses()}
        assert {row["value"] for row in feedback()} == {True, False}

    def test_it_gives_each_rated_answer_one_thumb(self) -> None:
        thumbs = [(row["client_id"], row["value"]) for row in real_data.rated_feedback()]

        assert [client_id for client_id, _ in thumbs] == [row["client_id"] for row in real_data.rated_responses()]
        assert Counter(value for _, value in thumbs) == {True: 60, False: 60}


class TestFiles:
    def test_it_ships_each_file_as_the_readme_describes_it(self) -> None:
        folder = files("hitl.demo") / "data"
        readme = (folder / "README.md").read_text()

        for name in ("production_stream", "star_dialogues", "model_outputs", "rated_answers"):
            digest = hashlib.sha256((folder / f"{name}.jsonl.gz").read_bytes()).hexdigest()
            assert f"{digest[:8]}…{digest[-7:]}" in readme

    def test_it_ships_the_licences_with_the_data(self) -> None:
        licences = {path.name for path in (files("hitl.demo") / "data" / "licenses").iterdir()}

        assert licences == {"Apache-2.0.txt", "CC-BY-4.0.txt", "RasaHQ+STAR.txt"}
