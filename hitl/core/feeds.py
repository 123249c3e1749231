"""Feeds: lists that a program follows by asking again, and of which it misses nothing and sees nothing twice.

Identifiers rise with the time at which a row is made, not with the time at which it is committed: whoever pages by them
passes over a row whose transaction was slow. So each row of a feed carries the number of the transaction that wrote it
last, and a reader stops short of the lowest number that may still be on its way:

- SQLite has one writer at a time, so numbers are committed in their order.
- On PostgreSQL a writer first takes an advisory lock that names the last number given out, then its own, higher number.
  A reader looks at the last number given out, then at those locks, then at the rows. A writer whose number it has
  passed over was seen holding its lock, or had committed before the rows were read.

Within one number, rows are in the order of their ids. docs/decisions/0008-feeds-stop-short-of-open-transactions.md
says what else was weighed.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Engine, Select, column, event, func, select, text, tuple_
from sqlalchemy import Sequence as NumberSequence
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from hitl.core.cursors import BadCursor
from hitl.core.database import Base, Database
from hitl.core.errors import Conflict
from hitl.core.prepared import Prepared

RowT = TypeVar("RowT")

NUMBERS = NumberSequence("feed_numbers", metadata=Base.metadata)  # on PostgreSQL
LOCK_SPACE = 0x6869  # the upper 16 bits of our advisory locks; the others are a number
GAP = 2**32  # left after a restore: cursors may be ahead of all rows, by numbers that were taken in vain
CACHED = "feed_number"


class FeedClock(Base):
    """On SQLite, the last number given out: one row."""

    __tablename__ = "feed_clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class CursorAhead(Conflict):
    """This cursor is ahead of the database, which was put back to an older state. Start again without a cursor."""

    code = "cursor_ahead"


@dataclass(frozen=True, order=True)
class Place:
    """A place in a feed: all rows up to this one have been passed."""

    number: int
    id: UUID


@dataclass(frozen=True)
class Stretch(Generic[RowT]):
    """Rows of a feed in their order.

    next_cursor: of the rows that follow now; None when these were the last.
    resume_cursor: where to go on at any later time, always given.
    """

    rows: Sequence[RowT]
    next_cursor: str | None
    resume_cursor: str

    @property
    def cursors(self) -> dict[str, Any]:
        """Return what the API answers beside the rows."""
        return {"next_cursor": self.next_cursor, "resume_cursor": self.resume_cursor}


def number_of(connection: Connection) -> int:
    """Return the number of the running transaction; taken when first asked for."""
    found: int | None = connection.info.get(CACHED)
    if found is None:
        found = connection.info[CACHED] = _take_number(connection)
    return found


def _take_number(connection: Connection) -> int:
    taken = _TAKE_NUMBER[connection.dialect.name].first(connection, {})
    if taken is None:
        raise LookupError("the database gave no number")
    return int(taken[0])


_FIRST_NUMBER = sqlite.insert(FeedClock).values(id=1, number=1)
# The lock before the number: the second part is computed from the first one's row.
_LOCK_THEN_NUMBER = text("""
    WITH held AS MATERIALIZED (
        SELECT pg_advisory_xact_lock_shared((CAST(:space AS bigint) << 48) | (last_value - (NOT is_called)::int))
        FROM feed_numbers
    )
    SELECT nextval('feed_numbers') AS number FROM held
