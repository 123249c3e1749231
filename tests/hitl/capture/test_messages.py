import copy
from typing import Any

import pytest

from hitl.capture.errors import RowInvalid
from hitl.capture.rows import ResponseRow, read_row
from tests.hitl.capture.rows import response_row

CALL = {"id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"q" :  "boots",}'}}
LONG_CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Use the tool."},
    {"role": "user", "name": "kim", "content": [{"type": "text", "text": "This one?", "cache_control": {"type": "x"}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/boots.png"}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "They want boots."},
    {"role": "tool", "tool_call_id": "call-1", "content": "none"},
    {"role": "assistant", "content": "", "refusal": "I cannot say."},
]


class TestMessages:
    def test_they_are_kept_as_they_came(self):
        row = read_row(ResponseRow, response_row(input={"messages": copy.deepcopy(LONG_CONVERSATION), "tools": [CALL]}))

        assert row.input == {"messages": LONG_CONVERSATION, "tools": [CALL]}

    def test_arguments_of_a_tool_call_stay_byte_for_byte_even_if_broken(self):
        row = read_row(ResponseRow, response_row(output={"role": "assistant", "tool_calls": [CALL]}))

        assert row.output["tool_calls"][0]["function"]["arguments"] == '{"q" :  "boots",}'
        assert row.output["content"] is None

    def test_keys_that_say_nothing_are_left_out(self):
        plain = response_row(output={"role": "assistant", "content": "Hi"})
        dumped = response_row(
            output={
                "role": "assistant",
                "content": "Hi",
                "tool_calls": None,
                "refusal": None,
                "audio": None,
                "annotations": [],
            }
        )

        assert read_row(ResponseRow, dumped) == read_row(ResponseRow, plain)

    def test_an_input_without_tools_has_an_empty_list(self):
        assert read_row(ResponseRow, response_row()).input["tools"] == []

    @pytest.mark.parametrize(
        ("message", "param", "told"),
        [
            ({"role": "bot", "content": "Hi"}, "/role", "role"),
            ({"content": "Hi"}, "/role", "role"),
            ({"role": ["user"], "content": "Hi"}, "/role", "role"),
            ({"role": "user"}, "/content", "required"),
            ({"role": "user", "content": None}, "/content", "text or a list of parts"),
            ({"role": "user", "content": []}, "/content", "at least 1"),
            ({"role": "user", "content": 5}, "/content", "text or a list of parts"),
            ({"role": "user", "content": [{"type": "text"}]}, "/content/0/text", "required"),
            ({"role": "user", "content": [{"text": "Hi"}]}, "/content/0/type", "required"),
            ({"role": "user", "content": ["Hi"]}, "/content/0", "type"),
            ({"role": "user", "content": "Hi", "mood": "good"}, "/mood", "`mood` is not a known key"),
            ({"role": "tool", "content": "none"}, "/tool_call_id", "required"),
            ({"role": "assistant"}, "", "content, tool_calls or a refusal"),
            ({"role": "assistant", "content": None, "tool_calls": []}, "", "content, tool_calls or a refusal"),
            (
                {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "find", "arguments": {"q": 1}}}]},
                "/tool_calls/0/function/arguments",
                "string",
            ),
            ("Hi", "", "object"),
        ],
    )
    def test_a_message_that_is_none_is_refused_by_name(self, message, param, told):
        with pytest.raises(RowInvalid, match=told) as refused:
            read_row(ResponseRow, response_row(input={"messages": [LONG_CONVERSATION[0], message]}))

        assert refused.value.param == f"/input/messages/1{param}"

    @pytest.mark.parametrize("messages", [[], None, "Hi", [LONG_CONVERSATION[0]] * 2_001])
    def test_an_input_needs_one_to_two_thousand_messages(self, messages):
        with pytest.raises(RowInvalid) as refused:
            read_row(ResponseRow, response_row(input={"messages": messages}))

        assert refused.value.param == "/input/messages"

    def test_an_output_is_an_assistants(self):
        with pytest.raises(RowInvalid) as refused:
            read_row(ResponseRow, response_row(output={"role": "user", "content": "Hi"}))

        assert refused.value.param == "/output/role"
