"""Which words leave and which come between two texts, drawn by the server so that it is read without scripts."""

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# How often a word of the one text meets its like in the other, summed: what comparing costs. Two answers of a
# thousand words each cost about 20,000, a few hundredths of a second.
MOST_MEETINGS = 60_000

# A word with the blanks after it. Scripts that put no blanks between words are compared letter by letter.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff"
_PIECES = re.compile(rf"^\s+|(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)\s*")
_WORD = re.compile(r"\w")

Kind = Literal["same", "out", "in"]


@dataclass(frozen=True)
class Change:
    """A stretch of text that stays, leaves or comes."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class WordDiff:
    """What turns one text into the other, in order. Blanks are shown as the second text has them."""

    changes: tuple[Change, ...]
    words_out: int
    words_in: int


def word_diff(before: str, after: str) -> WordDiff | None:
    """Return what turns one text into the other; None when they are too long to compare."""
    old, new = _pieces(before), _pieces(after)
    old_words, new_words = [piece.strip() for piece in old], [piece.strip() for piece in new]
    if _meetings(old_words, new_words) > MOST_MEETINGS:
        return None
    changes: list[Change] = []
    words: Counter[Kind] = Counter()

    def note(kind: Kind, pieces: list[str]) -> None:
        if pieces:
            changes.append(Change(kind, "".join(pieces)))
            words[kind] += sum(bool(_WORD.search(piece)) for piece in pieces)

    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            note("same", new[new_start:new_end])
        else:
            note("out", old[old_start:old_end])
            note("in", new[new_start:new_end])
    return WordDiff(tuple(changes), words["out"], words["in"])


def _pieces(text: str) -> list[str]:
    return [match.group() for match in _PIECES.finditer(text)]


def _meetings(old: list[str], new: list[str]) -> int:
    of_old, of_new = Counter(old), Counter(new)
    return sum(count * of_new[word] for word, count in of_old.items())
