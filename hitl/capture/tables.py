"""Tables in files, CSV and Parquet, row by row in bounded memory; hitl/capture/mapping.py says what the columns mean.

A row is handed out with its number as a person counts it: in CSV the header is row 1, in Parquet row 1 is the first.
Cells are handed out as they are. In CSV each is a text, verbatim: what looks like a formula stays what it is, and is
guarded where text goes out as CSV.
"""

import codecs
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol

import orjson
import pyarrow
import pyarrow.parquet

from hitl.capture.errors import FileUnreadable, RowInvalid, TooBig
from hitl.core.errors import AppError

PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = (",", ";", "\t", "|")
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
ROWS_AT_ONCE = 100  # of Parquet, in memory
BUFFER_BYTES = 1024 * 1024
NOT_UTF8 = ("\udc80", "\udcff")  # how Python marks bytes that are no characters


@dataclass(frozen=True)
class TableRow:
    """One row: its cells by column, or why it cannot be read."""

    number: int
    cells: dict[str, Any]
    problem: AppError | None = None


class Table(Protocol):
    """An open table."""

    name: str
    columns: list[str]
    size: int  # bytes on the disk

    @property
    def position(self) -> int:
        """How many bytes were read."""

    def rows(self) -> Iterator[TableRow]:
        """Yield the rows. Raises FileUnreadable, naming the row, when the data break off."""


def is_table(path: str) -> bool:
    """Whether a file is a table: Parquet is recognised by its first bytes, CSV by its name."""
    if path.lower().endswith((*CSV_ENDINGS, ".parquet")):
        return True
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == PARQUET_MAGIC
    except OSError:
        return False  # said where it is read as lines


@contextmanager
def open_table(path: str, *, max_row_bytes: int, encoding: str | None = None) -> Iterator[Table]:
    """Open a CSV or Parquet file. encoding: of CSV, by default UTF-8, or UTF-16 where its mark says so.

    Raises FileUnreadable.
    """
    try:
        raw = Path(path).open("rb")  # noqa: SIM115  closed below
    except FileNotFoundError:
        raise FileUnreadable(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise FileUnreadable(f"{path} is a folder. Name one file, or run the command once for each.") from None
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror}.") from error
    with raw:
        if path.lower().endswith(CSV_ENDINGS):
            yield CsvTable(path, raw, max_row_bytes, encoding)
        else:
            yield ParquetTable(path, raw, max_row_bytes)


def first_rows(table: Table, count: int) -> list[TableRow]:
    """Return rows to guess from. Where the data break off after one, that is said when they are read to be stored."""
    rows: list[TableRow] = []
    try:
        for row in table.rows():
            rows.append(row)
            if len(rows) == count:
                break
    except FileUnreadable:
        if not rows:
            raise
    return rows


class CsvTable:
    """A CSV file; its delimiter is the one that divides the header into most columns."""

    def __init__(self, name: str, raw: IO[bytes], max_row_bytes: int, encoding: str | None) -> None:
        self.name, self._raw, self._max = name, raw, max_row_bytes
        self.size = Path(name).stat().st_size
        self._taken = 0  # characters since the last row was complete
        csv.field_size_limit(max_row_bytes)
        try:
            self._lines = self._open(encoding)
            header = next(self._lines, "")
            self._delimiter = max(
                DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter)))
            )
            self._reader = csv.reader(self._bounded([header]), delimiter=self._delimiter, strict=True)
            self.columns = self._columns(next(self._reader, []))
        except (csv.Error, UnicodeError, OSError, EOFError, zlib.error) as error:
            raise FileUnreadable(f"The header of {name} cannot be read: {error}.") from error

    @property
    def position(self) -> int:
        return self._raw.tell()

    def rows(self) -> Iterator[TableRow]:
        number = 1
        while True:
            number += 1
            self._taken = 0
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    raise FileUnreadable(
                        f"Row {number} of {self.name} opens a quote that is never closed. The rows before it are in."
                    ) from error
                yield TableRow(number, {}, _csv_problem(error))
                continue
            except (UnicodeError, OSError, EOFError, zlib.error) as error:
                raise FileUnreadable(
                    f"{self.name} is damaged or breaks off in row {number} ({error}). The rows before it are in."
                ) from error
            if cells is None:
                return
            if cells:
                yield self._row(number, cells)

    def _row(self, number: int, cells: list[str]) -> TableRow:
        row = dict(zip(self.columns, cells, strict=False))
        if len(cells) != len(self.columns):
            told = f"This row has {len(cells)} cells, and the header has {len(self.columns)}."
            return TableRow(number, row, RowInvalid(told))
        for column, cell in row.items():
            if not cell.isascii() and any(NOT_UTF8[0] <= character <= NOT_UTF8[1] for character in cell):
                told = f"The cell in {column} is not UTF-8. Say what the file is written in with --encoding."
                return TableRow(number, {}, RowInvalid(told, param=f"/{column}"))
        return TableRow(number, row)

    def _columns(self, header: list[str]) -> list[str]:
        if not any(header):
            raise FileUnreadable(f"{self.name} has no header: its first row names the columns.")
        names = [name.strip() or f"column {place}" for place, name in enumerate(header, 1)]
        _ensure_unique(self.name, names)
        return names

    def _open(self, encoding: str | None) -> Iterator[str]:
        start = self._raw.peek(4)[:4]  # type: ignore[attr-defined]
        data: IO[bytes] = self._raw
        if start.startswith(GZIP_MAGIC):
            data = gzip.GzipFile(fileobj=self._raw)  # type: ignore[assignment]
            start = data.peek(4)[:4]  # type: ignore[attr-defined]
        if encoding is None:
            encoding = next((found for mark, found in BOMS if start.startswith(mark)), "utf-8")
        try:
            # Bytes that are no characters are let through, so that they spoil one row and not the file.
            text = io.TextIOWrapper(data, encoding, errors="surrogateescape", newline="")
        except LookupError:  # or one of bytes, such as base64
            raise FileUnreadable(f"There is no encoding {encoding}.") from None
        return iter(lambda: text.readline(self._max), "")

    def _bounded(self, first: Iterable[str]) -> Iterator[str]:
        """Hand the reader its lines; a quote that is never closed must not take the whole file into memory."""
        for lines in (first, self._lines):
            for line in lines:
                self._taken += len(line)
                if self._taken > self._max:
                    raise FileUnreadable(
                        f"A row of {self.name} is longer than {self._max:,} characters, or a quote is never closed. "
                        "The rows before it are in."
                    )
                yield line


