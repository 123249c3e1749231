"""Expressions: what is refused when they are saved, and what they say."""

import pytest

from hitl.core import expressions
from hitl.core.expressions import ExpressionUnacceptable, Name, Values, read_expression

NAMES = {name: Name("", "", "") for name in ("answer", "messages", "signals", "model")}
SAID = {
    "answer": "I am sorry, no refunds.",
    "messages": [{"role": "user", "text": "Money back!"}, {"role": "assistant", "text": "Why?"}],
    "signals": {"refusal": 1},
    "model": "small",
}


class TestReadExpression:
    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("answer &&", "Character 10: it ends too early."),
            ("model == 'a' && )", "Character 17: “)” does not fit here."),
            ('model ==\n"abc', 'Line 2, character 1: “"abc” cannot be read.'),
            ("modle == 'a'", "Character 1: there is no name “modle”. There are: answer, messages, model, signals."),
            ("exec(answer)", "Character 1: there is no function “exec”."),
            ("answer.matches('(')", "Character 16: not a pattern: unclosed group."),
            ("answer.matches(model)", "Character 16: matches takes one pattern in quotes."),
            (r"answer.matches('\\p{L}{1,200}')", "Character 16: this pattern is too large"),
            ("model{a: 1}", "Character 6: “{” does not fit here."),
            ("(" * 200 + "true" + ")" * 200, "nested too deeply"),
            (" \n", "Write an expression"),
        ],
    )
    def test_it_names_what_is_wrong_and_where(self, source, says):
        with pytest.raises(ExpressionUnacceptable) as refusal:
            read_expression(source, NAMES)

        assert says in refusal.value.message

    def test_it_refuses_more_than_a_thousand_bytes(self):
        fits = "model != '" + "é" * 494 + "' "
        read_expression(fits, NAMES)

        with pytest.raises(ExpressionUnacceptable, match="at most 1,000 bytes"):
            read_expression(fits + " ", NAMES)

    @pytest.mark.parametrize(
        "source",
        [
            "messages.all(m, messages.exists(n, n.text == m.text))",
            "messages . all ( m, true && [1].map(x, x).size() > 0)",
            "[1].filter(i, [2].exists_one(j, j > i)).size() > 0",
            "messages.all(m, // a remark\n (messages.map(n, n.role)).size() > 0)",
        ],
    )
    def test_it_refuses_a_walk_over_a_list_inside_another(self, source):
        with pytest.raises(ExpressionUnacceptable, match="inside another walk"):
            read_expression(source, NAMES)

    @pytest.mark.parametrize(
        "source",
        [
            "messages.all(m, m.text != '') && messages.exists(m, m.role == 'user')",
            "messages.filter(m, m.role == 'user').map(m, m.text).exists(t, t.contains('back'))",
            "model != 'messages.all(m, messages.all('",
            "messages.all(m, m.text != 'x.all(y, z)')",
        ],
    )
    def test_it_takes_walks_one_after_the_other_and_words_in_quotes(self, source):
        assert read_expression(source, NAMES).about(values()).fits

    def test_it_knows_what_an_expression_speaks_of(self):
        read = read_expression("signals.refusal > 0 && messages.exists(m, m.role == model)", NAMES)

        assert read.names == {"signals", "messages", "model"}
        assert read.members["signals"] == {"refusal"}


class TestExpression:
    @pytest.mark.parametrize(
        ("source", "fits"),
        [
            ("signals.refusal > 0", True),
            ("signals.refusal > 0.5 && model in ['small', 'large']", True),
            ("answer.matches('(?i)REFUND')", True),
            ("has(signals.other) && signals.other > 0", False),
            ("signals.other > 0 || model == 'small'", True),
        ],
    )
    def test_it_says_whether_it_fits(self, source, fits):
        outcome = read_expression(source, NAMES).about(values())

        assert (outcome.fits, outcome.fault, outcome.is_overrun) == (fits, None, False)

    def test_a_key_that_is_missing_does_not_fit(self):
        outcome = read_expression("signals.other > 0", NAMES).about(values())

        assert (outcome.fits, outcome.is_missing, outcome.fault) == (False, True, "There is no 'other'.")

    @pytest.mark.parametrize(
        ("source", "fault"),
        [
            ("size(answer)", "It says neither true nor false: 23."),
            ("model > 3", "No such overload: the operation is not defined for the given operand types."),
            ("messages[7].text == ''", "index out of bounds: 7."),
        ],
    )
    def test_what_cannot_be_worked_out_does_not_fit(self, source, fault):
        outcome = read_expression(source, NAMES).about(values())

        assert (outcome.fits, outcome.is_missing, outcome.fault) == (False, False, fault)

    def test_it_works_out_only_what_it_speaks_of_and_that_once(self):
        asked = []
        made = Values({name: lambda name=name: asked.append(name) or SAID[name] for name in SAID})

        for source in ("signals.refusal > 0", "signals.refusal > 1", "model == ''"):
            read_expression(source, NAMES).about(made)

        assert asked == ["signals", "model"]

    def test_it_tells_what_takes_too_long(self, monkeypatch):
        read = read_expression("messages.all(m, m.text.matches('(?i)a|b|c'))", NAMES)
        long = Values({"messages": lambda: [{"text": "abc " * 500}] * 2_000})

        assert read.about(long).is_overrun
        assert expressions.MAX_CPU_SECONDS <= 0.05


def values():
    return Values({name: lambda name=name: SAID[name] for name in SAID})
