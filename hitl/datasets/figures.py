"""What a version's page and card say about its rows, counted while they are written."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import Any

from hitl.datasets.gathering import Origin, Reviewed
from hitl.datasets.pairs import LeftOut
from hitl.datasets.sides import Side

# Edges of the bars in the plot of lengths: chosen against rejected, from a quarter to four times.
RATIO_EDGES = (0.25, 0.35, 0.5, 0.71, 0.9, 1.1, 1.41, 2.0, 2.83, 4.0)


class Figures:
    """Counts that grow row by row, in little memory."""

    def __init__(self) -> None:
        self.rows = 0
        self.duplicates = 0
        self.conflicts = 0
        self.origins: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.models: Counter[str | None] = Counter()
        self.agreement_sum = 0.0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._reviewers: set[str] = set()
        self._rubrics: set[str] = set()
        self._length_ratios = array("d")  # 8 bytes a row
        self._chosen_longer = 0

    def count_left_out(self, left_out: LeftOut) -> None:
        """Count what makes no row."""
        self.left_out[left_out.reason] += 1
        self.conflicts += left_out.is_conflict

    def count_row(self, origin: str, agreement: float, duplicates: int, is_conflict: bool) -> None:
        """Count a row."""
        self.rows += 1
        self.origins[origin] += 1
        self.agreement_sum += agreement
        self.duplicates += duplicates
        self.conflicts += is_conflict

    def count_lengths(self, chosen: Side, rejected: Side) -> None:
        """Note how long the two sides are: a trainer may learn length instead of quality."""
        self._length_ratios.append(chosen.length / max(rejected.length, 1))
        self._chosen_longer += chosen.length > rejected.length

    def count_sources(self, responses: Iterable[Origin], reviewed: Iterable[Reviewed]) -> None:
        """Note whose answers a row is made of, and who judged them."""
        for response in responses:
            self.models[response.model] += 1
            self.first = min(self.first or response.created_at, response.created_at)
            self.last = max(self.last or response.created_at, response.created_at)
        for one in reviewed:
            self._reviewers.add(one.reviewer)
            self._rubrics.add(str(one.rubric_version_id))

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the version keeps them."""
        return {
            "rows": self.rows,
            "origins": dict(self.origins.most_common()),
            "left_out": dict(self.left_out.most_common()),
            "duplicates_merged": self.duplicates,
            "conflicts": self.conflicts,
            "mean_agreement": self.agreement_sum / self.rows if self.rows else None,
            "models": [{"model": model, "responses": count} for model, count in self.models.most_common()],
            "reviewers": len(self._reviewers),
            "rubric_versions": sorted(self._rubrics),
            "responses_from": self.first.isoformat() if self.first else None,
            "responses_to": self.last.isoformat() if self.last else None,
            "lengths": self._lengths(),
        }

    def _lengths(self) -> dict[str, Any] | None:
        if not self._length_ratios:
            return None
        bars = [0] * (len(RATIO_EDGES) + 1)
        for ratio in self._length_ratios:
            bars[bisect_right(RATIO_EDGES, ratio)] += 1
        return {
            "unit": "characters",
            "chosen_longer_share": self._chosen_longer / len(self._length_ratios),
            "median_ratio": median(self._length_ratios),
            "ratio_edges": list(RATIO_EDGES),
            "pairs_by_ratio": bars,  # below the first edge, between each two, above the last
        }
