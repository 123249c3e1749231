"""The words that a search found, marked where they stand in a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from hitl.queue.words import Term, words_in

LOOKED_AT = 20_000  # characters of each text
BEFORE, LENGTH = 60, 200  # characters of a line: ahead of the first word found, and in all


@dataclass(frozen=True)
class Piece:
    """A stretch of a line."""

    text: str
    is_found: bool

    @property
    def is_after_blank(self) -> bool:
        return self.text[:1] == " "

    @property
    def is_before_blank(self) -> bool:
        return self.text[-1:] == " "


def found_in(text: str, terms: Sequence[Term], length: int = LENGTH) -> list[Piece] | None:
    """Return the line around the first word that was searched for, in pieces; None if none of them stands here."""
    line = " ".join(text[:LOOKED_AT].split())
    spots = _spots(line, terms)
    if not spots:
        return None
    start = max(0, spots[0][0] - BEFORE)
    start = line.rfind(" ", 0, start) + 1 if start else 0
    start = max(start, spots[0][0] - 2 * BEFORE)  # there may be no blank at all
    end = min(len(line), max(start + length, spots[0][1]))
    pieces = [Piece("…", False)] if start else []
    at = start
    for spot_start, spot_end in spots:
        if at <= spot_start and spot_end <= end:
            pieces += [Piece(line[at:spot_start], False)] if spot_start > at else []
            pieces.append(Piece(line[spot_start:spot_end], True))
            at = spot_end
    pieces += [Piece(line[at:end], False)] if at < end else []
    return [*pieces, Piece("…", False)] if end < len(line) else pieces


def _spots(line: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Return where terms stand, in order and without overlap."""
    words = list(words_in(line))
    spots: list[tuple[int, int]] = []
    for place in range(len(words)):
        for term in terms:
            if term.fits(words, place):
                start, end = words[place].start, _end(term, words, place)
                if spots and start < spots[-1][1]:
                    spots[-1] = (spots[-1][0], max(end, spots[-1][1]))
                else:
                    spots.append((start, end))
    return spots


def _end(term: Term, words: list, place: int) -> int:
    last = words[place + len(term.tokens) - 1]
    # Of one character that was searched for, the index has the pair that begins with it.
    is_one_character = term.is_start and term.tokens[-1][0] == "u" and len(term.tokens[-1]) == 6
    return last.start + 1 if is_one_character else last.end
