"""What a version's page and card say about its rows, counted while they are written."""

from array import array
from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from hitl.datasets.gathering import Responses
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
        self.first: Any = None  # as the driver has times: compared with their like
        self.last: Any = None
        self._reviewers: set[str] = set()
        self._rubrics: set[str] = set()
        self._length_ratios = array("d")  # 8 bytes a row
        self._chosen_longer = 0
        self._verdicts: Counter[str] = Counter()

    def count_left_out(self, left_out: LeftOut) -> None:
        """Count what makes no row."""
        self.left_out[left_out.reason] += 1
        self.conflicts += left_out.is_conflict

    def count_rows(self, rows: pa.Table, responses: Responses) -> None:
        """Count rows, with the responses that they are made of."""
        self.rows += rows.num_rows
        self.origins.update(_values(rows, "origin"))
        self.agreement_sum = sum(_values(rows, "agreement"), self.agreement_sum)
        self._reviewers.update(_values_of_lists(rows, "reviewers"))
        self._rubrics.update(_values_of_lists(rows, "rubric_version_ids"))
        if "is_good" in rows.schema.names:
            self._verdicts.update("good" if is_good else "bad" for is_good in _values(rows, "is_good"))
        response_ids = _values_of_lists(rows, "response_ids")
        self.models.update(map(responses.models.__getitem__, response_ids))
        made_at = {responses.made_at[one] for one in response_ids}
        self.first = min(made_at if self.first is None else made_at | {self.first})
        self.last = max(made_at if self.last is None else made_at | {self.last})

    def count_merged(self, duplicates: int, is_conflict: bool) -> None:
        """Count what a row says of several judgements."""
        self.duplicates += duplicates
        self.conflicts += is_conflict

    def count_lengths(self, chosen: Side, rejected: Side) -> None:
        """Note how long the two sides are: a trainer may learn length instead of quality."""
        long, short = chosen.length, rejected.length
        self._length_ratios.append(long / max(short, 1))
        self._chosen_longer += long > short

    def count_all_lengths(self, chosen: pa.Array, rejected: pa.Array) -> None:
        """Note how long many such sides are."""
        ratios = pc.divide(pc.cast(chosen, pa.float64()), pc.max_element_wise(rejected, 1))
        self._length_ratios.extend(ratios.to_pylist())
        self._chosen_longer += pc.sum(pc.greater(chosen, rejected)).as_py() or 0

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
            "rubric_versions": sorted(str(UUID(identifier)) for identifier in self._rubrics),
            "responses_from": _isoformat(self.first),
            "responses_to": _isoformat(self.last),
            "lengths": self._lengths(),
            **({"verdicts": {said: self._verdicts[said] for said in ("good", "bad")}} if self._verdicts else {}),
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
            "median_ratio": _median(self._length_ratios),
            "ratio_edges": list(RATIO_EDGES),
            "pairs_by_ratio": bars,  # below the first edge, between each two, above the last
        }


def _values(rows: pa.Table, column: str) -> list[Any]:
    values: list[Any] = rows.column(column).to_pylist()
    return values


def _values_of_lists(rows: pa.Table, column: str) -> list[Any]:
    values: list[Any] = pc.list_flatten(rows.column(column)).to_pylist()
    return values


def _median(numbers: "array[float]") -> float:
    """Return the middle of these numbers. Arrow sorts a million in place; Python would make each a value of its own."""
    found: float = pc.quantile(pa.array(numbers), 0.5, interpolation="midpoint")[0].as_py()
    return found


def _isoformat(at: datetime | str | None) -> str | None:
    """Return a time as the driver has it (SQLite's is a text in UTC without its zone) in ISO 8601."""
    if at is None:
        return None
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)).isoformat()
