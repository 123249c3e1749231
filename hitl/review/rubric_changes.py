"""What a rubric asks otherwise than the one before, in sentences that a lead reads before publishing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SAID: dict[str, str | tuple[str, str]] = {
    "kind": "it is of another kind",
    "label": "it has another label",
    "hint": "its hint is another",
    "required": ("it may be left out", "it must be answered"),
    "cannot_judge": ("“cannot judge” is no answer any more", "“cannot judge” is an answer"),
    "overall": ("it is not the overall one any more", "it is the overall one"),
    "negative": ("its tags name nothing bad any more", "its tags name something wrong"),
    "per": "it is asked about something else",
    "asked_of": "it is asked of other kinds of item",
    "points": "its points",
    "options": "its options",
    "severities": "its severities",
}


def changes_between(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what changes, a sentence for each criterion that does; empty when both ask the same.

    before, after: criteria as they are stored. A criterion is known by its name.
    """
    old = {str(criterion["name"]): criterion for criterion in before}
    new = {str(criterion["name"]): criterion for criterion in after}
    return [*_gone_and_new(old, new), *_changed(old, new), *_moved(list(old), list(new))]


def _gone_and_new(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, criterion in new.items():
        if name not in old:
            yield f"“{criterion['label']}” is new: {criterion['kind']}."
    for name, criterion in old.items():
        if name not in new:
            yield f"“{criterion['label']}” is asked no more."


def _changed(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, criterion in new.items():
        if name in old:
            said = list(_differences(old[name], criterion))
            if said:
                yield f"“{old[name]['label']}”: {'; '.join(said)}."


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for field, words in _SAID.items():
        was, now = old.get(field), new.get(field)
        if was == now or (not was and not now):
            continue
        if field == "label":
            yield f"it is labelled “{now}”"
        elif isinstance(words, tuple):
            yield words[bool(now)]
        elif field in ("points", "options", "severities"):
            yield f"{words} change{_how_many(was, now)}"
        else:
            yield words


def _how_many(was: Any, now: Any) -> str:
    before, after = len(was or ()), len(now or ())
    return f", from {before} to {after}" if before != after else ""


def _moved(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    kept_before = [name for name in old if name in new]
    kept_after = [name for name in new if name in old]
    if kept_before != kept_after:
        yield "The criteria stand in another order."
