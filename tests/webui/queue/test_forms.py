import pytest

from hitl.queue.rules import Terms
from webui.queue.forms import RuleForm


class TestFeedbackValue:
    @pytest.mark.parametrize(
        ("typed", "value"),
        [
            ("true", True),
            ("4", 4.0),
            ('"4"', "4"),
            ("wrong answer", "wrong answer"),
            ("", None),
            # What JSON cannot keep would come back as "any value".
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            ("1e999", "1e999"),
            ("9" * 400, "9" * 400),
            ("[" * 100_000, "[" * 100_000),
        ],
    )
    def test_it_is_what_was_meant(self, typed, value):
        terms = rule(feedback_value=typed).terms()

        assert terms.condition.value == value
        assert type(terms.condition.value) is type(value)
        assert shown_again(terms).terms() == terms


def rule(**typed):
    return RuleForm.read({**RuleForm.empty().values, "whom": "feedback", **typed})


def shown_again(terms: Terms):
    return RuleForm.read(RuleForm.of("Stars", terms).values)
