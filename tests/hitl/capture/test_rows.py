from datetime import UTC, datetime
from typing import Any

import pytest

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import MAX_TEXT_CHARACTERS, read_json
from hitl.capture.rows import FeedbackRow, ResponseRow, read_row
from tests.hitl.capture.rows import response_row


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class TestResponseRow:
    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"client_id": ""}, "/client_id"),
            ({"client_id": "x" * 256}, "/client_id"),
            ({"client_id": 7}, "/client_id"),
            ({"colour": "red"}, "/colour"),
            ({"input_tokens": -1}, "/input_tokens"),
            ({"input_tokens": True}, "/input_tokens"),
            ({"input_tokens": 2**31}, "/input_tokens"),
            ({"latency_seconds": "fast"}, "/latency_seconds"),
            ({"cost_usd": -0.1}, "/cost_usd"),
            ({"signals": {"risk": True}}, "/signals/risk"),
            ({"signals": {"risk": float("nan")}}, "/signals/risk"),
            ({"context": [{"title": "FAQ"}]}, "/context/0/text"),
            ({"may_train": "maybe"}, "/may_train"),
            ({"created_at": 1_600_000_000}, "/created_at"),
            ({"created_at": "yesterday"}, "/created_at"),
            ({"created_at": "2026-11-20T19:12:00"}, "/created_at"),
            ({"created_at": "0001-01-01T00:00:00+14:00"}, "/created_at"),
            ({"created_at": "9999-12-31T23:59:59-14:00"}, "/created_at"),
            ({"metadata": {"a": ["b\0"]}}, "/metadata/a/0"),
            ({"metadata": {"a/b~": "\ud800"}}, "/metadata/a~1b~0"),
            ({"metadata": {"nul\0": 1}}, "/metadata"),
            ({"metadata": {"n": 2**53}}, "/metadata/n"),
            ({"metadata": {"n": -(10**400)}}, "/metadata/n"),  # beyond the range of a float, too
            ({"metadata": {"n": 1e300}}, "/metadata/n"),
            ({"metadata": {"n": float("-inf")}}, "/metadata/n"),
            ({"metadata": {"long": "x" * 70_000}}, "/metadata"),
            ({"metadata": {"deep": nested(31)}}, "/metadata/deep" + "/0" * 30),
            ({"said": "x" * (MAX_TEXT_CHARACTERS + 1)}, "/output/content"),
            ({"metadata": {str(n): n for n in range(50_001)}}, ""),
        ],
    )
    def test_it_is_refused_with_the_place(self, changes, param):
        with pytest.raises(RowInvalid) as refused:
            read_row(ResponseRow, response_row(**changes), "/responses/3")

        assert refused.value.param == f"/responses/3{param}"
        assert refused.value.message.endswith(".")

    @pytest.mark.parametrize("row", [None, 5, "row", [], [{}], {}])
    def test_what_is_no_row_is_refused(self, row):
        with pytest.raises(RowInvalid):
            read_row(ResponseRow, row)

    def test_null_is_like_absent(self):
        nulls = dict.fromkeys(set(ResponseRow.model_fields) - {"client_id", "input", "output"})

        assert read_row(ResponseRow, response_row(**nulls)) == read_row(ResponseRow, response_row())

    def test_times_are_in_utc(self):
        row = read_row(ResponseRow, response_row(created_at="2026-11-20T20:12:00.5+01:00"))

        assert row.created_at == datetime(2026, 11, 20, 19, 12, 0, 500_000, tzinfo=UTC)


class TestFeedbackRow:
    @pytest.mark.parametrize(
        ("row", "param"),
        [
            ({"kind": "thumbs", "value": True}, ""),
            ({"kind": "thumbs", "value": True, "client_id": "a", "conversation_id": "b"}, ""),
            ({"kind": "thumbs", "value": 1, "client_id": "a"}, "/value"),
            ({"kind": "stars", "value": 0, "client_id": "a"}, "/value"),
            ({"kind": "stars", "value": 4.5, "client_id": "a"}, "/value"),
            ({"kind": "stars", "value": True, "client_id": "a"}, "/value"),
            ({"kind": "mood", "value": ["good"], "client_id": "a"}, "/value"),
            ({"kind": "mood", "value": "x" * 1_001, "client_id": "a"}, "/value"),
            ({"kind": "mood", "client_id": "a"}, "/value"),
            ({"kind": "", "value": 1, "client_id": "a"}, "/kind"),
            ({"kind": "mood", "value": 1, "response": "r-1"}, "/response"),
            ({"value": 1, "client_id": "a"}, "/kind"),
        ],
    )
    def test_it_is_refused_with_the_place(self, row, param):
        with pytest.raises(RowInvalid) as refused:
            read_row(FeedbackRow, row)

        assert refused.value.param == param

    @pytest.mark.parametrize("value", [True, False, 3, 2.5, "good", None])
    def test_a_word_of_ones_own_takes_plain_values(self, value):
        row = read_row(FeedbackRow, {"kind": "mood", "value": value, "comment": "so so", "client_id": "a"})

        assert row.value == value
        assert type(row.value) is type(value)


class TestReadJson:
    def test_it_lets_through_what_a_row_will_be_refused_for(self):
        assert read_json(rb'["\ud800"]') == ["\ud800"]
        assert read_json(b"[Infinity]") == [float("inf")]

    @pytest.mark.parametrize("text", [b"", b"{", b"nope", b"\xff", b"[" * 100_000, b"[" + b"1" * 5_000 + b"]x"])
    def test_what_is_not_json_is_a_value_error(self, text):
        with pytest.raises(ValueError):  # noqa: PT011  any of its kinds
            read_json(text)
