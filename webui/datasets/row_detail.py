"""One row in full: the conversation before it, its answers, what differs, and its neighbours."""

from dataclasses import dataclass, replace
from typing import Any

from hitl.datasets.biography import Biography
from hitl.datasets.browsing import ids_at, matches
from hitl.datasets.models import DatasetVersion
from hitl.datasets.storage import Storage
from hitl.datasets.versions import sides_of
from webui.base.transcript import Entry, Transcript, transcript
from webui.base.word_diff import WordDiff, word_diff
from webui.datasets.row_list import ROWS_SHOWN, RowFilter, side_text


@dataclass(frozen=True)
class RowDetail:
    """What the page of a row shows beside its biography."""

    prompt: Transcript
    sides: dict[str, Entry]
    diff: WordDiff | None  # none: one side only, or too long to compare
    tools: list[str]  # names of the tools that the model could call
    number: int  # from 1, among the rows that match the filter
    total: int
    before: str | None  # id of the row before
    after: str | None
    filter: RowFilter
    list_address: dict[str, Any]  # the page of the list that holds this row

    @classmethod
    def of(cls, storage: Storage, version: DatasetVersion, told: Biography, wanted: RowFilter) -> "RowDetail":
        """Return a row as a person pages through those that match a filter."""
        row = told.row
        sides = sides_of(version, row)
        found = matches(storage, version, wanted.split, wanted.origin)
        near = {"before": found.before(row["position"]), "after": found.after(row["position"])}
        ids = ids_at(storage, version, [place for place in near.values() if place is not None])
        rank = found.rank(row["position"])
        page = found.positions[rank - rank % ROWS_SHOWN] if rank < found.count else 0
        return cls(
            prompt=_prompt(row["prompt"], next(iter(sides.values()))),
            sides={name: _answer(message) for name, message in sides.items()},
            diff=word_diff(side_text(sides["rejected"]), side_text(sides["chosen"])) if "rejected" in sides else None,
            tools=[_name_of(tool) for tool in row["tools"] or ()],
            number=rank + 1,
            total=found.count,
            before=None if near["before"] is None else ids[near["before"]],
            after=None if near["after"] is None else ids[near["after"]],
            filter=wanted,
            list_address=wanted.address(page),
        )


def _prompt(messages: list[dict[str, Any]], answer: dict[str, Any]) -> Transcript:
    """Return the conversation up to the answer; the answers are drawn apart."""
    return Transcript(transcript(messages, answer).entries[:-1])


def _answer(message: dict[str, Any]) -> Entry:
    (entry,) = transcript([], message).entries
    return replace(entry, is_under_review=False)  # type: ignore[call-arg]


def _name_of(tool: dict[str, Any]) -> str:
    return str((tool.get("function") or {}).get("name") or tool.get("type") or "tool")
