"""Rows of any table as lines of JSON, the same from both databases."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import JSON, DateTime, Table, TypeDecorator, Uuid, select
from sqlalchemy.orm import Session

from hitl.backup.errors import BackupDamaged
from hitl.core.database import Base
from hitl.core.feeds import FeedClock

ROWS_AT_ONCE = 200
BYTES_AT_ONCE = 4 << 20  # of rows that are inserted together


def kept_tables() -> list[Table]:
    """Return the tables of a backup, each after those that its rows refer to.

    The feed's counter is none of them: each database counts in its own way.
    """
    return [table for table in Base.metadata.sorted_tables if table is not FeedClock.__table__]


def lines_of(db: Session, table: Table) -> Iterator[bytes]:
    """Yield a table's rows, each a line."""
    rows = select(table).order_by(*table.primary_key.columns)
    result = db.execute(rows.execution_options(yield_per=ROWS_AT_ONCE))
    names = [str(column.name) for column in table.columns]
    for row in result:
        yield orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)


def batches_of(table: Table, lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows that lines hold, as many at a time as are inserted together. Raises BackupDamaged."""
    batch: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        batch.append(row_of(table, line))
        size += len(line)
        if len(batch) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def row_of(table: Table, line: bytes) -> dict[str, Any]:
    """Return the values that a line holds, of the types that the columns take. Raises BackupDamaged."""
    try:
        told: Mapping[str, Any] = orjson.loads(line)
        return {column.name: _value(column.type, told[column.name]) for column in table.columns}
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"A line of {table.name} in the backup cannot be read: {error}.") from error


def _value(type_: Any, told: Any) -> Any:
    if told is None or isinstance(type_, JSON):
        return told
    if isinstance(type_, Uuid):
        return UUID(told)
    inner = type_.impl if isinstance(type_, TypeDecorator) else type_
    if isinstance(inner, DateTime):
        return datetime.fromisoformat(told)
    return told
