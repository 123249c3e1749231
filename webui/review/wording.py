"""What somebody answered, in the words of the rubric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hitl.review.judged import Judged
from hitl.review.rubrics import (
    ALL_BAD,
    BOTH_BAD,
    CANNOT_JUDGE,
    EQUAL,
    Choice,
    Corrected,
    Criterion,
    Pairwise,
    Ranked,
    Scale,
    Spans,
    Tags,
    Text,
    Thumbs,
)

_ORDERS = {ALL_BAD: "all bad", BOTH_BAD: "both bad", EQUAL: "equal", CANNOT_JUDGE: "cannot judge"}


def turn_names(judged: Judged) -> dict[str, str]:
    """Return what the page calls the assistant's messages, by their place as answers spell it: "turn 1" and so on."""
    return {str(place): f"turn {number}" for number, place in enumerate(judged.turns, start=1)}


def in_short(criterion: Criterion, value: Any, names: Mapping[str, str]) -> str:
    """Return an answer with its criterion, such as "Helpful 4" or "Helpful: A 4, B cannot judge".

    names: what the page calls the responses and messages, by how the answer does.
    """
    if isinstance(criterion, Ranked | Pairwise) or criterion.per != "item":
        return f"{criterion.label}: {in_words(criterion, value, names)}"
    words = in_words(criterion, value, names)
    if isinstance(criterion, Corrected):
        return words
    is_number = isinstance(criterion, Scale | Thumbs) and value != CANNOT_JUDGE
    return f"{criterion.label}{'' if is_number else ':'} {words}"


def in_words(criterion: Criterion, value: Any, names: Mapping[str, str]) -> str:
    """Return an answer in words: "4", "Made up, Rude", "B › A = C", "turn 1 up, turn 2 down"."""
    if isinstance(criterion, Ranked | Pairwise):
        return order_in_words(value, names)
    if criterion.per == "item":
        return _one_in_words(criterion, value)
    parts = {names.get(part, part): said for part, said in value.items()}
    # In the order of the page: by letter, or by turn.
    in_order = sorted(parts.items(), key=lambda part: (len(part[0]), part[0]))
    return ", ".join(f"{name} {_one_in_words(criterion, said)}" for name, said in in_order)


def order_in_words(value: Any, letters: Mapping[str, str]) -> str:
    """Return how somebody put responses in order: "B › A = C", "A much better", "all bad"."""
    if isinstance(value, str):
        return _ORDERS[value]
    if isinstance(value, Mapping):
        return f"{letters[value['better']]} {value['strength']} better"
    return " › ".join(" = ".join(sorted(letters[name] for name in tied)) for tied in value)


def _one_in_words(criterion: Criterion, value: Any) -> str:
    if value == CANNOT_JUDGE and not isinstance(criterion, Text):
        return "cannot judge"
    match criterion:
        case Choice() | Tags():
            labels = {option.value: option.label for option in criterion.options}
            return ", ".join(labels[one] for one in _listed(value))
        case Corrected():
            return "Corrected"
        case Text():
            return f"“{value}”"
        case Spans():
            return _marked_in_words(criterion, value)
        case _:
            return str(value)


def _marked_in_words(criterion: Spans, spans: Sequence[Mapping[str, Any]]) -> str:
    """Count by label: "Made up" or "Made up × 2, Rude"."""
    counts = Counter(span["label"] for span in spans)
    labels = [(option.label, counts[option.value]) for option in criterion.options]
    return ", ".join(label if count == 1 else f"{label} × {count}" for label, count in labels if count)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
