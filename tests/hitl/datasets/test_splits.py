"""Splits: what belongs together stays together, and what was test stays test."""

import hashlib
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.datasets.selection import Shares
from hitl.datasets.splits import Groups

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


def grouped(rows: list[Row]) -> Groups:
    groups = Groups()
    for input_hash, ties in rows:
        groups.add_row(input_hash, ties)
    return groups


@given(
    rows=rows, shares=shares, seed=st.text(max_size=5), held_out=st.sets(st.integers(0, 40).map(hash_of), max_size=5)
)
def test_no_input_conversation_or_end_user_is_in_two_splits(rows, shares, seed, held_out):
    splits = grouped(rows).splits(seed, shares, held_out)

    found = defaultdict(set)
    for input_hash, ties in rows:
        for name in (input_hash, *ties):
            found[name].add(splits[input_hash])
    assert all(len(names) == 1 for names in found.values())


@given(rows=rows, seed=st.text(max_size=5), held_out=st.sets(st.integers(0, 40).map(hash_of), max_size=5))
def test_a_group_with_a_held_out_input_is_test_whole(rows, seed, held_out):
    splits = grouped(rows).splits(seed, SHARES, held_out)

    assert all(splits[input_hash] == "test" for input_hash, _ in rows if input_hash in held_out)


@given(rows=rows, more=rows, seed=st.text(max_size=5))
def test_rows_that_join_no_group_move_nothing(rows, more, seed):
    before = grouped(rows).splits(seed, SHARES)
    strangers = [(hash_of(f"other {i}"), tuple(f"other {tie}" for tie in ties)) for i, ties in more]

    after = grouped(rows + strangers).splits(seed, SHARES)

    assert {input_hash: after[input_hash] for input_hash in before} == before


@given(rows=rows, seed=st.text(max_size=5), random=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, seed, random):
    shuffled = random.sample(rows, len(rows))

    assert grouped(shuffled).splits(seed, SHARES) == grouped(rows).splits(seed, SHARES)


@pytest.mark.parametrize("seed", ["hotel-desk", "", "7"])
def test_the_shares_are_met_by_many_small_groups(seed):
    splits = grouped([(hash_of(n), (f"user:{n // 2}",)) for n in range(8000)]).splits(seed, SHARES)

    counts = Counter(splits.values())
    # Four standard deviations of 4,000 draws of two rows each.
    assert counts["train"] / 8000 == pytest.approx(0.8, abs=0.026)
    assert counts["test"] / 8000 == pytest.approx(0.1, abs=0.02)


def test_a_share_of_zero_stays_empty():
    groups = grouped([(hash_of(n), ()) for n in range(2000)])

    assert set(groups.splits("", Shares(train=0, validation=0.9, test=0.1)).values()) == {"validation", "test"}
    assert set(groups.splits("", Shares(train=1, validation=0, test=0)).values()) == {"train"}


def test_a_group_above_a_fifth_of_the_rows_is_reported():
    groups = grouped([(hash_of(n), ("user:same",) if n < 3 else ()) for n in range(10)])
    splits = groups.splits("", SHARES)

    (large,) = groups.large_groups(splits)

    assert (large.rows, large.share) == (3, 0.3)
    assert large.smallest_input_hash == min(hash_of(n) for n in range(3))
    assert groups.count == 8


def test_a_single_row_is_no_large_group_however_small_the_dataset():
    groups = grouped([(hash_of(n), ()) for n in range(3)])

    assert groups.large_groups(groups.splits("", SHARES)) == []
