"""The database: SQLite on a laptop, PostgreSQL for a company, one code path.

A request or a job is one transaction: `Database.writing()`. What only looks uses `Database.reading()`, which both
databases enforce, so that showing a page never takes SQLite's write lock.
"""

import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
from sqlalchemy import (
    JSON,
    CheckConstraint,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    Uuid,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from hitl.core.bell import Bell

IDLE_SECONDS = 1.0  # a connection that was used since then is taken to be open still
LOCK_WAIT_SECONDS = 10.0  # then the request is told to try again, instead of taking up a thread for good
CONNECT_SECONDS = 5
# Of SQLite's log, 4 kB each. A batch of 500 responses fills more than the usual 1,000, and would wait for the disk each
# time, as would each hundredth claim; pages that several of them change are also written back but once.
PAGES_BETWEEN_CHECKPOINTS = 4_000


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps it without its zone, so the zone is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The parent of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # `json`, not `jsonb`: what is never searched by path is read three times as fast as text.
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        UUID: Uuid,
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
    }


def one_of(column: str, values: Sequence[str]) -> CheckConstraint:
    """Return the constraint that a text column holds one of these words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def partial_index_where(condition: Any) -> Mapping[str, Any]:
    """Return the keyword arguments that make an index partial on both databases."""
    return {"postgresql_where": condition, "sqlite_where": condition}


def insert_into(db: Session, table: type[Base]) -> Any:
    """Return the database's own INSERT, which knows ON CONFLICT; both spell it alike, SQLAlchemy has it per dialect."""
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table.__table__)


class Database:
    """An engine and its two kinds of transaction."""

    def __init__(
        self,
        url: str,
        *,
        sqlite_synchronous: str = "NORMAL",
        pool_size: int = 10,
        session_info: Mapping[str, Any] | None = None,
        bell: Bell | None = None,
    ) -> None:
        """Prepare to talk to the database at `url`; connects only when first used.

        sqlite_synchronous: NORMAL survives the death of every process, FULL a power loss too.
        session_info: what each session carries along in `Session.info`, such as the instance's keys.
        bell: what rings after commits; none: one that only this process hears.
        """
        self.url = make_url(url)
        self.bell = bell or Bell()
        self.session_info = {**(session_info or {}), "bell": self.bell}
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        arguments: dict[str, Any] = {
            "json_serializer": lambda value: orjson.dumps(value).decode(),
            "json_deserializer": _read_json,
            "hide_parameters": True,  # errors are logged, and parameters hold what people wrote
        }
        if self.is_sqlite:
            arguments["connect_args"] = {"factory": _one_writer_at_a_time(), "timeout": 5.0}
        else:
            arguments.update(pool_size=pool_size, max_overflow=pool_size)
            # A host that swallows packets would be waited for without end.
            arguments["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
        self.engine = create_engine(self.url, **arguments)
        if self.is_sqlite:
            _take_over_begin(self.engine, sqlite_synchronous)
        else:
            _bound_lock_waits(self.engine)
            _ask_idle_connections(self.engine)
        self._reading_engine = self.engine.execution_options(readonly=True, postgresql_readonly=True)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that may write: commits at the end, rolls back on any exception."""
        with self.session(readonly=False) as db, db.begin():
            yield db

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that cannot write."""
        with self.session(readonly=True) as db, db.begin():
            yield db

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """One transaction that cannot write and sees all as it was at its first look, whatever others commit since."""
        # SQLite's transactions are that anyway; those of PostgreSQL look afresh with each statement unless told.
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        engine = self._reading_engine.execution_options(**options)
        with Session(engine, expire_on_commit=False, info=dict(self.session_info)) as db, db.begin():
            yield db

    def session(self, *, readonly: bool) -> Session:
        """Return a session whose transaction the caller ends (a request does, at its edge)."""
        engine = self._reading_engine if readonly else self.engine
        return Session(engine, expire_on_commit=False, info=dict(self.session_info))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _read_json(stored: Any) -> Any:
    """Read JSON; SQLite has turned a text that is one bare number into that number."""
    return stored if isinstance(stored, int | float) else orjson.loads(stored)


def _one_writer_at_a_time() -> type[sqlite3.Connection]:
    """Return a connection class whose instances queue for the write lock in order.

    SQLite's own busy wait polls with growing pauses: with 50 writers some waited over a second. One lock in the process
    before BEGIN IMMEDIATE keeps the longest wait near the sum of the transactions ahead.
    """
    lock = threading.Lock()

    class SerialConnection(sqlite3.Connection):
        holds_lock = False
        is_readonly = False

        def begin_writing(self) -> None:
            if not lock.acquire(timeout=LOCK_WAIT_SECONDS):
                raise sqlite3.OperationalError("database is locked")
            self.holds_lock = True
            try:
                self.execute("BEGIN IMMEDIATE")
            except BaseException:
                self._release()
                raise

        def commit(self) -> None:
            super().commit()
            self._release()

        def rollback(self) -> None:
            try:
                super().rollback()
            finally:
                self._release()

        def close(self) -> None:
            try:
                super().close()
            finally:
                self._release()

        def _release(self) -> None:
            if self.holds_lock:
                self.holds_lock = False
                lock.release()

    return SerialConnection


def _bound_lock_waits(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT_SECONDS:.0f}s'")
        # Compiling a query takes a second where PostgreSQL overestimates its cost; ours end after a few rows.
        connection.execute("SET jit = off")
        connection.commit()


def _ask_idle_connections(engine: Engine) -> None:
    """Look whether a connection from the pool still works, unless it was just used: asking costs a way there and back.

    One that broke within the last second fails its request, which is told to try again. It is the only one: SQLAlchemy
    then gives up all connections that were open.
    """

    @event.listens_for(engine, "checkin")
    def note_time(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", math.inf) <= IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _take_over_begin(engine: Engine, synchronous: str) -> None:
    """Open SQLite transactions ourselves: the driver would open them late, and never as IMMEDIATE."""

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            f"wal_autocheckpoint={PAGES_BETWEEN_CHECKPOINTS}",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "busy_timeout=5000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        readonly = connection.get_execution_options().get("readonly", False)
        raw: Any = connection.connection.dbapi_connection
        if raw.is_readonly != readonly:
            raw.execute(f"PRAGMA query_only={'ON' if readonly else 'OFF'}")
            raw.is_readonly = readonly
        if readonly:
            raw.execute("BEGIN")
        else:
            _begin_writing(raw)


def _begin_writing(raw: Any) -> None:
    try:
        raw.begin_writing()
    except sqlite3.OperationalError as error:
        # Raised outside SQLAlchemy's own execution, so it has to be wrapped to look like every other database error.
        raise OperationalError("BEGIN IMMEDIATE", None, error) from error
