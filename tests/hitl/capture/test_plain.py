import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.capture.errors import RowInvalid
from hitl.capture.plain import plain_rows
from hitl.capture.rows import ResponseRow, read_row
from hitl.demo import real_data
from tests.hitl.capture.rows import JSON, NEARLY_ROWS, TEXT, response_row

ODD = [None, True, False, 0, -1, 1, 0.0, -0.0, 1.5, 2**31, 2**53, 1e300, float("nan"), float("inf"), "", "a", "a\0"]
ODD += ["\ud800", "x" * 255, "x" * 256, "é" * 255, [], {}, [1], ["a"], {"a": 1}, {"a": 0.5}, {"a": float("nan")}]
ODD += [{"a": "\ud800"}, {"\0": 1.0}, {"x" * 256: 1.0}, {"a": [2**60]}, {"a": "x" * 70_000}, "2026-11-20T19:12:00Z"]
ODD += ["2026-11-20", "2026-11-20T19:12:00+01:00", "2026-11-20\00019:12:00Z", {"role": "assistant", "content": "a"}]
ODD += [{"messages": []}, {"messages": [{"role": "user", "content": "a\0"}]}, {"messages": None}, {"tools": []}]
ODD += [{"messages": [{"role": "user", "content": "é"}], "tools": tools} for tools in (None, [], {}, "", 0, [{}])]
ODD += [{"messages": [{"role": "user", "content": "\ud800"}]}, {"messages": [{"role": "tool", "content": "a"}]}]
ODD += [{str(n): float(n) for n in range(257)}, {"a": {"b": [None, {"c": "d"}]}}, b"a", 10**400]


class TestPlainRows:
    @pytest.mark.parametrize("field", ResponseRow.model_fields)
    def test_it_agrees_with_the_full_check_on_every_odd_value(self, field):
        for value in ODD:
            ensure_agreement(response_row(**{field: value}))

    @settings(max_examples=500, deadline=None)
    @given(row=NEARLY_ROWS | JSON, change=st.dictionaries(st.sampled_from([*ResponseRow.model_fields]), JSON | TEXT))
    def test_it_agrees_with_the_full_check_on_any_row(self, row, change):
        ensure_agreement({**row, **change} if isinstance(row, dict) else row)

    def test_real_rows_are_plain_where_nothing_but_words_was_said(self):
        rows = [*real_data.support_responses(), *real_data.tool_responses(), *real_data.model_responses()]

        plain = [ensure_agreement(row) for row in rows]

        assert sum(plain) > len(rows) / 2

    def test_an_unknown_field_is_left_to_the_full_check(self):
        assert plain_rows([response_row(extra=1)]) == [None]

    @settings(max_examples=200, deadline=None)
    @given(rows=st.lists(NEARLY_ROWS | JSON, min_size=2, max_size=6))
    def test_a_row_of_a_batch_says_what_it_says_alone(self, rows):
        rows.append(response_row())
        as_sent = copy.deepcopy(rows)

        said = plain_rows(rows)

        assert repr(said) == repr([plain_rows([row])[0] for row in rows])
        assert repr(rows) == repr(as_sent)  # and is left as it came
        assert said[-1] is not None

    def test_it_agrees_with_the_full_check_where_odd_values_stand_among_others(self):
        for field in ResponseRow.model_fields:
            rows = [response_row(), *(response_row(**{field: value}) for value in ODD), response_row()]
            assert repr(plain_rows(rows)) == repr([plain_rows([row])[0] for row in rows])


def ensure_agreement(raw) -> bool:
    """Whether a row is plain; if so it must say what the full check finds in it."""
    (said,) = plain_rows([copy.deepcopy(raw)])
    if said is None:
        return False
    try:
        row = vars(read_row(ResponseRow, raw))
    except RowInvalid as problem:
        raise AssertionError("a row that must be refused was taken for plain") from problem
    left_out = {name: value for name, value in row.items() if name not in said}
    assert repr({name: said[name] for name in row if name in said}) == repr({n: v for n, v in row.items() if n in said})
    assert all(value in (None, {}, [], "unknown") for value in left_out.values())
    return True
