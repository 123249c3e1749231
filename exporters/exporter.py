"""The base of all formats: it streams rows into one file per split and finishes the folder in one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from exporters.batches import Line, examples_of
from exporters.card import dataset_card
from exporters.errors import ExportFailed, NothingToExport, RowRefused, WrongKind
from exporters.files import HashedFile, JsonLines, RowFile
from exporters.folder import new_folder, reporting
from exporters.plain import ensure_plain
from exporters.rows import SPLITS, Example, Row

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


@dataclass(frozen=True, slots=True)
class Made:
    """Which rows of a batch are plain, and those in the shape that the format's file takes."""

    is_plain: pa.BooleanArray
    rows: Any  # lines of JSON, or an Arrow table


class Exporter(ABC, Generic[E]):
    """One file format. A subclass names it and says how one example becomes one row; the rest is here."""

    name: ClassVar[str]
    kind: ClassVar[frozenset[str]]  # the kinds of rows it can write: "preference", "demonstration", "verdict"
    suffix: ClassVar[str] = "jsonl"
    extra_files: ClassVar[Mapping[str, str]] = {}  # beside README.md and manifest.json: name → what it is for

    @abstractmethod
    def row(self, example: E) -> Row:
        """The example as one row of the file. Pure. Raises RowRefused for what the format cannot express."""

    def line(self, kind: str) -> Line | None:
        """How to spell plain rows of a kind without parsing them, just as `row` does; None: there is no such way."""
        return None

    def made(self, batch: pa.RecordBatch, kind: str) -> Made | None:
        """The plain rows of a batch as the file takes them; None where the format goes row by row."""
        line = self.line(kind)
        if line is None:
            return None
        is_plain = line.plain.rows(batch)
        return Made(is_plain, line.of(batch.filter(is_plain)))

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
        with self.exporting(out, source or {}) as export:
            for example in examples:
                export.add(example)
            return export.finish(source or {})

    def write_batches(
        self, batches: Iterable[pa.RecordBatch], kind: str, out: Path, source: Mapping[str, Any] | None = None
    ) -> Exported:
        """Do as `write`, with rows in columns: named as the fields of their kind, messages and tools as JSON text."""
        with self.exporting(out, source or {}) as export:
            for batch in batches:
                export.add_batch(batch, kind)
            return export.finish(source or {})

    @contextmanager
    def exporting(self, out: Path, source: Mapping[str, Any]) -> Iterator[_Export[E]]:
        ensure_plain(dict(source), "source")
        with new_folder(out) as folder, _Export(self, folder, out) as export:
            yield export

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
        row = self.row_or_none(example)
        if row is None:
            return
        try:  # not `reporting`, which costs as much as the row
            self.file(example.split).add(row)
        except OSError as error:
            raise ExportFailed(self.out / self.exporter.file_name(example.split), error) from error

    def add_batch(self, batch: pa.RecordBatch, kind: str) -> None:
        self.ensure_kind(kind)
        made = self.exporter.made(batch, kind)
        if made is None:
            for example in examples_of(batch, kind):
                self.add(cast(E, example))
            return
        places = pc.indices_nonzero(made.is_plain)
        others: dict[int, tuple[str, Row]] = {}
        if len(places) < batch.num_rows:
            rare = pc.indices_nonzero(pc.invert(made.is_plain))
            for place, example in zip(rare.to_pylist(), examples_of(batch.take(rare), kind), strict=True):
                row = self.row_or_none(cast(E, example))
                if row is not None:
                    others[place] = (example.split, row)
        splits = batch.column("split")
        for split in SPLITS:
            is_here = pc.equal(splits.take(places), split)
            self.add_to_split(
                split,
                made.rows.filter(is_here),
                places.filter(is_here),
                {place: row for place, (its_split, row) in others.items() if its_split == split},
            )

    def add_to_split(self, split: str, made: Any, places: pa.Array, others: dict[int, Row]) -> None:
        if not len(places) and not others:
            return
        order = pc.sort_indices(pa.concat_arrays([places, pa.array(others, places.type)]))
        try:
            self.file(split).add_batch(made, list(others.values()), order)
        except OSError as error:
            raise ExportFailed(self.out / self.exporter.file_name(split), error) from error

    def row_or_none(self, example: E) -> Row | None:
        self.ensure_kind(example.kind)
        try:
            return self.checked_row(example)
        except RowRefused as why:
            self.exported.refuse(example, why)
            return None

    def try_out(self, example: E) -> None:
        if self.row_or_none(example) is not None:
            self.exported.counts[example.split] = self.exported.counts.get(example.split, 0) + 1

    def ensure_kind(self, kind: str) -> None:
        if kind == self.exported.kind:
            return
        wanted = {self.exported.kind} if self.exported.kind else self.exporter.kind
        if kind not in wanted:
            raise WrongKind(self.exporter.name, kind, wanted)
        self.exported.kind = kind

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
