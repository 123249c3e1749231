"""The ways an export says no.

ExportError
├── RowRefused        one row; the export goes on without it and lists it
├── UnknownFormat     before anything is written
├── OutputNotEmpty    before anything is written
├── WrongKind         the rows are not what the format is for
├── NothingToExport   no row was left to write
└── ExportFailed      the disk said no
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporters.exporter import Refused


class ExportError(Exception):
    """An export that could not be made; the message is for the person who asked for it."""


class RowRefused(ExportError):
    """A row that the format cannot express, or that a trainer would silently learn wrongly from."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.reason = reason
        self.code = code


class UnknownFormat(ExportError):
    """There is no exporter of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no format {name!r}. Known formats: {', '.join(sorted(known))}.")
        self.name = name


class OutputNotEmpty(ExportError):
    """The folder to write to already holds something; nothing of it is ever overwritten."""

    def __init__(self, out: Path) -> None:
        super().__init__(f"{out} is not an empty folder. Name a new folder, or empty this one first.")
        self.out = out


class WrongKind(ExportError):
    """Rows of one kind were given to a format for another, or kinds were mixed."""

    def __init__(self, name: str, kind: str, wanted: Iterable[str]) -> None:
        super().__init__(f"{name} takes rows of kind {' or '.join(sorted(wanted))}; it was given one of kind {kind}.")


class NothingToExport(ExportError):
    """No row was left to write, so there is no folder: trainers fail obscurely on an empty dataset."""

    def __init__(self, refused: Sequence[Refused], refused_count: int) -> None:
        first = f" The first: {refused[0].code}: {refused[0].reason}." if refused else ""
        super().__init__(f"There is no row to export; {refused_count} were refused.{first}")
        self.refused = list(refused)
        self.refused_count = refused_count


class ExportFailed(ExportError):
    """The disk refused a write; nothing half-written was left behind."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"Could not write {path}: {error.strerror or error}. Nothing was left behind. "
            "Make room there or choose another folder, and export again."
        )
        self.path = path
