"""Statements for the busiest transactions: compiled once, then given to the driver as they are.

SQLAlchemy looks up and readies a compiled statement again at each execution, which takes several times as long as
SQLite needs to run it. Errors, transactions and pooled connections stay SQLAlchemy's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Float, Numeric
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select, TextualSelect
from sqlalchemy.types import TypeEngine

Statement: TypeAlias = Select[Any] | UpdateBase | TextualSelect
Convert = Callable[[Any], Any] | None


class Prepared:
    """A statement with named parameters: Prepared(select(…)).first(connection, {"project": …})."""

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        """Take a statement; nothing is compiled yet.

        columns: those that an INSERT fills, each a parameter of its name. Defaults made by Python do not apply.
        """
        self._statement, self._columns = statement, columns
        self._forms: dict[str, _Form] = {}

    def run(self, db: Connection, values: Mapping[str, Any]) -> None:
        """Execute it; what it returns is not looked at. Each parameter that it names must be given."""
        form = self._form(db.dialect)
        db.exec_driver_sql(form.sql, form.bound(values))

    def first(self, db: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Execute it and return the first row, if there is one."""
        form = self._form(db.dialect)
        row = db.exec_driver_sql(form.sql, form.bound(values)).first()
        return None if row is None else form.read(row)

    def all(self, db: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Execute it and return all rows."""
        form = self._form(db.dialect)
        return list(map(form.read, db.exec_driver_sql(form.sql, form.bound(values))))

    def _form(self, dialect: Dialect) -> "_Form":
        if dialect.name not in self._forms:
            self._forms[dialect.name] = _Form(self._statement, self._columns, dialect)
        return self._forms[dialect.name]

    def sql_for(self, dialect: Dialect) -> str:
        """Return what a kind of database is asked."""
        return self._form(dialect).sql


class _Form:
    """A statement as one kind of database takes it."""

    def __init__(self, statement: Statement, columns: Sequence[str] | None, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        self.sql: str = str(self._compiled)
        readers = [self._reader(column.type) for column in statement.exported_columns]
        self._readers = [(place, read) for place, read in enumerate(readers) if read is not None]

    @cached_property
    def _names(self) -> list[str]:
        return list(self._compiled.positiontup if self._compiled.positional else self._compiled.binds)

    @cached_property
    def _binders(self) -> list[tuple[str, Any, bool, Convert]]:
        """By parameter, in order: its name, the value that the statement brings, whether it brings one, how to bind."""
        binds = [(name, self._compiled.binds[name]) for name in self._names]
        return [(name, bind.value, not bind.required, self._converter(bind.type)) for name, bind in binds]

    def _converter(self, type_: TypeEngine[Any]) -> Convert:
        return type_.dialect_impl(self._dialect).bind_processor(self._dialect)

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Return the parameters as the driver takes them."""
        given = []
        for name, own, has_own, convert in self._binders:
            value = own if has_own else values[name]
            given.append(convert(value) if convert else value)
        return tuple(given) if self._compiled.positional else dict(zip(self._names, given, strict=True))

    def read(self, row: Any) -> tuple[Any, ...]:
        """Return a row with Python's values."""
        values = list(row)
        for place, read in self._readers:
            values[place] = read(values[place])
        return tuple(values)

    def _reader(self, type_: TypeEngine[Any]) -> Convert:
        if isinstance(type_, Float | Numeric):  # drivers give floats; a processor would ask for the type they had
            return None
        return type_.dialect_impl(self._dialect).result_processor(self._dialect, None)
