"""Responses from a file with one JSON object a line, gzipped or not, or from a table.

A file can be captured again at any time, after it broke off or grew: what is in already is a duplicate. A row without a
`client_id` gets one from the line's content and from how many equal lines came before it in the file, so that a second
run, or a longer copy of the file, does not double it.
"""

import base64
import gzip
import hashlib
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import UUID

import orjson
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.errors import CaptureStopped, FileUnreadable, RowInvalid, TooBig
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.json_values import read_json
from hitl.capture.mapping import Mapping
from hitl.capture.results import Result
from hitl.capture.tables import GZIP_MAGIC, Table, TableRow, as_line
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.core.secrets import Keys

ROWS_A_BATCH = 500
BYTES_A_BATCH = 16 * 1024 * 1024
STDIN = "-"
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
RUN_AGAIN = "Run the same command again: what is in already is skipped."


@dataclass(frozen=True)
class Line:
    """One line of the file; of one that is too long, only the beginning."""

    number: int  # from 1
    text: bytes
    is_too_long: bool = False


@dataclass(frozen=True)
class TableLine(Line):
    """One row of a table; its text is its cells as JSON."""

    row: TableRow | None = None


@dataclass(frozen=True)
class Reading:
    """What a line says: a response, and what end users said about it (without naming it)."""

    row: Any
    feedback: list[dict[str, Any]] = field(default_factory=list)


class Readable(Protocol):
    """Where lines come from, and how each is read."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def size(self) -> int | None:
        """Bytes on the disk; none for a stream."""

    @property
    def position(self) -> int:
        """How many of them were read."""

    def lines(self) -> Iterator[Line]:
        """Yield the lines. Raises FileUnreadable when the data break off."""

    def read(self, line: Line) -> Reading:
        """Return what a line says. Raises RowInvalid."""


@dataclass
class Tally:
    """How far it came."""

    lines: int = 0
    created: int = 0
    duplicates: int = 0
    rejected: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


@dataclass
class Source:
    """An open file, read line by line."""

    name: str
    raw: IO[bytes]  # what lies on the disk: tells how far it was read
    text: IO[bytes]
    size: int | None  # bytes on the disk; none for a stream
    max_line_bytes: int
    equal_lines: Counter[bytes] = field(default_factory=Counter)

    @property
    def position(self) -> int:
        """How many bytes were read from the disk."""
        return self.raw.tell() if self.size is not None else 0

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are not blank. Raises FileUnreadable, naming the line, when the data break off."""
        number = 0
        try:
            while text := self.text.readline(self.max_line_bytes + 1):
                number += 1
                is_too_long = len(text) > self.max_line_bytes
                if is_too_long:
                    self._skip_to_next_line(text)
                if number == 1:
                    text = self._start(text)
                if text.strip():
                    yield Line(number, text.strip(), is_too_long)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileUnreadable(
                f"The gzip data of {self.name} are damaged or break off after line {number} ({error}). "
                f"The lines before are in. Fetch the file anew. {RUN_AGAIN}"
            ) from error
        except OSError as error:
            raise FileUnreadable(
                f"{self.name} could not be read on after line {number}: {error}. The lines before are in. {RUN_AGAIN}"
            ) from error

    def read(self, line: Line) -> Reading:
        """Return what a line says. Raises RowInvalid."""
        if line.is_too_long:
            raise TooBig(f"This line is longer than {self.max_line_bytes:,} bytes; only its beginning is kept here.")
        try:
            row = read_json(line.text)
        except UnicodeDecodeError as error:
            raise RowInvalid(f"This line is not UTF-8: byte {error.start + 1} is not part of a character.") from error
        except ValueError as error:
            raise RowInvalid(f"This line is not valid JSON: {error}.") from error
        return Reading(_with_client_id(row, line, self.equal_lines))

    def _skip_to_next_line(self, text: bytes) -> None:
        while text and not text.endswith(b"\n"):
            text = self.text.readline(self.max_line_bytes)

    def _start(self, text: bytes) -> bytes:
        if text.startswith(UTF16_BOMS):
            raise FileUnreadable(f"{self.name} is UTF-16. Save it as UTF-8 and try again.")
        text = text.removeprefix(UTF8_BOM)
        if text.lstrip().startswith(b"["):
            raise FileUnreadable(
                f"{self.name} is one JSON list. This takes one JSON object a line; jq -c '.[]' makes that of it."
            )
        return text


@dataclass
class TableSource:
    """An open table whose columns are known."""

    table: Table
    mapping: Mapping
    max_line_bytes: int
    equal_lines: Counter[bytes] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.table.name

    @property
    def size(self) -> int | None:
        """Bytes on the disk."""
        return self.table.size

    @property
    def position(self) -> int:
        """How many of them were read."""
        return self.table.position

    def lines(self) -> Iterator[Line]:
        """Yield the rows. Raises FileUnreadable when the data break off."""
        for row in self.table.rows():
            text = as_line(row)
            if len(text) > self.max_line_bytes:
                yield Line(row.number, text[:1000], is_too_long=True)
            else:
                yield TableLine(row.number, text, row=row)

    def read(self, line: Line) -> Reading:
        """Return what a row says. Raises RowInvalid."""
        if not isinstance(line, TableLine) or line.row is None:
            raise TooBig(f"This row is larger than {self.max_line_bytes:,} bytes; only its beginning is kept here.")
        row = self.mapping.row_of(line.row)
        feedback = self.mapping.feedback_of(line.row)
        return Reading(_with_client_id(row, line, self.equal_lines), feedback)


