"""What the soak calls growth."""

import pytest

from benchmarks.soak import growth

MB = 1_000_000


class TestGrowth:
    @pytest.mark.parametrize(
        ("sizes", "is_growth"),
        [
            ([200] * 20, False),
            ([100 + 10 * n for n in range(20)], True),
            ([200] * 59 + [400], False),  # the last sample fell into a freeze
            ([100 + 15 * n for n in range(8)] + [220] * 12, False),  # caches filled, then flat
            ([200] * 10 + [260] * 10, True),
        ],
    )
    def test_it_is_more_at_the_end_than_before_half_time(self, sizes, is_growth):
        found = growth([{1: 50 * MB, 2: size * MB} for size in sizes])

        assert bool(found) == is_growth
        assert all("process 2" in said for said in found)

    def test_a_process_that_ended_is_said(self):
        assert "processes ended" in growth([{1: MB, 2: MB}] * 10 + [{1: MB, 3: MB}] * 10)[0]

    def test_one_sample_says_nothing(self):
        assert growth([{1: MB}])
