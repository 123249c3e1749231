"""Finding versions and reading their rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, contains_eager

from hitl.accounts.models import Project
from hitl.datasets.errors import NoSuchRow, NoSuchVersion, VersionNotFrozen
from hitl.datasets.models import Dataset, DatasetVersion
from hitl.datasets.rows import SIDES_OF_KIND
from hitl.datasets.storage import Storage

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_AND_NUMBER = re.compile(r"([^@]+)(?:@([1-9][0-9]{0,8}))?")
MAX_NUMBER = 2**31 - 1  # what an integer column holds
JSON_COLUMNS = ("prompt", "chosen", "rejected", "completion", "tools")


@dataclass(frozen=True)
class RowsPage:
    """Some rows of a version, in their order, and the position after the last; None at the end."""

    rows: list[dict[str, Any]]  # messages parsed; `position` counts from 0
    next_position: int | None


def is_dataset_name(text: str) -> bool:
    """Whether a dataset may have this name."""
    return _NAME.fullmatch(text) is not None


def datasets_of(project: Project) -> Select[Dataset]:
    """The datasets of a project, by name."""
    return select(Dataset).where(Dataset.project_id == project.id).order_by(Dataset.name)


def versions_of(project: Project) -> Select[DatasetVersion]:
    """The versions of all datasets of a project, by name, newest first."""
    return (
        select(DatasetVersion)
        .join(DatasetVersion.dataset)
        .options(contains_eager(DatasetVersion.dataset))
        .where(Dataset.project_id == project.id)
        .order_by(Dataset.name, DatasetVersion.number.desc())
    )


def version_named(db: Session, project: Project, name: str, number: int | None = None) -> DatasetVersion:
    """Return a version; without a number the newest that is frozen. Raises NoSuchVersion."""
    query = versions_of(project).where(Dataset.name == name)
    if number is None:
        query = query.where(DatasetVersion.state == "frozen")
    else:
        query = query.where(DatasetVersion.number == number)
    # What cannot be a name may hold characters that databases refuse, and so are numbers beyond their columns.
    is_possible = is_dataset_name(name) and (number or 0) <= MAX_NUMBER
    version = db.scalar(query.limit(1)) if is_possible else None
    if version is None:
        wanted = f"no frozen version of “{name}”" if number is None else f"no version {name}@{number}"
        raise NoSuchVersion(f"There is {wanted} in this project.")
    return version


def parse_version_name(text: str) -> tuple[str, int | None]:
    """Return name and number of "NAME@VERSION"; the number is None when only a name is given. Raises NoSuchVersion."""
    match = _NAME_AND_NUMBER.fullmatch(text)
    if match is None:
        raise NoSuchVersion(f"“{text}” names no version. Write NAME@VERSION, as in hotel-desk@4.")
    return match[1], int(match[2]) if match[2] else None


def ensure_frozen(version: DatasetVersion) -> None:
    """Raise VersionNotFrozen for a version that has no rows yet, or never will."""
    if version.state == "freezing":
        raise VersionNotFrozen("This version is still being frozen. Wait until it is done.")
    if version.state != "frozen":
        raise VersionNotFrozen(f"This version was never frozen: {version.error}")


def rows_page(
    storage: Storage,
    version: DatasetVersion,
    *,
    after: int = 0,
    limit: int = 100,
    split: str | None = None,
    origin: str | None = None,
) -> RowsPage:
    """Return rows from a position on, of one split or origin if wanted. Reads only the row groups it needs."""
    found: list[dict[str, Any]] = []
    for row in _rows_from(storage, version, after):
        if (split is None or row["split"] == split) and (origin is None or row["origin"] == origin):
            if len(found) == limit:
                return RowsPage(found, row["position"])
            found.append(_parsed(row))
    return RowsPage(found, None)


def row_of(storage: Storage, version: DatasetVersion, row_id: str) -> dict[str, Any]:
    """Return one row with its position. Raises NoSuchRow."""
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows = pq.ParquetFile(file)
        position = 0
        for group in range(rows.num_row_groups):
            at = pc.index(rows.read_row_group(group, columns=["id"]).column("id"), row_id).as_py()
            if at >= 0:
                return _parsed(rows.read_row_group(group).slice(at, 1).to_pylist()[0] | {"position": position + at})
            position += rows.metadata.row_group(group).num_rows
    raise NoSuchRow


def lineage_of(storage: Storage, version: DatasetVersion, position: int) -> dict[str, Any]:
    """Return where the row at this position is from; both files keep the same order."""
    with storage.reading(f"{version.location}/lineage.parquet") as file:
        lineage = pq.ParquetFile(file)
        for group in range(lineage.num_row_groups):
            size = lineage.metadata.row_group(group).num_rows
            if position < size:
                found: dict[str, Any] = lineage.read_row_group(group).slice(position, 1).to_pylist()[0]
                return found
            position -= size
    raise NoSuchRow


def sides_of(version: DatasetVersion, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row's answers by their name: chosen and rejected, or completion."""
    return {side: row[side] for side in SIDES_OF_KIND[version.dataset.kind]}


def _rows_from(storage: Storage, version: DatasetVersion, position: int) -> Iterator[dict[str, Any]]:
    ensure_frozen(version)
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows = pq.ParquetFile(file)
        start = 0
        for group in range(rows.num_row_groups):
            end = start + rows.metadata.row_group(group).num_rows
            if position < end:
                skipped = max(position - start, 0)
                for index, row in enumerate(rows.read_row_group(group).slice(skipped).to_pylist(), start + skipped):
                    yield {"position": index, **row}
            start = end


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    parsed = {name: orjson.loads(row[name]) for name in JSON_COLUMNS if row.get(name) is not None}
    return {**row, **parsed}
