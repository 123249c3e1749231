"""Which split a row is in: pure. Rows that share a conversation, an end user or an input stay together.

Rows come in the order of their inputs' hashes, so an input is a number, and a group's smallest input has its smallest
number. All that is kept of a row are a few bytes: a million rows fit in little memory.
"""

import hashlib
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hitl.datasets.selection import SPLITS, Shares, Split

LARGE_GROUP_SHARE = 0.2
_TIE_BYTES = 16
_WALKED_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class LargeGroup:
    """A group so large that the shares cannot be met well."""

    split: Split
    rows: int
    share: float
    smallest_input_hash: str


def tie_digest(name: str) -> bytes:
    """Return 128 bits of a hash that stand for a tie's name, such as "conversation:…"."""
    return hashlib.blake2b(name.encode(), digest_size=_TIE_BYTES).digest()


class Groups:
    """The connected components of rows, gathered row by row (union-find with path halving, by smallest root)."""

    def __init__(self, held_out: Collection[str] = (), held_out_ties: Collection[bytes] = ()) -> None:
        """Start with no row.

        held_out, held_out_ties: inputs, and digests of ties, of which rows were once in test; their groups go there.
        """
        self._held_out = held_out
        self._held_out_ties = held_out_ties
        self._last_input = ""
        self._rows_of_input = array("I")
        self._is_held_out = bytearray()
        self._ties = bytearray()  # _TIE_BYTES each
        self._input_of_tie = array("I")
        self._parent = array("I")
        self._are_joined = True

    def add_rows(self, input_hashes: Iterable[str], ties: Iterable[Iterable[bytes]]) -> None:
        """Note rows: their inputs, and digests of what else ties each to other rows. Inputs come in their order."""
        last, number = self._last_input, len(self._parent) - 1
        for input_hash, ties_of_row in zip(input_hashes, ties, strict=True):
            if input_hash != last:
                if input_hash < last:
                    raise ValueError("rows must come in the order of their inputs")
                last, number = input_hash, number + 1
                self._parent.append(number)
                self._rows_of_input.append(0)
                self._is_held_out.append(input_hash in self._held_out)
            self._rows_of_input[number] += 1
            for tie in ties_of_row:
                self._ties += tie
                self._input_of_tie.append(number)
                if tie in self._held_out_ties:
                    self._is_held_out[number] = True
        self._last_input = last
        self._are_joined = False

    def splits(self, seed: str, shares: Shares) -> "Splits":
        """Return what says the split of each input. No row comes after that: what tied the rows is forgotten.

        seed: moves groups between splits as a whole; the same seed and group give the same split everywhere.
        """
        self._join_all()
        self._ties, self._input_of_tie = bytearray(), array("I")
        tested = bytearray(len(self._parent))
        for number, is_held_out in enumerate(self._is_held_out):
            if is_held_out:
                tested[self._root(number)] = True
        roots = array("I", (self._root(number) for number in range(len(self._parent))))
        return Splits(roots, tested, self._large(), seed, shares)

    @property
    def count(self) -> int:
        """How many groups there are."""
        self._join_all()
        return sum(number == parent for number, parent in enumerate(self._parent))

    def _large(self) -> dict[int, tuple[int, float]]:
        """Return rows and share of the groups of several rows with more than a fifth of all, by their root."""
        rows = array("I", bytes(4 * len(self._parent)))
        for number, count in enumerate(self._rows_of_input):
            rows[self._root(number)] += count
        total = sum(self._rows_of_input)
        return {
            root: (count, count / total)
            for root, count in enumerate(rows)
            if count > 1 and count / total > LARGE_GROUP_SHARE  # one row alone is a small dataset, not a large group
        }

    def _join_all(self) -> None:
        """Join the inputs of each tie: sorted, equal ties lie side by side."""
        if self._are_joined or not self._ties:
            return
        count = len(self._input_of_tie)
        ties = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_TIE_BYTES), count, [None, pa.py_buffer(self._ties)])
        order = pc.sort_indices(ties)
        before: bytes | None = None
        first = 0
        for start in range(0, count, _WALKED_AT_ONCE):
            part = order.slice(start, _WALKED_AT_ONCE)
            for tie, place in zip(ties.take(part).to_pylist(), part.to_pylist(), strict=True):
                if tie == before:
                    self._join(first, self._input_of_tie[place])
                else:
                    before, first = tie, self._input_of_tie[place]
        self._are_joined = True

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self._parent[max(one, other)] = min(one, other)


class Splits:
    """The split of each input, asked for in the same order in which the rows came."""

    def __init__(
        self, roots: "array[int]", tested: bytearray, large: dict[int, tuple[int, float]], seed: str, shares: Shares
    ) -> None:
        self._roots, self._tested, self._large = roots, tested, large
        self._seed, self._shares = seed, shares
        self._number = -1
        self._last_input = ""
        self._split_of_root = bytearray(len(roots))  # its place in SPLITS
        self._split: Split = "train"
        self.large_groups: list[LargeGroup] = []  # complete once all inputs were asked for

    def of(self, input_hash: str) -> Split:
        """Return the split of an input."""
        if input_hash == self._last_input:
            return self._split
        self._last_input = input_hash
        self._number += 1
        root = self._roots[self._number]
        if root == self._number:  # the smallest input of its group
            self._split = "test" if self._tested[root] else split_of(self._seed, input_hash, self._shares)
            if root in self._large:
                self._note_large(root, input_hash)
            self._split_of_root[root] = SPLITS.index(self._split)
        else:
            self._split = SPLITS[self._split_of_root[root]]
        return self._split

    def _note_large(self, root: int, input_hash: str) -> None:
        rows, share = self._large[root]
        self.large_groups.append(LargeGroup(self._split, rows, share, input_hash))
        self.large_groups.sort(key=lambda group: (-group.rows, group.smallest_input_hash))


def split_of(seed: str, smallest_input_hash: str, shares: Shares) -> Split:
    """Return the split of the group whose smallest input hash this is.

    The first 64 bits of SHA-256 of seed and hash are read as a fraction of 1: below the test share is test, then comes
    validation, then train.
    """
    digest = hashlib.sha256(f"{seed}\n{smallest_input_hash}".encode()).digest()
    fraction = int.from_bytes(digest[:8]) / 2**64
    if fraction < shares.test:
        return "test"
    # A train share of 0 must be empty even where the other two do not sum to 1 exactly.
    return "validation" if shares.train == 0 or fraction < shares.test + shares.validation else "train"
