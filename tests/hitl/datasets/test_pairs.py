"""Pairs: judgements about two answers become one preferred and one refused answer, or a reason why not."""

import random
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.datasets.pairs import Judgement, LeftOut, Pair, _decide, _sides_key, pairs_of, roles_in_order
from hitl.datasets.sides import Side


def said(text: str | None, **more) -> Side:
    return Side.of({"role": "assistant", "content": text, **more})


GOOD = said("There is no free room at the Old Town Inn on Friday.")
BAD = said("I booked the Old Town Inn for you!")


def judged(outcome: str, a: Side = GOOD, b: Side = BAD, *, by: int = 0, origin: str = "ranking", distance=1.0, **more):
    return Judgement(uuid4(), UUID(int=by), origin, outcome, distance, a, b, **more)


def only_pair(judgements, *policy) -> Pair:
    (pair,), left_out = pairs_of(judgements, *policy)
    assert left_out == []
    return pair


def reason(judgements, *policy) -> str:
    pairs, (left_out,) = pairs_of(judgements, *policy)
    assert pairs == []
    return left_out.reason


class TestMajority:
    def test_it_needs_more_than_half_of_the_votes(self):
        pair = only_pair([judged("a", by=1), judged("b", BAD, GOOD, by=2, distance=2.0), judged("b", by=3)])

        assert (pair.chosen, pair.rejected) == (GOOD, BAD)
        assert pair.agreement == pytest.approx(2 / 3)
        assert pair.margin == 1.5
        assert pair.is_conflict

    @pytest.mark.parametrize("others", ["b", "tie", "both_bad"])
    def test_half_is_no_majority(self, others):
        assert reason([judged("a", by=1), judged(others, by=2)]) == "no_majority"

    def test_ties_and_both_bad_are_left_out(self):
        assert reason([judged("tie", by=1)]) == "tie"
        assert reason([judged("both_bad", by=1)]) == "both_bad"

    def test_too_little_agreement_is_left_out(self):
        judgements = [judged("a", by=1), judged("a", by=2), judged("b", by=3)]

        assert reason(judgements, "majority", 0.7) == "low_agreement"


class TestUnanimous:
    def test_one_other_voice_leaves_it_out(self):
        assert reason([judged("a", by=1), judged("a", by=2), judged("tie", by=3)], "unanimous") == "not_unanimous"
        assert only_pair([judged("a", by=1), judged("a", by=2)], "unanimous").agreement == 1


class TestEach:
    def test_both_orders_make_a_pair(self):
        pairs, _ = pairs_of([judged("a", by=1), judged("a", by=2), judged("b", by=3)], "each")

        assert {(pair.chosen.exact, round(pair.agreement, 2)) for pair in pairs} == {
            (GOOD.exact, 0.67),
            (BAD.exact, 0.33),
        }


class TestSides:
    def test_one_reviewer_has_one_voice_however_often_they_judged_the_same_two(self):
        pair = only_pair([judged("a", by=1), judged("a", by=1, origin="scale"), judged("b", by=2), judged("a", by=3)])

        assert pair.agreement == pytest.approx(2 / 3)
        assert len(pair.judgements) == 4

    def test_the_same_correction_by_two_people_is_one_pair(self):
        again = said(GOOD.message["content"])
        pair = only_pair(
            [judged("a", GOOD, BAD, by=1, origin="correction"), judged("a", again, BAD, by=2, origin="correction")]
        )

        assert (pair.agreement, pair.duplicates, pair.origin) == (1, 0, "correction")

    def test_spellings_of_the_same_answer_are_merged_and_counted(self):
        spaced = said("There is no free room \n at the Old Town Inn on Friday. ")
        pair = only_pair([judged("a", GOOD, BAD, by=1), judged("a", spaced, BAD, by=2), judged("a", GOOD, BAD, by=3)])

        assert (pair.chosen, pair.duplicates) == (GOOD, 1)

    def test_sides_that_differ_only_in_spelling_are_left_out(self):
        composed, decomposed = said("Caf\u00e9  at  nine"), said("Cafe\u0301 at nine")

        assert reason([judged("a", composed, decomposed)]) == "equal_sides"

    def test_sides_that_differ_only_in_the_ids_of_their_calls_are_equal(self):
        def call(number: str) -> Side:
            function = {"name": "book", "arguments": '{"hotel":"Old Town Inn"}'}
            return said(None, tool_calls=[{"id": number, "type": "function", "function": function}])

        assert reason([judged("a", call("call_1"), call("call_2"))]) == "equal_sides"

    def test_an_empty_side_is_left_out(self):
        assert reason([judged("a", GOOD, said(" \n"))]) == "empty_side"
        assert reason([judged("a", GOOD, said(None))]) == "empty_side"

    def test_a_side_that_only_calls_a_tool_is_not_empty(self):
        call = said(None, tool_calls=[{"id": "1", "type": "function", "function": {"name": "book", "arguments": "{}"}}])

        assert only_pair([judged("a", call, BAD)]).chosen is call

    def test_what_a_user_says_is_no_side(self):
        assert reason([judged("a", Side.of({"role": "user", "content": "Hi"}), BAD)]) == "roles_out_of_order"


