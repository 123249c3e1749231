"""A project in which many responses were corrected: what a freeze of preference pairs reads.

One row is about 1.5 kB of JSON: a prompt of three messages, the answer that was rejected, the correction. The wide rows
are made here and loaded in bulk; everything narrow (items, leases, reviews, …) is made by the database from numbers.
"""

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import Table

from hitl.accounts.models import Membership, Project, User
from hitl.capture.models import Response
from hitl.core import clock
from hitl.core.canonical import content_hash
from hitl.core.database import Base, Database
from hitl.preferences.models import Evidence
from hitl.queue.models import Item, ItemTarget, Lease, Rule, RuleVersion, Selection
from hitl.review.models import Review, Revision, RubricVersion

REVIEWERS = 20
AT = "2026-05-01 12:00:00.000000"
PASSAGE = 400_000  # words of the text from which all messages are cut
LOADED_AT_ONCE = 5_000

# The number of a row and this make its id, so that tables refer to each other without a look.
RESPONSES, ITEMS, LEASES, REVIEWS, REVISIONS, EVIDENCE, DRAWS = (number << 40 for number in range(1, 8))


def fill_with_pairs(database: Database, count: int) -> Project:
    """Make a project with this many corrected responses, each reviewed once. Needs an empty database."""
    with database.writing() as db:
        project = Project(slug="pairs", name="Pairs", settings={"may_train_default": "yes"})
        people = [User(email=f"person{n}@example.org", name=f"Person {n}") for n in range(REVIEWERS)]
        db.add_all([project, *people])
        db.flush()
        rubric = RubricVersion(project_id=project.id, number=1, criteria=[], published_at=clock.now())
        rule = Rule(project_id=project.id, name="A tenth")
        db.add_all([rubric, rule])
        db.add_all(Membership(user_id=person.id, project_id=project.id, role="annotator") for person in people)
        db.flush()
        project.rubric_version_id = rubric.id
        drawing = RuleVersion(rule_id=rule.id, number=1, condition={}, rate=0.1)
        db.add(drawing)
        db.flush()
    with _bulk(database) as bulk:
        bulk.load(Response, _responses(count, project.id))
        bulk.load(Evidence, _evidence(count, project.id))
        reviewer = bulk.one_of([person.id for person in people])
        same = {"project_id": bulk.literal(project.id)}
        bulk.make(
            Item,
            count,
            **same,
            id=bulk.id(ITEMS),
            rubric_version_id=bulk.literal(rubric.id),
            sort_key="n",
            open_slots="0",
            opened_in="0",
            created_at=bulk.time(),
            closed_at=bulk.time(),
            closed_as="'complete'",
        )
        bulk.make(ItemTarget, count, item_id=bulk.id(ITEMS), position="0", response_id=bulk.id(RESPONSES))
        bulk.make(
            Lease,
            count,
            **same,
            id=bulk.id(LEASES),
            item_id=bulk.id(ITEMS),
            reviewer_id=reviewer,
            started_at=bulk.time(),
            expires_at=bulk.time(),
            ended_at=bulk.time(),
            ended_as="'completed'",
        )
        bulk.make(
            Review,
            count,
            **same,
            id=bulk.id(REVIEWS),
            item_id=bulk.id(ITEMS),
            reviewer_id=reviewer,
            lease_id=bulk.id(LEASES),
            standing="'counted'",
            counting_revision_id=bulk.id(REVISIONS),
            created_at=bulk.time(),
        )
        bulk.make(
            Revision,
            count,
            id=bulk.id(REVISIONS),
            review_id=bulk.id(REVIEWS),
            number="1",
            submitted_at=bulk.time(),
        )
        bulk.make(
            Selection,
            count,
            id=bulk.id(DRAWS),
            response_id=bulk.id(RESPONSES),
            rule_id=bulk.literal(rule.id),
            rule_version_id=bulk.literal(drawing.id),
            rate="0.1",
            is_drawn=bulk.true,
            at=bulk.time(),
        )
    return project


def texts() -> Iterator[tuple[list[dict[str, Any]], str, str]]:
    """Yield prompts with a rejected and a chosen answer, the same in each run."""
    chosen_by = random.Random(5)
    letters = "abcdefghijklmnoprstuvwyéü"
    words = ["".join(chosen_by.choices(letters, k=chosen_by.randint(2, 10))) for _ in range(4000)]
    body = " ".join(chosen_by.choice(words) + (',\n"x"' if chosen_by.random() < 0.01 else "") for _ in range(PASSAGE))
    last = len(body) - 700
    while True:
        places = [chosen_by.randrange(last) for _ in range(5)]
        cuts = [body[start : start + size] for start, size in zip(places, (120, 260, 160, 360, 380), strict=True)]
        roles = ("system", "user", "user")
        prompt = [{"role": role, "content": text} for role, text in zip(roles, cuts[:3], strict=True)]
        yield prompt, cuts[3], cuts[4]


def _responses(count: int, project_id: UUID) -> Iterator[dict[str, Any]]:
    for number, (prompt, rejected, _chosen) in enumerate(islice(texts(), count)):
        asked = {"messages": prompt, "tools": []}
        yield {
            "id": UUID(int=RESPONSES + number),
            "project_id": project_id,
            "client_id": f"response {number}",
            "content_hash": "0" * 64,
            "end_user": f"{number // 3:032x}",
            "input": asked,
            "input_hash": content_hash(asked),
            "output": {"role": "assistant", "content": rejected},
            "model": f"model-{number % 7}",
            "created_at": AT,
            "captured_at": AT,
        }


