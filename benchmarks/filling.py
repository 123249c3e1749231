"""Fills a database with what a benchmark works on: a project, its people, responses, and as many items as wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from hitl.accounts.models import Membership, Project, User
from hitl.accounts.projects import create_project
from hitl.capture.models import Response
from hitl.core import canonical, clock
from hitl.core.database import Database
from hitl.core.ids import new_id

ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Desk:
    """A project with its people."""

    project_id: UUID
    slug: str
    people: Sequence[UUID]


def open_desk(database: Database, slug: str, people: int, *, role: str = "annotator") -> Desk:
    """Make a project with the rubric that each project starts with, and this many members."""
    ids = [new_id() for _ in range(people)]
    with database.writing() as db:
        project = create_project(db, slug, slug.title())
        users = [{"id": id, "email": f"{slug}-{n}@example.org", "name": f"Person {n}"} for n, id in enumerate(ids)]
        db.execute(insert(User), users)
        db.execute(insert(Membership), [{"user_id": id, "project_id": project.id, "role": role} for id in ids])
        return Desk(project.id, slug, ids)


def add_responses(database: Database, desk: Desk, number: int, *, characters: int = 600) -> list[UUID]:
    """Put responses of about this length into a project, each an answer to a question of its own; no rule sees them."""
    ids = []
    for start in range(0, number, ROWS_AT_ONCE):
        rows = [_response(desk, n, characters) for n in range(start, min(start + ROWS_AT_ONCE, number))]
        ids += [row["id"] for row in rows]
        with database.writing() as db:
            db.execute(insert(Response), rows)
    return ids


SENTENCE = "The parcel left our house on Monday, and the carrier will ring twice before it goes back. "


def _response(desk: Desk, n: int, characters: int) -> dict[str, object]:
    asked = {"messages": [{"role": "user", "content": f"Where is my order {n}?"}], "tools": []}
    said = {
        "role": "assistant",
        "content": f"Order {n}. " + (SENTENCE * (1 + characters // len(SENTENCE)))[:characters],
    }
    return {
        "id": new_id(),
        "project_id": desk.project_id,
        "client_id": f"{desk.slug}-{n}",
        "content_hash": canonical.content_hash([n, desk.slug]),
        "input": asked,
        "input_hash": canonical.content_hash(asked),
        "output": said,
        "model": "desk-small",
        "created_at": clock.now(),
    }


def add_open_items(
    database: Database, desk: Desk, number: int, *, reviews_wanted: int = 1, about: Sequence[UUID] = ()
) -> None:
    """Put this many items into a queue, with three priorities and one second between each and the next.

    The database makes them itself: a million take seconds. about: responses that the items take in turn as their
    target; without any, the items can be claimed but not shown.
    """
    with database.writing() as db:
        project = db.get_one(Project, desk.project_id)
        values = {
            "project": _key(db, desk.project_id),
            "rubric": _key(db, project.rubric_version_id),
            "number": number,
            "wanted": reviews_wanted,
            "first": int(clock.now().timestamp()) - number,
            "now": clock.now().strftime("%Y-%m-%d %H:%M:%S.000000"),
        }
        db.execute(text(_ITEMS_SQLITE if database.is_sqlite else _ITEMS_POSTGRESQL), values)
        if about:
            _aim(db, desk, about, is_sqlite=database.is_sqlite)


def _key(db: Session, identifier: UUID | None) -> object:
    if identifier is None:
        raise LookupError("the project has no rubric")
    return identifier.hex if db.get_bind().dialect.name == "sqlite" else identifier


# Identifiers as the product makes them, rising with time: 48 bits of milliseconds, the version, a counter.
_ITEMS_SQLITE = """
INSERT INTO items (id, project_id, kind, rubric_version_id, priority, sort_key,
  reviews_wanted, open_slots, opened_in, created_at)
WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :number)
SELECT printf('%012x7000%s%010x', (:first + n) * 1000, substr(:project, 27), n), :project, 'response', :rubric,
       n % 3, CAST(:first + n - (n % 3) * 86400 AS REAL), :wanted, :wanted, 0, :now
FROM counted
"""
_ITEMS_POSTGRESQL = """
INSERT INTO items (id, project_id, kind, rubric_version_id, priority, sort_key,
  reviews_wanted, open_slots, opened_in, created_at)
SELECT (lpad(to_hex((:first + n) * 1000), 12, '0') || '7000' || right(replace(CAST(:project AS text), '-', ''), 6)
        || lpad(to_hex(n), 10, '0'))::uuid,
       :project, 'response', :rubric, n % 3, :first + n - (n % 3) * 86400, :wanted, :wanted, 0,
       CAST(:now || '+00' AS timestamptz)
FROM generate_series(CAST(0 AS bigint), CAST(:number AS bigint) - 1) AS n
"""


def _aim(db: Session, desk: Desk, about: Sequence[UUID], *, is_sqlite: bool) -> None:
    """Give the items of a project their targets, the responses in turn."""
    db.execute(text("CREATE TEMPORARY TABLE aims (place INTEGER PRIMARY KEY, response_id TEXT)"))
    aims = [{"place": n, "response": id.hex if is_sqlite else str(id)} for n, id in enumerate(about)]
    db.execute(text("INSERT INTO aims VALUES (:place, :response)"), aims)
    response_id = "response_id" if is_sqlite else "CAST(response_id AS uuid)"
    db.execute(
        text(f"""
        INSERT INTO item_targets (item_id, position, response_id)
        SELECT numbered.id, 0, {response_id}
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM items WHERE project_id = :project) AS numbered
        JOIN aims ON aims.place = numbered.n % :responses
        """),
        {"project": _key(db, desk.project_id), "responses": len(about)},
    )
    db.execute(text("DROP TABLE aims"))
