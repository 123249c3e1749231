"""Many identifiers as one parameter, so that a statement reads the same however many there are, and can be prepared."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Dialect,
    Select,
    Text,
    TypeDecorator,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    true,
)

from hitl.core.prepared import Prepared

MOST_WITH_ONE_ID = 10_000  # rows


class _IdList(TypeDecorator[Collection[UUID]]):
    """A list of identifiers as the database takes it apart again: JSON on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Collection[UUID] | None, dialect: Dialect) -> str:
        ids = [f"{identifier.int:032x}" for identifier in value or ()]
        return orjson.dumps(ids).decode() if dialect.name == "sqlite" else f"{{{','.join(ids)}}}"


def with_ids(rows: Select[Any], column: ColumnElement[UUID]) -> dict[str, Prepared]:
    """Return, by dialect, the statement for those of these rows in which a column holds one of the parameter `ids`."""
    given = bindparam("ids", type_=_IdList)
    listed = select(func.json_each(given).table_valued("value").c.value)
    # One probe of the column's index for each id. Left to itself, PostgreSQL plans once, while the table is small, to
    # read all of it, and keeps to that when it has grown.
    asked = func.unnest(cast(given, ARRAY(Uuid))).table_valued("id", name="asked").render_derived()
    found = rows.where(column == asked.c.id).limit(MOST_WITH_ONE_ID).lateral()
    return {
        "sqlite": Prepared(rows.where(column.in_(listed))),
        "postgresql": Prepared(select(found).select_from(asked.join(found, true()))),
    }