def _csv_problem(error: csv.Error) -> AppError:
    if "field limit" in str(error):
        return TooBig("A cell of this row is larger than the service accepts.")
    return RowInvalid(f"This row is not CSV: {error}.")


class ParquetTable:
    """A Parquet file."""

    def __init__(self, name: str, raw: IO[bytes], max_row_bytes: int) -> None:
        self.name, self._raw, self._max = name, raw, max_row_bytes
        self.size = Path(name).stat().st_size
        try:
            schema = pyarrow.parquet.read_schema(raw)
            # Repeated texts stay one each in memory: a small file can hold a large one a million times.
            texts = [field.name for field in schema if _is_text(field.type)]
            raw.seek(0)
            self._file = pyarrow.parquet.ParquetFile(raw, read_dictionary=texts, buffer_size=BUFFER_BYTES)
        except (pyarrow.ArrowException, OSError) as error:
            raise FileUnreadable(f"{name} is not a Parquet file, or is damaged: {_first_line(error)}") from error
        self.columns = list(schema.names)
        _ensure_unique(name, self.columns)

    @property
    def position(self) -> int:
        return self._raw.tell()

    def rows(self) -> Iterator[TableRow]:
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=ROWS_AT_ONCE):
                columns = [_without_nanoseconds(column) for column in batch.columns]
                for place in range(batch.num_rows):
                    number += 1
                    yield self._row(number, [column[place] for column in columns])
        except (pyarrow.ArrowException, OSError) as error:
            raise FileUnreadable(
                f"{self.name} is damaged after row {number}: {_first_line(error)} The rows before it are in."
            ) from error

    def _row(self, number: int, values: list[Any]) -> TableRow:
        try:
            return TableRow(
                number, {name: _plain(value.as_py()) for name, value in zip(self.columns, values, strict=True)}
            )
        except (ValueError, OverflowError) as error:  # UnicodeDecodeError among them
            return TableRow(number, {}, RowInvalid(f"A cell of this row cannot be read: {error}."))


def _is_text(kind: pyarrow.DataType) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_binary(kind))


def _without_nanoseconds(column: pyarrow.Array) -> pyarrow.Array:
    """Python's times have microseconds."""
    if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    return column


def _plain(value: Any) -> Any:
    """Return a cell as JSON has it. Raises ValueError for bytes that are no text."""
    if isinstance(value, dict):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _ensure_unique(name: str, columns: list[str]) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise FileUnreadable(f"{name} has more than one column {printable(twice[0])}. Give each a name of its own.")


def printable(text: str) -> str:
    """Return a text of somebody else's file as it may reach a terminal, which obeys control characters."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def as_line(row: TableRow) -> bytes:
    """Return a row as JSON text: what it is recognised by when it has no id, and what is kept when it is refused."""
    return orjson.dumps(_writable(row.cells))


def _writable(value: Any) -> Any:
    """Leave out what JSON cannot say: of a refused row it may be anything."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_writable(key): _writable(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_writable(below) for below in value]
    return value
