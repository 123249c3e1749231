import pytest

from hitl.datasets.figures import RATIO_EDGES
from webui.datasets.length_plot import length_plot


def lengths(counts, middle=1.0):
    return {"ratio_edges": list(RATIO_EDGES), "pairs_by_ratio": counts, "median_ratio": middle}


class TestLengthPlot:
    def test_bars_stand_on_the_base_and_the_tallest_stays_inside(self):
        plot = length_plot(lengths([1, 0, 0, 0, 2, 7, 30, 4, 0, 0, 1]), 800, 210)

        assert all(bar.y + bar.height == pytest.approx(plot.base) for bar in plot.bars)
        assert min(bar.y for bar in plot.bars) > 0
        assert plot.bars[-1].x + plot.bars[-1].width <= plot.right
        assert [bar.is_longer for bar in plot.bars] == [False] * 6 + [True] * 5

    @pytest.mark.parametrize("most", [1, 4, 9, 37, 120, 5_000, 1_234_567])
    def test_the_grid_has_a_few_round_lines_that_hold_the_tallest(self, most):
        plot = length_plot(lengths([most] + [0] * 10), 800, 210)

        values = [int(line.text.replace(",", "")) for line in plot.rows]
        assert 2 <= len(values) <= 6
        assert values[-1] >= most

    def test_the_middle_lies_between_its_edges(self):
        low, high = length_plot(lengths([1] * 11, 1.5), 800, 210), length_plot(lengths([1] * 11, 1.9), 800, 210)

        assert low.bars[7].x < low.median_x < high.median_x < low.bars[8].x

    @pytest.mark.parametrize("middle", [0.0, 0.01, 100.0])
    def test_a_middle_beyond_the_edges_stays_in_the_plot(self, middle):
        plot = length_plot(lengths([1] * 11, middle), 326, 190)

        assert plot.bars[0].x <= plot.median_x <= plot.right