class TestMayTrain:
    def test_a_blocked_judgement_has_no_voice(self):
        pair = only_pair([judged("a", by=1), judged("b", by=2, blocked="may_not_train")])

        assert pair.agreement == 1

    def test_where_all_are_blocked_the_strongest_reason_is_named(self):
        judgements = [judged("a", by=1, blocked="may_train_unknown"), judged("a", by=2, blocked="may_not_train")]

        assert reason(judgements) == "may_not_train"


texts = st.sampled_from(["yes", "yes ", "no", "No.", "maybe", "", "ma\u0308h", "m\u00e4h"])
judgements = st.lists(
    st.builds(
        judged,
        st.sampled_from(["a", "b", "tie", "both_bad"]),
        texts.map(said),
        texts.map(said),
        by=st.integers(0, 5),
        origin=st.sampled_from(["correction", "ranking", "scale"]),
        distance=st.one_of(st.none(), st.floats(0, 4)),
        blocked=st.sampled_from([None, None, None, "may_not_train", "may_train_unknown"]),
    ),
    max_size=25,
)
policies = st.sampled_from(["majority", "unanimous", "each"])


@given(judgements=judgements, policy=policies, seed=st.integers())
def test_neither_order_nor_ids_nor_which_side_is_a_matter(judgements, policy, seed):
    turned = {"a": "b", "b": "a"}
    again = [
        Judgement(uuid4(), j.cause_id, j.origin, turned.get(j.outcome, j.outcome), j.distance, j.b, j.a, j.blocked)
        if seed % 2
        else j
        for j in random.Random(seed).sample(judgements, len(judgements))
    ]

    assert content(pairs_of(again, policy)) == content(pairs_of(judgements, policy))


@given(judgements=judgements, policy=policies)
def test_each_two_answers_are_a_pair_or_left_out_once(judgements, policy):
    pairs, left_out = pairs_of(judgements, policy)

    sides = {frozenset((j.a.folded, j.b.folded)) for j in judgements}
    paired = {frozenset((pair.chosen.folded, pair.rejected.folded)) for pair in pairs}
    assert len(paired) + len(left_out) == len(sides)
    assert all(pair.chosen.folded != pair.rejected.folded for pair in pairs)
    assert all(not pair.chosen.is_empty and not pair.rejected.is_empty for pair in pairs)
    assert all(0 < pair.agreement <= 1 for pair in pairs)
    if policy != "each":
        assert len(paired) == len(pairs)
        assert all(pair.agreement > 0.5 for pair in pairs)


def content(result: tuple[list[Pair], list[LeftOut]]) -> object:
    pairs, left_out = result
    return (
        sorted((p.chosen.exact, p.rejected.exact, p.origin, p.agreement, p.margin or -1, p.is_conflict) for p in pairs),
        sorted(one.reason for one in left_out),
    )


USER = {"role": "user", "content": "Book me a room."}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "book", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "booked"}
ANSWER = {"role": "assistant", "content": "Done."}


@pytest.mark.parametrize(
    "prompt", [[USER], [{"role": "system", "content": "Be kind."}], [USER, CALL, RESULT], [USER, ANSWER, USER]]
)
def test_an_answer_can_follow(prompt):
    assert roles_in_order(prompt)


@pytest.mark.parametrize("prompt", [[], [USER, ANSWER], [USER, RESULT], [USER, CALL, USER, RESULT]])
def test_an_answer_cannot_follow(prompt):
    assert not roles_in_order(prompt)


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIDES = st.sampled_from(
    [
        said(text, **more)
        for text in ("Yes.", " Yes. ", "Yes", "Ja\u0308", "J\u00e4", "", " ", None, "Y" * 300)
        for more in (
            {},
            {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        )
    ]
    + [Side.of({"role": "user", "content": "Yes"}), Side.of({"role": "assistant", "content": None, "refusal": "No."})]
)


@given(
    SIDES,
    SIDES,
    st.sampled_from(["a", "b", "tie", "both_bad"]),
    st.sampled_from([None, 1.0]),
    st.sampled_from([None, "may_not_train"]),
    st.sampled_from(["majority", "unanimous", "each"]),
)
def test_the_short_way_for_a_lone_judgement_says_the_same(a, b, outcome, distance, blocked, policy):
    judgement = judged(outcome, a, b, distance=distance, blocked=blocked)

    pairs, left_out = pairs_of([judgement], policy)

    expected = _decide(_sides_key(judgement), [judgement], policy, 0.0)
    assert (pairs or left_out[0]) == expected
