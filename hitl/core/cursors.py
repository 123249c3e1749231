"""Pages of a list: a cursor says after which row the next page starts, so that pages do not shift as rows are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hitl.core.errors import Invalid

RowT = TypeVar("RowT")


class BadCursor(Invalid):
    """This cursor is not one that this list gave out. Start again without a cursor."""

    code = "bad_cursor"


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """Rows, and the cursor of the page that follows; None at the end."""

    rows: Sequence[RowT]
    next_cursor: str | None


def page(
    db: Session,
    query: Select[Any],
    key: InstrumentedAttribute[UUID],
    *,
    cursor: str | None,
    limit: int,
    newest_first: bool = False,
    id_of: Callable[[Any], UUID] = lambda row: row.id,
) -> Page[Any]:
    """Return one page of a query, ordered by an id that rises with time.

    Raises BadCursor for a cursor that was not made here.
    """
    if cursor is not None:
        after = decode(cursor)
        query = query.where(key < after if newest_first else key > after)
    query = query.order_by(key.desc() if newest_first else key).limit(limit + 1)
    rows = db.scalars(query).all()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, encode(id_of(rows[-1])) if more else None)


def encode(identifier: UUID) -> str:
    """Return the cursor that stands for the place after this row."""
    return base64.urlsafe_b64encode(identifier.bytes).decode().rstrip("=")


def decode(cursor: str) -> UUID:
    """Return the row that a cursor stands for. Raises BadCursor."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise BadCursor(param="/cursor") from error