def _evidence(count: int, project_id: UUID) -> Iterator[dict[str, Any]]:
    for number, (prompt, _rejected, chosen) in enumerate(islice(texts(), count)):
        yield {
            "id": UUID(int=EVIDENCE + number),
            "project_id": project_id,
            "input_hash": content_hash({"messages": prompt, "tools": []}),
            "input_response_id": UUID(int=RESPONSES + number),
            "a_output": {"role": "assistant", "content": chosen},
            "b_response_id": UUID(int=RESPONSES + number),
            "outcome": "a",
            "origin": "correction",
            "revision_id": UUID(int=REVISIONS + number),
            "criterion": "correction",
            "created_at": AT,
        }


def _bulk(database: Database) -> "SqliteBulk | PostgresqlBulk":
    return SqliteBulk(database.url.database or "") if database.is_sqlite else PostgresqlBulk(database)


class Bulk:
    """One connection that fills tables without asking whether the rows fit: they do."""

    numbers: str  # a table of numbers from 0, in column n; %d: how many
    true: str

    def id(self, table: int) -> str:
        raise NotImplementedError

    def time(self) -> str:
        return f"'{AT}'"

    def literal(self, identifier: UUID) -> str:
        raise NotImplementedError

    def execute(self, statement: str) -> None:
        raise NotImplementedError

    def load(self, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
        raise NotImplementedError

    def one_of(self, identifiers: list[UUID]) -> str:
        cases = " ".join(f"WHEN {n} THEN {self.literal(one)}" for n, one in enumerate(identifiers))
        return f"CASE n % {len(identifiers)} {cases} END"

    def make(self, model: type[Base], count: int, **values: str) -> None:
        """Insert rows whose columns are SQL expressions of n; other columns take the model's plain defaults."""
        filled = {**_defaults(model), **values}
        columns, expressions = ", ".join(filled), ", ".join(filled.values())
        table = model.__tablename__
        self.execute(f"INSERT INTO {table} ({columns}) SELECT {expressions} FROM {self.numbers % count}")


class PostgresqlBulk(Bulk):
    numbers = "(SELECT generate_series(0, %d - 1)::bigint AS n) AS numbers"
    true = "true"

    def __init__(self, database: Database) -> None:
        self.connection = psycopg.connect(database.url.set(drivername="postgresql").render_as_string(False))

    def __enter__(self) -> "PostgresqlBulk":
        self.execute("SET session_replication_role = replica")  # nothing here refers to what is not there
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.commit()
        self.connection.close()

    def id(self, table: int) -> str:
        return f"lpad(to_hex({table} + n), 32, '0')::uuid"

    def time(self) -> str:
        return f"'{AT}+00'::timestamptz"

    def literal(self, identifier: UUID) -> str:
        return f"'{identifier}'::uuid"

    def execute(self, statement: str) -> None:
        self.connection.execute(statement)  # type: ignore[arg-type]

    def load(self, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
        rows = iter(rows)
        first = {**_plain_defaults(model), **next(rows)}
        command = f"COPY {model.__tablename__} ({', '.join(_names(model, first))}) FROM STDIN"
        with self.connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.write_row([_spelled(value) for value in first.values()])
            for row in rows:
                copy.write_row([_spelled(value) for value in {**first, **row}.values()])


class SqliteBulk(Bulk):
    numbers = (
        "(WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted LIMIT %d) SELECT n FROM counted)"
    )
    true = "1"

    def __init__(self, file: str) -> None:
        import sqlite3

        self.connection = sqlite3.connect(file)

    def __enter__(self) -> "SqliteBulk":
        self.execute("PRAGMA synchronous=OFF")
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.commit()
        self.connection.close()

    def id(self, table: int) -> str:
        return f"printf('%032x', {table} + n)"

    def literal(self, identifier: UUID) -> str:
        return f"'{identifier.hex}'"

    def execute(self, statement: str) -> None:
        self.connection.execute(statement)

    def load(self, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
        rows = iter(rows)
        first = {**_plain_defaults(model), **next(rows)}
        names = _names(model, first)
        insert = f"INSERT INTO {model.__tablename__} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        while first:
            batch = [{**first, **row} for row in islice(rows, LOADED_AT_ONCE)]
            self.connection.executemany(insert, (_hex_ids(row) for row in [first, *batch]))
            first_of_next = next(rows, None)
            if first_of_next is None:
                return
            first = {**first, **first_of_next}


def _hex_ids(row: dict[str, Any]) -> list[Any]:
    return [value.hex if isinstance(value, UUID) else _spelled(value) for value in row.values()]


def _spelled(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value) if isinstance(value, UUID) else value


def _plain_defaults(model: type[Base]) -> dict[str, Any]:
    """Return the defaults that the model gives to columns that must be filled."""
    table = model.__table__
    assert isinstance(table, Table)
    found: dict[str, Any] = {}
    for column in table.columns:
        if column.default is not None and column.server_default is None and not (column.nullable or column.primary_key):
            default: Any = column.default
            found[column.key] = default.arg if default.is_scalar else default.arg(None) if default.is_callable else None
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str | dict | list)}


def _defaults(model: type[Base]) -> dict[str, str]:
    plain = {name: value for name, value in _plain_defaults(model).items() if not isinstance(value, dict | list)}
    return {name: f"'{value}'" if isinstance(value, str) else str(value).lower() for name, value in plain.items()}


def _names(model: type[Base], row: dict[str, Any]) -> list[str]:
    return [f'"{name}"' for name in row]
