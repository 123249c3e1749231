"""Texts in which passages are marked, and what was marked in them.

A page shows such a text as it was written, and not its Markdown: marks are counted in the characters that are stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hitl.review.rubrics import Rubric, Spans
from hitl.review.spans import MAX_SPANS, text_hash
from webui.base.captured_text import plain_pieces


@dataclass(frozen=True)
class Words:
    """A text in which passages can be marked."""

    id: str  # in the page
    text: str

    @property
    def pieces(self) -> list[list[str]]:
        """The text as the script gets it, see `plain_pieces`."""
        return plain_pieces(self.text)

    @property
    def text_hash(self) -> str:
        """What marks of this text carry."""
        return text_hash(self.text)


@dataclass(frozen=True)
class Marked:
    """One passage, in words."""

    label: str
    severity: str  # empty where it is not asked
    quote: str


def marking(criterion: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Return what the form needs beside a criterion to mark passages of a text."""
    asked = {"labels": criterion["options"], "severities": criterion["severities"], "max": MAX_SPANS}
    return {"words_id": words.id, "marking": asked}


def marked_in(
    rubric: Rubric, criterion: Mapping[str, Any], answers: Mapping[str, Any], words: Words | None
) -> list[Marked]:
    """Return the passages marked under a criterion of the form, which may be about a part; nothing for other kinds."""
    name = criterion.get("asked", criterion["name"])
    asked = next(one for one in rubric.criteria if one.name == name)
    answer = answers.get(name)
    if "part" in criterion:
        answer = answer.get(criterion["part"]) if isinstance(answer, Mapping) else None
    return passages(asked, answer, words.text) if isinstance(asked, Spans) and words else []


def passages(criterion: Spans, answer: Any, text: str) -> list[Marked]:
    """Return the passages that an answer marks; those that fit the text, for a draft may hold anything."""
    labels = {option.value: option.label for option in criterion.options}
    severities = {severity.value: severity.label for severity in criterion.severities}
    found = [span for span in answer if _fits(span, len(text), labels)] if isinstance(answer, list) else []
    return [
        Marked(labels[span["label"]], severities.get(str(span.get("severity")), ""), text[span["start"] : span["end"]])
        for span in found
    ]


def _fits(span: Any, length: int, labels: Mapping[str, str]) -> bool:
    if not isinstance(span, Mapping):
        return False
    start, end, label = span.get("start"), span.get("end"), span.get("label")
    is_inside = type(start) is int and type(end) is int and 0 <= start < end <= length
    return is_inside and isinstance(label, str) and label in labels