""").bindparams(space=LOCK_SPACE)
_TAKE_NUMBER = {
    "sqlite": Prepared(
        _FIRST_NUMBER.on_conflict_do_update(index_elements=["id"], set_={"number": FeedClock.number + 1}).returning(
            FeedClock.number
        )
    ),
    "postgresql": Prepared(_LOCK_THEN_NUMBER.columns(column("number", BigInteger))),
}


@event.listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    connection.info.pop(CACHED, None)


@event.listens_for(Engine, "rollback_savepoint")
def _roll_back(connection: Connection, _name: str, _context: Any) -> None:
    """What was rolled back may be the taking of the number; another transaction would get the same."""
    connection.info.pop(CACHED, None)


FeedNumber = Annotated[
    int,
    # What was there before feeds were numbered, and what goes past the application, comes first.
    mapped_column(BigInteger, default=lambda context: number_of(context.connection), server_default="0"),
]
ChangingFeedNumber = Annotated[
    int,
    mapped_column(
        BigInteger,
        default=lambda context: number_of(context.connection),
        onupdate=lambda context: number_of(context.connection),
        server_default="0",
    ),
]


def follow(
    db: Session,
    query: Select[Any],
    table: type[Any],
    *,
    cursor: str | None,
    limit: int,
    id_of: Callable[[Any], UUID] = lambda row: row.id,
) -> Stretch[Any]:
    """Return the rows of a feed after a cursor, and where to go on.

    table: the model whose `feed_number` and `id` give the order.
    Raises BadCursor for a cursor that was not made here, CursorAhead for one from a lost future.
    """
    given, open_from = _numbers_now(db)  # before the rows are looked at
    end = Place(open_from, UUID(int=0))
    if cursor is not None:
        after = decode(cursor)
        if after.number > given + 1:
            raise CursorAhead(param="/cursor")
        query = query.where(tuple_(table.feed_number, table.id) > (after.number, after.id))
        end = max(end, after)
    query = query.where(table.feed_number < open_from).order_by(table.feed_number, table.id).limit(limit + 1)
    rows = db.scalars(query).all()
    if len(rows) > limit:
        rows = rows[:limit]
        here = encode(Place(rows[-1].feed_number, id_of(rows[-1])))
        return Stretch(rows, here, here)
    return Stretch(rows, None, encode(end))


def _numbers_now(db: Session) -> tuple[int, int]:
    """Return the last number given out, and that from which on rows may still come.

    All below the second are committed or never will be. On PostgreSQL it may be lower than it was a moment ago: a
    writer that was slow locks a number that was the last one then, and takes one that nobody has passed.
    """
    given = last_given(db)
    if db.get_bind().dialect.name == "sqlite":
        return given, given + 1
    held: int | None = db.scalar(_LOWEST_LOCK)
    return given, (given if held is None else min(given, held)) + 1


_LAST_NUMBER = text("SELECT last_value - (NOT is_called)::int FROM feed_numbers")
_LOWEST_LOCK = text("""
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = CAST(:space AS bigint) AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""").bindparams(space=LOCK_SPACE)


def encode(place: Place) -> str:
    """Return the cursor that stands for a place."""
    return base64.urlsafe_b64encode(place.number.to_bytes(8) + place.id.bytes).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Return the place that a cursor stands for. Raises BadCursor.

    One from before feeds were numbered has an id alone: what there was then has the number 0.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        number, identifier = int.from_bytes(raw[:-16]), UUID(bytes=raw[-16:])
    except (ValueError, binascii.Error) as error:
        raise BadCursor(param="/cursor") from error
    if len(raw) not in (16, 24) or number >= 2**48:
        raise BadCursor(param="/cursor")
    return Place(number, identifier)


def continue_after_restore(database: Database) -> None:
    """See to it that the next number is higher than all that rows carry, which another database may have given out."""
    with database.reading() as db:
        highest = highest_number(db)
        if last_given(db) >= highest:
            return
    with database.writing() as db:
        continue_above(db, highest)


def continue_above(db: Session, number: int) -> None:
    """Let the numbers go on well above this one, which another database gave out, and never back."""
    number = max(number + GAP, last_given(db))
    if db.get_bind().dialect.name == "sqlite":
        db.merge(FeedClock(id=1, number=number))
    else:
        # Another process may have raised it meanwhile.
        rise = text("SELECT setval('feed_numbers', greatest(:number, last_value)) FROM feed_numbers")
        db.execute(rise, {"number": number})


def last_given(db: Session) -> int:
    """Return the highest number that was given out so far."""
    if db.get_bind().dialect.name == "sqlite":
        return db.scalar(select(FeedClock.number)) or 0
    return int(db.scalar(_LAST_NUMBER))


def highest_number(db: Session) -> int:
    """Return the highest number that a row carries."""
    return max((_highest_number(db, table) for table in _numbered_tables()), default=0)


def _numbered_tables() -> list[Any]:
    return [table for table in Base.metadata.tables.values() if "feed_number" in table.c]


def _highest_number(db: Session, table: Any) -> int:
    """Look into each project's own index, not through the table."""
    projects = Base.metadata.tables["projects"]
    newest = select(func.max(table.c.feed_number)).where(table.c.project_id == projects.c.id).scalar_subquery()
    return db.scalar(select(func.max(newest)).select_from(projects)) or 0
