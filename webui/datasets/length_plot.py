"""The plot of how much longer the chosen answers are: bars, grid and words, placed for an SVG."""

from bisect import bisect_right
from dataclasses import dataclass
from math import log
from typing import Any

TOP, FOOT, LEFT, RIGHT = 26.0, 38.0, 36.0, 8.0  # room around the bars, in the SVG's own units


@dataclass(frozen=True)
class Bar:
    """So many pairs, whose chosen answer is so many times as long as the rejected one."""

    x: float
    y: float
    width: float
    height: float
    pairs: int
    is_longer: bool


@dataclass(frozen=True)
class Mark:
    """A word at a place of an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class LengthPlot:
    """A plot of one size."""

    width: int
    height: int
    bars: list[Bar]
    rows: list[Mark]  # lines of the grid, at their y
    columns: list[Mark]  # names of edges, at their x
    median_x: float

    @property
    def base(self) -> float:
        """Where the bars stand."""
        return self.height - FOOT

    @property
    def right(self) -> float:
        """Where the bars end."""
        return self.width - RIGHT


def length_plot(lengths: dict[str, Any], width: int, height: int) -> LengthPlot:
    """Return the plot of a version's `lengths` figures in this size."""
    edges, counts = lengths["ratio_edges"], lengths["pairs_by_ratio"]
    step = (width - LEFT - RIGHT) / len(counts)
    tall, tick = height - TOP - FOOT, _tick(max(counts))
    top = max(tick * -(-max(counts) // tick), 1)
    bars = [
        _bar(place, count, LEFT + place * step, step, height - FOOT, tall * count / top, edges)
        for place, count in enumerate(counts)
    ]
    rows = [Mark(height - FOOT - tall * value / top, f"{value:,}") for value in range(0, top + 1, tick)]
    names = {0: ("¼", "middle"), edges.index(0.5): ("½", "middle"), len(edges) - 1: ("4 ×", "middle")}
    names[edges.index(2.0)] = ("2 ×", "middle")
    columns = [Mark(LEFT + (place + 1) * step, text, anchor) for place, (text, anchor) in sorted(names.items())]
    columns.insert(2, Mark(LEFT + (bisect_right(edges, 1.0) + 0.5) * step, "same length"))
    return LengthPlot(width, height, bars, rows, columns, LEFT + _place(lengths["median_ratio"], edges) * step)


def _bar(place: int, count: int, x: float, step: float, base: float, height: float, edges: list[float]) -> Bar:
    is_longer = place > bisect_right(edges, 1.0)
    return Bar(x + 1, base - height, step - 2, height, count, is_longer)


def _tick(most: int) -> int:
    """Return a round distance between the lines of the grid, for two to five of them."""
    size = 1
    while most > 5 * size:
        size = size * 2 if str(size)[0] in "15" else size // 2 * 5
    return size


def _place(ratio: float, edges: list[float]) -> float:
    """Return where a ratio lies, in bars from the left: between two edges by its logarithm."""
    place = bisect_right(edges, ratio)
    if place in (0, len(edges)):
        return place + 0.5  # the bars at the ends have no outer edge
    low, high = edges[place - 1], edges[place]
    return place + (log(ratio) - log(low)) / (log(high) - log(low))
