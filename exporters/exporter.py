"""The base of all formats: it streams rows into one file per split and finishes the folder in one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import orjson

from exporters.card import dataset_card
from exporters.errors import ExportFailed, NothingToExport, RowRefused, WrongKind
from exporters.files import HashedFile, JsonLines, RowFile
from exporters.folder import new_folder, reporting
from exporters.plain import ensure_plain
from exporters.rows import Example, Row

SPLITS = ("train", "validation", "test")  # the names that load_dataset and TRL know

# So many refused rows are named one by one; beyond that they are counted, lest a hopeless export fills the memory.
REFUSALS_LISTED = 10_000

E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was left out, and why."""

    id: str
    split: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of a split's rows, as it lies in the folder; its name is the path in there."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class Exported:
    """What an export made: rows per split, what was refused, and the files."""

    format: str
    kind: str = ""  # of the rows: "preference", "demonstration" or "verdict"
    counts: dict[str, int] = field(default_factory=dict)  # rows written, by split
    refused: list[Refused] = field(default_factory=list)  # the first REFUSALS_LISTED
    refused_by_code: Counter[str] = field(default_factory=Counter)  # all of them
    files: list[WrittenFile] = field(default_factory=list)

    @property
    def refused_count(self) -> int:
        return self.refused_by_code.total()

    @property
    def files_hash(self) -> str:
        """Differs when what the files hold does."""
        return sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()

    def refuse(self, example: Example, why: RowRefused) -> None:
        self.refused_by_code[why.code] += 1
        if len(self.refused) < REFUSALS_LISTED:
            self.refused.append(Refused(example.id, example.split, why.code, why.reason))

    def manifest(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """What the folder says of itself. No time and no path, so that the same rows give the same bytes."""
        return {
            "format": self.format,
            "kind": self.kind,
            "source": dict(source),
            "rows": self.counts,
            "refused": {
                "count": self.refused_count,
                "by_code": dict(sorted(self.refused_by_code.items())),
                "rows": [asdict(row) for row in self.refused],
            },
            "files": [asdict(file) for file in self.files],
        }


class Exporter(ABC, Generic[E]):
    """One file format. A subclass names it and says how one example becomes one row; the rest is here."""

    name: ClassVar[str]
    kind: ClassVar[frozenset[str]]  # the kinds of rows it can write: "preference", "demonstration", "verdict"
    suffix: ClassVar[str] = "jsonl"
    extra_files: ClassVar[Mapping[str, str]] = {}  # beside README.md and manifest.json: name → what it is for

    @abstractmethod
    def row(self, example: E) -> Row:
        """The example as one row of the file. Pure. Raises RowRefused for what the format cannot express."""

    def features(self, kind: str) -> list[tuple[str, str]]:
        """The columns for the dataset card, where the files themselves do not say."""
        return []

    def file_name(self, split: str) -> str:
        """Where the split's rows lie in the folder; with a `*` where they may lie in several files."""
        return f"{split}.{self.suffix}"

    def open(self, path: Path, kind: str) -> RowFile:
        return JsonLines(path)

    def card(self, exported: Exported, source: Mapping[str, Any]) -> str:
        """README.md, which tells `datasets` what lies in the folder."""
        names = {split: self.file_name(split) for split in exported.counts}
        return dataset_card(self.name, names, self.features(exported.kind), exported.files_hash)

    def extras(self, exported: Exported) -> dict[str, bytes]:
        """What the extra files hold, by their names."""
        return {}

    def write(self, examples: Iterable[E], out: Path, source: Mapping[str, Any] | None = None) -> Exported:
        """Write the examples into a new folder: one file per split that has rows, README.md and manifest.json.

        Rows keep their order within a split, so the caller decides it. Rows the format cannot express are left out,
        counted and named in the result and in the manifest. `source` (the dataset's name and version, say) goes into
        the manifest as it is.
        Raises OutputNotEmpty, WrongKind, NothingToExport or ExportFailed; each leaves nothing behind.
        """
        ensure_plain(dict(source or {}), "source")
        with new_folder(out) as folder, _Export(self, folder, out) as export:
            for example in examples:
                export.add(example)
            return export.finish(source or {})

    def rehearse(self, examples: Iterable[E]) -> Exported:
        """Say what `write` would write and refuse of these examples, without any file. Raises WrongKind."""
        rehearsal = _Export(self, Path(), Path())
        for example in examples:
            rehearsal.try_out(example)
        return rehearsal.exported


class _Export(Generic[E]):
    """One run of an exporter: the files it has open and what it has seen so far."""

    def __init__(self, exporter: Exporter[E], folder: Path, out: Path) -> None:
        self.exporter = exporter
        self.folder = folder
        self.out = out
        self.exported = Exported(exporter.name)
        self.files: dict[str, RowFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of what `finish` has not closed."""
        for file in self.files.values():
            file.abandon()

    def add(self, example: E) -> None:
        self.ensure_kind(example)
        try:
            row = self.checked_row(example)
        except RowRefused as why:
            self.exported.refuse(example, why)
            return
        try:  # not `reporting`, which costs as much as the row
            self.file(example.split).add(row)
        except OSError as error:
            raise ExportFailed(self.out / self.exporter.file_name(example.split), error) from error

    def try_out(self, example: E) -> None:
        self.ensure_kind(example)
        try:
            self.checked_row(example)
        except RowRefused as why:
            self.exported.refuse(example, why)
        else:
            self.exported.counts[example.split] = self.exported.counts.get(example.split, 0) + 1

    def ensure_kind(self, example: E) -> None:
        if example.kind == self.exported.kind:
            return
        wanted = {self.exported.kind} if self.exported.kind else self.exporter.kind
        if example.kind not in wanted:
            raise WrongKind(self.exporter.name, example.kind, wanted)
        self.exported.kind = example.kind

    def checked_row(self, example: E) -> Row:
        if example.split not in SPLITS:
            raise RowRefused(f"{example.split!r} is none of {', '.join(SPLITS)}", "unknown_split")
        row = self.exporter.row(example)
        ensure_plain(row)
        return row

    def file(self, split: str) -> RowFile:
        if split not in self.files:
            path = self.folder / self.exporter.file_name(split)
            path.parent.mkdir(exist_ok=True)
            self.files[split] = self.exporter.open(path, self.exported.kind)
        return self.files[split]

    def finish(self, source: Mapping[str, Any]) -> Exported:
        if not self.files:
            raise NothingToExport(self.exported.refused, self.exported.refused_count)
        for split in SPLITS:
            if split in self.files:
                self.finish_split(split)
        self.write_text("README.md", self.exporter.card(self.exported, source).encode())
        for name, text in self.exporter.extras(self.exported).items():
            self.write_text(name, text)
        manifest = self.exported.manifest(source)
        self.write_text("manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return self.exported

    def finish_split(self, split: str) -> None:
        file = self.files[split]
        with reporting(self.out / self.exporter.file_name(split)):
            file.close()
        self.exported.counts[split] = file.rows
        for one in file.files():
            name = one.path.relative_to(self.folder).as_posix()
            self.exported.files.append(WrittenFile(name, split, one.rows, one.file.bytes, one.file.sha256))

    def write_text(self, name: str, text: bytes) -> None:
        with reporting(self.out / name), closing(HashedFile(self.folder / name)) as file:
            file.write(text)
