import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hitl.core.canonical import canonical_json, content_hash

WHOLE_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
NUMBERS = WHOLE_NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e-5, 1e16)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


class TestCanonicalJson:
    @given(JSON)
    def test_it_spells_every_value_as_the_reference_does(self, value):
        assert canonical_json(value) == rfc8785.dumps(value)

    def test_it_spells_equal_numbers_alike_and_sorts_keys(self):
        assert canonical_json({"b": 1.0, "a": 0.5}) == canonical_json({"a": 0.5, "b": 1}) == b'{"a":0.5,"b":1}'

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {"a": ["\ud800"]}])
    def test_it_refuses_what_json_cannot_say(self, value):
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical_json(value)


class TestContentHash:
    def test_it_is_the_same_for_equal_content(self):
        assert content_hash({"a": 1, "b": "é"}) == content_hash({"b": "é", "a": 1})
        assert content_hash({"a": 1}) != content_hash({"a": "1"})
