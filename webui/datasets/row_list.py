"""The rows of a version as its page lists them: filtered, some at a time, each with the way to its own page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hitl.datasets.browsing import matches
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import ORIGINS_OF_KIND, SPLITS
from hitl.datasets.storage import Storage
from hitl.datasets.versions import rows_page, sides_of
from hitl.review.corrections import text_of

ROWS_SHOWN = 25


@dataclass(frozen=True)
class RowFilter:
    """Which rows are wanted, and from which position on."""

    split: str | None = None
    origin: str | None = None
    after: int = 0

    @classmethod
    def asked(cls, arguments: Mapping[str, str]) -> "RowFilter":
        """Return the filter in an address; what makes no sense there is as if it were not there."""
        split, origin, after = arguments.get("split"), arguments.get("origin"), arguments.get("after", "")
        return cls(
            split if split in SPLITS else None,
            origin if any(origin in origins for origins in ORIGINS_OF_KIND.values()) else None,
            int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0,
        )

    def address(self, after: int = 0) -> dict[str, Any]:
        """Return what the address carries of it."""
        named = {"split": self.split, "origin": self.origin, "after": after or None}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class ListedRow:
    """A row in the list: its answers in words."""

    id: str
    sides: list[str]
    origin: str
    split: str
    is_good: bool | None  # none: no row of verdicts


@dataclass(frozen=True)
class RowList:
    """A page of rows."""

    filter: RowFilter
    rows: list[ListedRow]
    first: int  # from 1; 0 when no row matches
    total: int
    back: dict[str, Any] | None  # what the address of the page before carries; None on the first
    next: dict[str, Any] | None

    @property
    def last(self) -> int:
        """The number of the last row shown."""
        return self.first + len(self.rows) - 1 if self.rows else 0


def row_list(storage: Storage, version: DatasetVersion, wanted: RowFilter) -> RowList:
    """Return the rows that a filter asks for."""
    found = matches(storage, version, wanted.split, wanted.origin)
    page = rows_page(storage, version, after=wanted.after, limit=ROWS_SHOWN, split=wanted.split, origin=wanted.origin)
    before = found.before(wanted.after, ROWS_SHOWN)
    return RowList(
        filter=wanted,
        rows=[_listed(version, row) for row in page.rows],
        first=found.rank(wanted.after) + 1 if page.rows else 0,
        total=found.count,
        back=None if before is None else wanted.address(before),
        next=None if page.next_position is None else wanted.address(page.next_position),
    )


def side_text(message: dict[str, Any]) -> str:
    """Return an answer in words; of one that only calls tools, the calls."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    called = [f"{call.get('name') or 'tool'}({call.get('arguments') or ''})" for call in calls]
    return "\n".join(text for text in (text_of(message), *called) if text)


def _listed(version: DatasetVersion, row: dict[str, Any]) -> ListedRow:
    sides = [side_text(message) for message in sides_of(version, row).values()]
    return ListedRow(row["id"], sides, row["origin"], row["split"], row.get("is_good"))
