"""Which split a row is in: pure. Rows that share a conversation, an end user or an input stay together."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hitl.datasets.selection import Shares, Split

LARGE_GROUP_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class LargeGroup:
    """A group so large that the shares cannot be met well."""

    split: Split
    rows: int
    share: float
    smallest_input_hash: str


class Groups:
    """The connected components of rows, built up row by row (union-find with path halving, by smallest root)."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._parent: list[int] = []
        self._rows_of_input: dict[str, int] = {}

    def add_row(self, input_hash: str, ties: Iterable[str]) -> None:
        """Note a row: its input, and the names of what else ties it to other rows (conversations, end users)."""
        root = self._root(self._number(f"input:{input_hash}"))
        for tie in ties:
            root = self._join(root, self._root(self._number(tie)))
        self._rows_of_input[input_hash] = self._rows_of_input.get(input_hash, 0) + 1

    def splits(self, seed: str, shares: Shares, held_out: Collection[str] = frozenset()) -> dict[str, Split]:
        """Return the split of each input.

        seed: moves groups between splits as a whole; the same seed and group give the same split everywhere.
        held_out: inputs that were once in test; their groups go to test whole.
        """
        smallest = self._smallest_inputs()
        tested = {self._group_of(input_hash) for input_hash in self._rows_of_input if input_hash in held_out}
        split_of_group: dict[int, Split] = {
            group: "test" if group in tested else split_of(seed, input_hash, shares)
            for group, input_hash in smallest.items()
        }
        return {input_hash: split_of_group[self._group_of(input_hash)] for input_hash in self._rows_of_input}

    def large_groups(self, splits: dict[str, Split]) -> list[LargeGroup]:
        """Return the groups of several rows with more than a fifth of all, largest first."""
        rows: dict[int, int] = {}
        for input_hash, count in self._rows_of_input.items():
            group = self._group_of(input_hash)
            rows[group] = rows.get(group, 0) + count
        total = sum(rows.values())
        smallest = self._smallest_inputs()
        large = [
            LargeGroup(splits[smallest[group]], count, count / total, smallest[group])
            for group, count in rows.items()
            if count > 1 and count / total > LARGE_GROUP_SHARE  # one row alone is a small dataset, not a large group
        ]
        return sorted(large, key=lambda group: (-group.rows, group.smallest_input_hash))

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self._smallest_inputs())

    def _smallest_inputs(self) -> dict[int, str]:
        smallest: dict[int, str] = {}
        for input_hash in self._rows_of_input:
            group = self._group_of(input_hash)
            if group not in smallest or input_hash < smallest[group]:
                smallest[group] = input_hash
        return smallest

    def _group_of(self, input_hash: str) -> int:
        return self._root(self._number_of[f"input:{input_hash}"])

    def _number(self, name: str) -> int:
        number = self._number_of.setdefault(name, len(self._parent))
        if number == len(self._parent):
            self._parent.append(number)
        return number

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def _join(self, one: int, other: int) -> int:
        root, child = min(one, other), max(one, other)
        self._parent[child] = root
        return root


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
