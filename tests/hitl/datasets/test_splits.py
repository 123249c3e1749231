"""Splits: what belongs together stays together, and what was test stays test."""

import hashlib
from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.datasets.selection import Shares
from hitl.datasets.splits import Groups, tie_digest

SHARES = Shares()


def hash_of(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


Row = tuple[str, tuple[str, ...]]
rows = st.lists(
    st.tuples(
        st.integers(0, 40).map(hash_of),
        st.lists(
            st.one_of(st.integers(0, 25).map("conversation:{}".format), st.integers(0, 25).map("user:{}".format)),
            max_size=3,
        ).map(tuple),
    ),
    max_size=60,
)
shares = st.sampled_from(
    [Shares(), Shares(train=0.5, validation=0.25, test=0.25), Shares(train=0, validation=0.5, test=0.5)]
)


def grouped(rows: list[Row], held_out=(), held_out_ties=()) -> Groups:
    groups = Groups(held_out, {tie_digest(tie) for tie in held_out_ties})
    for input_hash, ties in sorted(rows, key=lambda row: row[0]):
        groups.add_rows([input_hash], [map(tie_digest, ties)])
    return groups


def splits_of(rows: list[Row], seed="", shares=SHARES, **held_out):
    splits = grouped(rows, **held_out).splits(seed, shares)
    return {input_hash: splits.of(input_hash) for input_hash, _ in sorted(rows, key=lambda row: row[0])}


def large_groups_of(rows: list[Row]):
    splits = grouped(rows).splits("", SHARES)
    for input_hash, _ in sorted(rows, key=lambda row: row[0]):
        splits.of(input_hash)
    return splits.large_groups


@given(
    rows=rows, shares=shares, seed=st.text(max_size=5), held_out=st.sets(st.integers(0, 40).map(hash_of), max_size=5)
)
def test_no_input_conversation_or_end_user_is_in_two_splits(rows, shares, seed, held_out):
    splits = splits_of(rows, seed, shares, held_out=held_out)

    found = defaultdict(set)
    for input_hash, ties in rows:
        for name in (input_hash, *ties):
            found[name].add(splits[input_hash])
    assert all(len(names) == 1 for names in found.values())


@given(rows=rows, seed=st.text(max_size=5), held_out=st.sets(st.integers(0, 40).map(hash_of), max_size=5))
def test_a_group_with_a_held_out_input_is_test_whole(rows, seed, held_out):
    splits = splits_of(rows, seed, held_out=held_out)

    assert all(splits[input_hash] == "test" for input_hash, _ in rows if input_hash in held_out)


@given(rows=rows, more=rows, seed=st.text(max_size=5))
def test_rows_that_join_no_group_move_nothing(rows, more, seed):
    before = splits_of(rows, seed)
    strangers = [(hash_of(f"other {i}"), tuple(f"other {tie}" for tie in ties)) for i, ties in more]

    after = splits_of(rows + strangers, seed)

    assert {input_hash: after[input_hash] for input_hash in before} == before


@given(
    rows=rows, seed=st.text(max_size=5), held_out=st.sets(st.integers(0, 25).map("conversation:{}".format), max_size=3)
)
def test_a_group_with_a_held_out_conversation_is_test_whole(rows, seed, held_out):
    splits = splits_of(rows, seed, held_out_ties=held_out)

    assert all(splits[input_hash] == "test" for input_hash, ties in rows if held_out & set(ties))


@given(rows=rows, random=st.randoms(use_true_random=False))
def test_groups_are_the_connected_components(rows, random):
    parts = [{input_hash, *ties} for input_hash, ties in rows]
    for _ in parts:
        for one, other in combinations(parts, 2):
            if one & other and one is not other:
                parts = [part for part in parts if part not in (one, other)] + [one | other]
                break

    assert grouped(random.sample(rows, len(rows))).count == len({frozenset(part) for part in parts})


def test_inputs_out_of_order_are_refused():
    groups = Groups()
    groups.add_rows(["b"], [()])

    with pytest.raises(ValueError, match="order"):
        groups.add_rows(["a"], [()])


@pytest.mark.parametrize("seed", ["hotel-desk", "", "7"])
def test_the_shares_are_met_by_many_small_groups(seed):
    splits = splits_of([(hash_of(n), (f"user:{n // 2}",)) for n in range(8000)], seed)

    counts = Counter(splits.values())
    # Four standard deviations of 4,000 draws of two rows each.
    assert counts["train"] / 8000 == pytest.approx(0.8, abs=0.026)
    assert counts["test"] / 8000 == pytest.approx(0.1, abs=0.02)


def test_a_share_of_zero_stays_empty():
    rows = [(hash_of(n), ()) for n in range(2000)]

    assert set(splits_of(rows, "", Shares(train=0, validation=0.9, test=0.1)).values()) == {"validation", "test"}
    assert set(splits_of(rows, "", Shares(train=1, validation=0, test=0)).values()) == {"train"}


def test_a_group_above_a_fifth_of_the_rows_is_reported():
    rows = [(hash_of(n), ("user:same",) if n < 3 else ()) for n in range(10)]

    (large,) = large_groups_of(rows)

    assert (large.rows, large.share) == (3, 0.3)
    assert large.smallest_input_hash == min(hash_of(n) for n in range(3))
    assert grouped(rows).count == 8


def test_a_single_row_is_no_large_group_however_small_the_dataset():
    assert large_groups_of([(hash_of(n), ()) for n in range(3)]) == []
