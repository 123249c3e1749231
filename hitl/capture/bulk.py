"""Many rows into one table, as quickly as the database takes them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

import orjson
from psycopg import sql
from psycopg.errors import UniqueViolation
from sqlalchemy import ARRAY, JSON, String, Table, Text, Uuid, bindparam, func, select, true
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeEngine

from hitl.capture.models import Conversation, Response
from hitl.core.database import Base, UtcDateTime
from hitl.core.prepared import Prepared

WORTH_COPYING = 20  # rows; below, the plain way is as quick


@dataclass(frozen=True, slots=True)
class Same:
    """The values of a column that are all one."""

    value: Any


Column: TypeAlias = list[Any] | Same


def insert_missing(db: Session, model: type[Base], columns: Mapping[str, Column], count: int) -> bool:
    """Insert so many rows, unless a unique key is taken; say whether all went in.

    columns: the values of the rows by column. Column defaults are not applied.

    Batches that may meet must come sorted by that key, or two of them could wait for each other in a circle.
    """
    table = cast(Table, model.__table__)
    if count >= WORTH_COPYING and db.get_bind().dialect.name == "postgresql":
        try:
            with db.begin_nested():
                _copy(db, table, columns, count)
        except UniqueViolation:
            pass  # COPY knows no ON CONFLICT; somebody else stored one of them a moment ago
        else:
            return True
    return _insert_many(db, table, columns, count) == count


class Named(NamedTuple):
    """What is stored under a client id."""

    client_id: str
    id: UUID
    known: str | None  # of a response its content hash, of a conversation its end user


def rows_with_client_ids(
    db: Session, model: type[Response | Conversation], project_id: UUID, client_ids: Iterable[str]
) -> list[Named]:
    """Return what the project has under these client ids."""
    wanted = sorted(set(client_ids))
    if not wanted:
        return []
    connection = db.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    asked = {"project": project_id, "wanted": orjson.dumps(wanted).decode() if is_sqlite else wanted}
    return [Named(*row) for row in _named_rows(model, is_sqlite).all(connection, asked)]


@cache
def _named_rows(model: type[Response | Conversation], is_sqlite: bool) -> Prepared:
    """The rows of the project under the client ids that are wanted, one statement for any number of them.

    wanted: on SQLite a JSON list, on PostgreSQL an array.
    """
    columns = [model.client_id, model.id, _WORTH_KNOWING[model]]
    of_project = select(*columns).where(model.project_id == bindparam("project", type_=Uuid))
    if is_sqlite:
        names = func.json_each(bindparam("wanted", type_=Text)).table_valued("value")
        return Prepared(of_project.where(model.client_id.in_(select(names.c.value))))
    # One probe of the unique index for each id. Left to itself, PostgreSQL reads the whole project while its statistics
    # are a minute old, which is just when somebody loads their first million responses.
    ids = func.unnest(bindparam("wanted", type_=ARRAY(Text))).table_valued("client_id", name="wanted").render_derived()
    found = of_project.where(model.client_id == ids.c.client_id).limit(1).lateral()
    return Prepared(select(found).select_from(ids.join(found, true())))


_WORTH_KNOWING: dict[type[Response | Conversation], InstrumentedAttribute[Any]] = {
    Response: Response.content_hash,
    Conversation: Conversation.end_user,
}


def _insert_many(db: Session, table: Table, columns: Mapping[str, Column], count: int) -> int:
    """Write by the driver's executemany, past SQLAlchemy, which would look at each row. Returns how many went in."""
    connection = db.connection()
    is_sqlite = connection.dialect.name == "sqlite"
    spelled = _spelled(table, columns, count, _spelling_for_sqlite if is_sqlite else _spelling_for_psycopg)
    statement = _insertion(table, tuple(columns), "?" if is_sqlite else "%s")
    rows = list(zip(*spelled, strict=True))
    return connection.exec_driver_sql(statement, rows[0] if count == 1 else rows).rowcount


@cache
def _insertion(table: Table, names: tuple[str, ...], place: str) -> str:
    quote = sqlite.dialect().identifier_preparer.quote  # PostgreSQL quotes alike
    into = f"{table.name} ({', '.join(map(quote, names))})"
    places = ", ".join([place] * len(names))
    return f"INSERT INTO {into} VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608  # our names


def _copy(db: Session, table: Table, columns: Mapping[str, Column], count: int) -> None:
    """Write by COPY, about three times as fast as INSERT with the same rows."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    lines = map("\t".join, zip(*_spelled(table, columns, count, _spelling_for_copy), strict=True))
    raw = db.connection().connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(command) as copy:  # type: ignore[union-attr]
        copy.write("\n".join(lines) + "\n")


Spell: TypeAlias = Callable[[list[Any]], Iterable[Any]]


def _spelled(
    table: Table, columns: Mapping[str, Column], count: int, spelling: Callable[[TypeEngine[Any]], Spell]
) -> list[Iterable[Any]]:
    """Return the columns with each value as it is handed to the driver."""
    spelled: list[Iterable[Any]] = []
    for name, column in columns.items():
        spell = spelling(table.c[name].type)
        if isinstance(column, Same):
            (value,) = spell([column.value])
            spelled.append(repeat(value, count))
        else:
            spelled.append(spell(column))
    return spelled


def _spelling_for_sqlite(kind: TypeEngine[Any]) -> Spell:
    if isinstance(kind, JSON):
        return _as_json
    if isinstance(kind, Uuid):
        return lambda column: [None if value is None else f"{value.int:032x}" for value in column]
    if isinstance(kind, UtcDateTime):
        return lambda column: [value.astimezone(UTC).isoformat(" ", "microseconds")[:-6] for value in column]
    return lambda column: column


def _spelling_for_psycopg(kind: TypeEngine[Any]) -> Spell:
    if isinstance(kind, UtcDateTime):
        return lambda column: column
    return _spelling_for_sqlite(kind)  # texts, which PostgreSQL reads by the column's type


def _as_json(column: list[Any]) -> Iterable[str]:
    return map(bytes.decode, map(orjson.dumps, column))


NULL = "\\N"
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _spelling_for_copy(kind: TypeEngine[Any]) -> Spell:
    if isinstance(kind, JSON):
        return lambda column: [text.replace("\\", "\\\\") for text in _as_json(column)]
    if isinstance(kind, Uuid):
        return lambda column: [NULL if value is None else f"{value.int:032x}" for value in column]
    if isinstance(kind, UtcDateTime):
        return lambda column: map(datetime.isoformat, column)
    if isinstance(kind, String):
        return _texts_for_copy
    return lambda column: [NULL if value is None else str(value) for value in column]


def _texts_for_copy(column: list[str | None]) -> list[str]:
    if any(map("".join(filter(None, column)).__contains__, "\\\t\n\r")):
        return [NULL if text is None else text.translate(_ESCAPED) for text in column]
    return [NULL if text is None else text for text in column]
