"""The editor's form: criteria as fields, and the changes that its buttons ask for.

Each criterion has a key, its fields are named `<key>.<field>`, and the order of the `criterion` fields is theirs.
Points, options and severities come as two lists side by side, `<key>.points.value` and `<key>.points.label`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from hitl.review.rubric_drafts import Criteria, completed

ITEM_KINDS = (
    ("response", "responses"),
    ("comparison", "comparisons"),
    ("conversation", "conversations"),
)
PER = (
    ("item", "Once for the whole item"),
    ("response", "In a comparison, once for each response"),
    ("turn", "Once for each answer of the assistant"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of criterion, as the editor offers it."""

    name: str  # as one reads it
    does: str
    fields: frozenset[str]  # beside label, name and hint
    rows: tuple[str, ...] = ()  # lists of what can be chosen
    asked_of: tuple[str, ...] = ("response", "conversation")


_ANY = frozenset({"required", "cannot_judge", "per", "asked_of"})

KINDS: dict[str, Kind] = {
    "scale": Kind("scale", "a number, each point described", _ANY | {"overall"}, ("points",)),
    "thumbs": Kind("thumbs", "good or bad", _ANY | {"overall"}),
    "choice": Kind("choice", "one of several words", _ANY, ("options",)),
    "tags": Kind("tags", "any number of words", _ANY | {"negative"}, ("options",)),
    "text": Kind("text", "their own words", _ANY - {"cannot_judge"}),
    "correction": Kind("correction", "the response as it should have been", frozenset(), asked_of=("response",)),
    "ranking": Kind(
        "ranking", "the responses best first", frozenset({"required", "cannot_judge"}), asked_of=("comparison",)
    ),
    "pairwise": Kind(
        "pairwise",
        "which of two is better, and by how much",
        frozenset({"required", "cannot_judge"}),
        asked_of=("comparison",),
    ),
    "spans": Kind(
        "spans",
        "passages of the text, each with a label",
        frozenset({"per", "asked_of"}),
        ("options", "severities"),
        asked_of=("response",),
    ),
}
ROWS = {
    "points": ("What each point means", "Point", "Add a point"),
    "options": ("What one may choose", "Name", "Add another"),
    "severities": ("How bad it is, mildest first", "Name", "Add a severity"),
}


def read_criteria(form: MultiDict[str, str]) -> Criteria:
    """Return the criteria as they were typed, whether they make sense or not."""
    keys = dict.fromkeys(form.getlist("criterion"))
    return [_read_one(form, key) for key in keys if form.get(f"{key}.kind") in KINDS]


def _read_one(form: MultiDict[str, str], key: str) -> dict[str, Any]:
    kind = KINDS[form[f"{key}.kind"]]
    read: dict[str, Any] = {"kind": form[f"{key}.kind"]}
    for field in ("label", "name", "hint"):
        read[field] = form.get(f"{key}.{field}", "").strip()
    for field in ("required", "cannot_judge", "overall", "negative"):
        if field in kind.fields:
            read[field] = f"{key}.{field}" in form
    if "per" in kind.fields:
        read["per"] = form.get(f"{key}.per", "item")
    if "asked_of" in kind.fields:
        chosen = form.getlist(f"{key}.asked_of")
        read["asked_of"] = [name for name, _ in ITEM_KINDS if name in chosen]
    for rows in kind.rows:
        read[rows] = _read_rows(form, f"{key}.{rows}", _as_number if rows == "points" else str)
    return read


def _read_rows(form: MultiDict[str, str], prefix: str, value_of: Callable[[str], Any]) -> list[dict[str, Any]]:
    values, labels = form.getlist(f"{prefix}.value"), form.getlist(f"{prefix}.label")
    typed = [(value.strip(), label.strip()) for value, label in zip(values, labels, strict=False)]
    return [{"value": value_of(value), "label": label} for value, label in typed if value or label]


def _as_number(typed: str) -> int | str:
    try:
        return int(typed) if typed.isascii() and len(typed) < 8 else typed
    except ValueError:
        return typed


def as_typed(criteria: list[dict[str, Any]]) -> Criteria:
    """Return criteria in the shape in which the form gives them back, so that an untouched form changes nothing."""
    return [_typed_one(criterion) for criterion in criteria]


