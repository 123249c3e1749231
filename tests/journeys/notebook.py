"""What people said, noted as they said it, and what training rows must come of it: counted here anew, by hand."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

Order = list[list[str]]  # texts, best first; equal ones together

DISTANCE_OF = {"much": 2.0, "slightly": 1.0}


class Row(NamedTuple):
    """A preference pair as it must be exported."""

    chosen: str
    rejected: str
    agreement: float
    margin: float | None


class Vote(NamedTuple):
    """What one person said about two texts."""

    better: str | None  # None: neither
    distance: float


@dataclass
class Notebook:
    """What one person said, in the words that they read."""

    votes: dict[frozenset[str], list[Vote]] = field(default_factory=lambda: defaultdict(list))
    compared: Counter[frozenset[str]] = field(default_factory=Counter)
    corrections: set[tuple[str, str]] = field(default_factory=set)
    worth_imitating: set[str] = field(default_factory=set)
    verdicts: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    has_found_all_bad: bool = False

    def found(self, text: str, *, is_good: bool) -> None:
        self.verdicts[text].append(is_good)

    def demonstrated(self, text: str) -> None:
        self.worth_imitating.add(text)

    def corrected(self, text: str, correction: str) -> None:
        self.corrections.add((correction, text))
        self.worth_imitating.add(correction)

    def tagged(self, text: str) -> None:
        self.wrong.append(text)

    def ranked(self, order: Order) -> None:
        place_of = {text: place for place, group in enumerate(order) for text in group}
        self.compared[frozenset(place_of)] += 1
        for one, other in combinations(place_of, 2):
            distance = place_of[other] - place_of[one]
            better = None if distance == 0 else one if distance > 0 else other
            self.votes[frozenset((one, other))].append(Vote(better, float(abs(distance))))

    def chose(self, texts: list[str], strength: str | None) -> None:
        """Of two texts the first is better, by so much; None: they are equal."""
        self.compared[frozenset(texts)] += 1
        vote = Vote(texts[0], DISTANCE_OF[strength]) if strength else Vote(None, 0.0)
        self.votes[frozenset(texts)].append(vote)

    def found_all_bad(self, texts: list[str]) -> None:
        self.has_found_all_bad = True
        self.compared[frozenset(texts)] += 1
        for one, other in combinations(texts, 2):
            self.votes[frozenset((one, other))].append(Vote(None, 0.0))


def best_first(texts: Iterable[str], coarseness: float) -> Order:
    """The order of someone who likes plain words: by their mean length, in steps of `coarseness` letters."""
    groups: dict[int, list[str]] = defaultdict(list)
    for text in texts:
        words = text.split()
        groups[int(sum(map(len, words)) / len(words) / coarseness)].append(text)
    return [groups[step] for step in sorted(groups)]


def pairs_by_majority(notes: Iterable[Notebook]) -> set[Row]:
    """The pairs that more than half of those who judged two texts wanted, and every correction over its original."""
    notes = list(notes)
    votes: dict[frozenset[str], list[Vote]] = defaultdict(list)
    for note in notes:
        for texts, said in note.votes.items():
            votes[texts] += said
    rows = {Row(better, worse, 1.0, None) for note in notes for better, worse in note.corrections}
    for texts, said in votes.items():
        for better in texts:
            distances = [vote.distance for vote in said if vote.better == better]
            if len(distances) * 2 > len(said):
                (worse,) = texts - {better}
                margin = math.fsum(distances) / len(distances)
                rows.add(Row(better, worse, len(distances) / len(said), margin))
    return rows


def verdicts_by_majority(notes: Iterable[Notebook], thumbs: Iterable[tuple[str, bool]]) -> set[tuple[str, bool]]:
    """What more than half of the reviewers found about a text; where none looked, what end users did."""
    found: dict[str, list[bool]] = defaultdict(list)
    for note in notes:
        for text, said in note.verdicts.items():
            found[text] += said
    by_users: dict[str, list[bool]] = defaultdict(list)
    for text, is_good in thumbs:
        by_users[text].append(is_good)
    rows = {**by_users, **found}
    return {
        (text, is_good)
        for text, said in rows.items()
        for is_good in (True, False)
        if said.count(is_good) * 2 > len(said)
    }
