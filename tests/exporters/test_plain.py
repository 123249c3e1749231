"""The quick look at a value finds the same as the slow one that says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.errors import RowRefused
from exporters.plain import DEEPEST, ensure_each_plain, ensure_plain, is_plain

# With what files cannot hold: NUL, halves of surrogate pairs, numbers without end, things that are no JSON.
odd_text = st.text(st.characters(codec=None), max_size=6) | st.sampled_from(["\0", "\ud800", "a\0b", "ä", "🙂"])
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | odd_text
    | st.sampled_from([b"bytes", (1,), 2**63, -(2**63), 2**63 - 1])
)
values = st.recursive(
    leaves, lambda below: st.lists(below, max_size=4) | st.dictionaries(odd_text | st.integers(), below, max_size=4)
)


def refusal(check, value):
    try:
        check(value)
    except RowRefused as refused:
        return str(refused)
    return None


@given(values)
def test_both_looks_agree(value):
    slow = refusal(lambda value: ensure_each_plain(value, "the row", 0), value)

    assert is_plain(value) == (slow is None)
    assert refusal(ensure_plain, value) == slow


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST, DEEPEST + 1])
def test_both_looks_agree_on_how_deep_is_too_deep(depth):
    value: list = []
    for _ in range(depth):
        value = [value]

    assert is_plain(value) == (refusal(lambda value: ensure_each_plain(value, "the row", 0), value) is None)