def _typed_one(criterion: Mapping[str, Any]) -> dict[str, Any]:
    kind = KINDS[criterion["kind"]]
    typed: dict[str, Any] = {"kind": criterion["kind"]}
    for field in ("label", "name", "hint"):
        typed[field] = criterion.get(field, "")
    for field in ("required", "cannot_judge", "overall", "negative"):
        if field in kind.fields:
            typed[field] = bool(criterion.get(field, field == "negative"))
    if "per" in kind.fields:
        typed["per"] = criterion.get("per", "item")
    if "asked_of" in kind.fields:
        asked = criterion.get("asked_of", kind.asked_of)
        typed["asked_of"] = [name for name, _ in ITEM_KINDS if name in asked]
    for rows in kind.rows:
        typed[rows] = [{"value": row["value"], "label": row["label"]} for row in criterion.get(rows, ())]
    return typed


# --- What the buttons do ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """Criteria after a button was pressed, and which of them it was about."""

    criteria: Criteria
    at: int | None = None  # stays or becomes open
    focus: str = ""  # the field or button of it that the next key is expected at
    came_from: list[int] | None = None  # for each, the place it had before; none: all stayed where they were

    def still_open(self, form: MultiDict[str, str]) -> set[int]:
        """Return the places of those that were open in the form, wherever the button moved them."""
        keys, are_open = list(dict.fromkeys(form.getlist("criterion"))), form.getlist("open")
        came_from = range(len(self.criteria)) if self.came_from is None else self.came_from
        return {place for place, old in enumerate(came_from) if old < len(keys) and keys[old] in are_open}


def press(action: str, criteria: Criteria) -> Done:
    """Do what a button says: `add:scale`, `up:2`, `down:2`, `remove:2`, `more:2:options`, `less:2:options:0`.

    Anything else changes nothing.
    """
    word, *rest = action.split(":")
    if word == "add" and rest and rest[0] in KINDS:
        return Done([*criteria, new_criterion(rest[0])], len(criteria), "label")
    at = _index(rest[:1], criteria)
    if at is None:
        return Done(criteria)
    if word in ("up", "down"):
        return _move(criteria, at, -1 if word == "up" else 1, word)
    if word == "remove":
        return Done(criteria[:at] + criteria[at + 1 :], came_from=_without(len(criteria), at))
    rows = rest[1] if len(rest) > 1 else ""
    if rows not in KINDS[criteria[at]["kind"]].rows:
        return Done(criteria)
    present = criteria[at][rows]
    if word == "more":
        return Done(_with_rows(criteria, at, rows, [*present, *_next_row(rows, present)]), at, rows)
    if word == "less" and (row := _index(rest[2:3], present)) is not None:
        return Done(_with_rows(criteria, at, rows, present[:row] + present[row + 1 :]), at, rows)
    return Done(criteria)


def new_criterion(kind: str) -> dict[str, Any]:
    """Return a criterion as one begins with it."""
    rows: dict[str, Any] = {name: [] for name in KINDS[kind].rows}
    if "points" in rows:
        rows["points"] = [{"value": value, "label": ""} for value in range(1, 6)]
    is_required = kind in ("ranking", "pairwise")
    return _typed_one({"kind": kind, "required": is_required, "asked_of": KINDS[kind].asked_of} | rows)


def _move(criteria: Criteria, at: int, step: int, word: str) -> Done:
    to = at + step
    if not 0 <= to < len(criteria):
        return Done(criteria, at, word)
    moved = [*criteria]
    moved[at], moved[to] = moved[to], moved[at]
    came_from = list(range(len(criteria)))
    came_from[at], came_from[to] = to, at
    return Done(moved, to, word, came_from)


def _without(count: int, at: int) -> list[int]:
    return [index for index in range(count) if index != at]


def _with_rows(criteria: Criteria, at: int, rows: str, changed: list[dict[str, Any]]) -> Criteria:
    return [*criteria[:at], criteria[at] | {rows: changed}, *criteria[at + 1 :]]


def _next_row(rows: str, present: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A further point has its number; of everything else an empty row is there already, and only waits for words."""
    if rows != "points":
        return []
    numbers = [row["value"] for row in present if isinstance(row["value"], int)]
    return [{"value": max(numbers) + 1 if numbers else 1, "label": ""}]


def _index(parts: list[str], of: list[Any]) -> int | None:
    if not parts or not (parts[0].isascii() and parts[0].isdigit()) or len(parts[0]) > 4:
        return None
    return int(parts[0]) if int(parts[0]) < len(of) else None


def is_same(one: Criteria, other: Criteria) -> bool:
    """Whether both ask the same."""
    return as_typed(completed(one)) == as_typed(completed(other))
