"""Spans: passages of a text that a reviewer marks.

They are counted in Unicode code points of the words as they are stored, and carry the hash of those words, so that a
span never slips onto another text. Spans may overlap.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from hitl.review.rubrics import Spans

MAX_SPANS = 500  # in one text
FIELDS = frozenset({"start", "end", "label", "severity", "text_hash"})


class SpanRefused(Exception):
    """A span does not fit. The message says why."""


def text_hash(words: str) -> str:
    """Return the hash of the words that spans are counted in: SHA-256 in hexadecimal."""
    return hashlib.sha256(words.encode()).hexdigest()


def read_spans(criterion: Spans, given: Any, words: str) -> list[dict[str, Any]]:
    """Return the spans in the order of the text, each with all its fields. Raises SpanRefused."""
    if not isinstance(given, list):
        raise SpanRefused("Send a list of spans.")
    if len(given) > MAX_SPANS:
        raise SpanRefused(f"Mark at most {MAX_SPANS:,} passages of one text.")
    expected = text_hash(words)
    spans = [_read_span(criterion, span, len(words), expected) for span in given]
    marked = [(span["start"], span["end"], span["label"]) for span in spans]
    if len(set(marked)) < len(marked):
        raise SpanRefused("Mark a passage with the same label once.")
    return sorted(spans, key=lambda span: (span["start"], span["end"], span["label"]))


def _read_span(criterion: Spans, span: Any, length: int, expected_hash: str) -> dict[str, Any]:
    if not isinstance(span, Mapping) or not span.keys() <= FIELDS:
        raise SpanRefused(f"A span has {', '.join(sorted(FIELDS))}, and nothing else.")
    start, end = span.get("start"), span.get("end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        raise SpanRefused("A span starts at 0 or later and ends after its start.")
    if span.get("text_hash") != expected_hash:
        raise SpanRefused("A span was marked in another text. Load the page again.")
    if end > length:
        raise SpanRefused(f"A span ends after the text, which has {length:,} characters.")
    return {
        "start": start,
        "end": end,
        "label": _one_of(span.get("label"), [option.value for option in criterion.options], "label"),
        "severity": _severity(criterion, span.get("severity")),
        "text_hash": expected_hash,
    }


def _severity(criterion: Spans, given: Any) -> str | None:
    if not criterion.severities:
        if given is not None:
            raise SpanRefused("How bad a passage is, is not asked here.")
        return None
    return _one_of(given, [severity.value for severity in criterion.severities], "severity")


def _one_of(given: Any, values: list[str], what: str) -> str:
    if not isinstance(given, str) or given not in values:
        raise SpanRefused(f"The {what} of a span is one of {', '.join(values)}.")
    return given