@contextmanager
def open_source(path: str, *, max_line_bytes: int) -> Iterator[Source]:
    """Open a file, or standard input for `-`; gzip is recognised by its first bytes. Raises FileUnreadable."""
    name = "standard input" if path == STDIN else path
    try:
        raw: Any = sys.stdin.buffer if path == STDIN else Path(path).open("rb")  # noqa: SIM115  closed below
    except FileNotFoundError:
        raise FileUnreadable(f"There is no file {name}.") from None
    except IsADirectoryError:
        raise FileUnreadable(f"{name} is a folder. Name one file, or run the command once for each.") from None
    except OSError as error:
        raise FileUnreadable(f"{name} cannot be read: {error.strerror}.") from error
    with raw:
        is_gzip = raw.peek(2)[:2] == GZIP_MAGIC
        if path.endswith(".gz") and not is_gzip:
            raise FileUnreadable(f"{name} is not gzip data, though its name ends in .gz.")
        size = None if path == STDIN else Path(path).stat().st_size
        text: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_gzip else raw  # type: ignore[assignment]
        yield Source(name, raw, text, size, max_line_bytes)


@dataclass
class RejectedLines:
    """A file of the lines that were refused, each with its number and the reason; made when the first one comes."""

    path: Path
    _file: IO[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> "RejectedLines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def forget_earlier_run(self) -> None:
        """Delete what an earlier run of the same file left."""
        self.path.unlink(missing_ok=True)

    def add(self, line: Line, error: AppError) -> None:
        """Write down one line. Raises FileUnreadable when that is not possible."""
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(orjson.dumps(_rejection(line, error), option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
        except OSError as trouble:
            raise FileUnreadable(
                f"Line {line.number} was refused ({error.message}), and {self.path} cannot be written: "
                f"{trouble.strerror}. The lines before are in. Choose another place with --rejected. {RUN_AGAIN}"
            ) from trouble


def _rejection(line: Line, error: AppError) -> dict[str, Any]:
    told = {"line": line.number, "reason": error.message, "param": error.param, "code": type(error).code}
    try:
        return {**told, "text": line.text.decode()}
    except UnicodeDecodeError:
        return {**told, "base64": base64.b64encode(line.text).decode()}


def capture_lines(
    database: Database,
    project_id: UUID,
    keys: Keys,
    source: Readable,
    rejected_lines: RejectedLines,
    tally: Tally,
    tell: Callable[[Tally], None],
) -> None:
    """Capture a file in batches, each in a transaction of its own, counting in `tally` what is safely in.

    tell: called after each batch.
    Raises FileUnreadable when the file breaks off and CaptureStopped when the database does; what came before is in.
    """
    for batch in _batches(source.lines()):
        readings, refused = _readings_of(batch, source)
        try:
            with database.writing() as db:
                project = db.get_one(Project, project_id)
                results = capture_responses(db, project, [reading.row for _line, reading in readings], keys)
                _keep_feedback(db, project, [reading for _line, reading in readings], results)
        except (OperationalError, InterfaceError) as error:
            raise CaptureStopped(
                f"The database does not answer, or is locked: {error.orig}. "
                f"The file is in up to line {tally.lines}. {RUN_AGAIN}"
            ) from error
        for (line, _reading), result in zip(readings, results, strict=True):
            if result.error is not None:
                refused.append((line, result.error))
        for line, problem in sorted(refused, key=lambda pair: pair[0].number):
            rejected_lines.add(line, problem)
        tally.lines = batch[-1].number
        tally.created += sum(result.status == "created" for result in results)
        tally.duplicates += sum(result.status == "duplicate" for result in results)
        tally.rejected += len(refused)
        tell(tally)
    if tally.lines == 0:
        raise FileUnreadable(f"{source.name} is empty. Nothing was captured.")


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Group lines; those read before the file breaks off are handed out first."""
    batch: list[Line] = []
    size = 0
    trouble: FileUnreadable | None = None
    try:
        for line in lines:
            batch.append(line)
            size += len(line.text)
            if len(batch) == ROWS_A_BATCH or size > BYTES_A_BATCH:
                yield batch
                batch, size = [], 0
    except FileUnreadable as error:
        trouble = error
    if batch:
        yield batch
    if trouble is not None:
        raise trouble


def _readings_of(batch: list[Line], source: Readable) -> tuple[list[tuple[Line, Reading]], list[tuple[Line, AppError]]]:
    readings: list[tuple[Line, Reading]] = []
    refused: list[tuple[Line, AppError]] = []
    for line in batch:
        try:
            readings.append((line, source.read(line)))
        except RowInvalid as problem:
            refused.append((line, problem))
    return readings, refused


def _keep_feedback(db: Session, project: Project, readings: list[Reading], results: list[Result]) -> None:
    said = [
        {**words, "client_id": reading.row["client_id"]}
        for reading, result in zip(readings, results, strict=True)
        if result.error is None
        for words in reading.feedback
    ]
    for result in give_feedback(db, project, said) if said else ():
        if result.error is not None:  # a mapping makes nothing that is refused; if it did, the batch would not be kept
            raise result.error


def _with_client_id(row: Any, line: Line, equal_lines: Counter[bytes]) -> Any:
    if isinstance(row, dict) and row.get("client_id") is None:
        row["client_id"] = _id_from_content(line.text, equal_lines)
    return row


def _id_from_content(text: bytes, equal_lines: Counter[bytes]) -> str:
    digest = hashlib.sha256(text).digest()[:16]
    equal_lines[digest] += 1
    count = equal_lines[digest]
    return f"line-{digest.hex()}" + (f"-{count}" if count > 1 else "")
