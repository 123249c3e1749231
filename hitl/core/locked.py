"""A lock and what is done under it, sent to the database together."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from hitl.core.prepared import Prepared


class Locked(Prepared):
    """A statement that must see what is true once a lock is held: Locked(lock, select(…)).first(connection, {…}).

    In one statement with the lock it would see what was true before it waited. As a second one it costs another way to
    PostgreSQL and back; so both are on their way, with the BEGIN, before any answer is waited for. On SQLite, where one
    transaction writes at a time, there is nothing left to lock.
    """

    def __init__(self, lock: Prepared, statement: Select[Any] | UpdateBase) -> None:
        super().__init__(statement)
        self._lock = lock

    def first(self, db: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Lock, execute it, and return the first row, if there is one."""
        if db.dialect.name == "sqlite":
            return super().first(db, values)
        lock, form = self._lock._form(db.dialect), self._form(db.dialect)
        raw: Any = db.connection.dbapi_connection
        driver = db.dialect.loaded_dbapi
        try:
            with raw.pipeline():
                raw.execute(lock.sql, lock.bound(values))
                answered = raw.execute(form.sql, form.bound(values))
            row = answered.fetchone()
        except driver.Error as error:  # SQLAlchemy has not seen this: it has to look like every other database error
            is_gone = db.dialect.is_disconnect(error, raw, None)
            if is_gone:
                db.invalidate(error)
            raise DBAPIError.instance(
                form.sql,
                None,
                error,
                driver.Error,
                hide_parameters=True,
                connection_invalidated=is_gone,
                dialect=db.dialect,
            ) from error
        return None if row is None else form.read(row)
