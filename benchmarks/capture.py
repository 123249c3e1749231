"""How many responses a second come in over HTTP, beside what the bare database takes: `python -m benchmarks.capture`.

The floor writes rows that are ready, as many a transaction, into a table with the same columns and one unique key: by
COPY and ON CONFLICT on PostgreSQL, by executemany on SQLite. Ours are parsed, checked, hashed, compared with what is
there, stored with all indexes and foreign keys, and answered one by one. With a rule on, each is also drawn for or not.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
import psycopg
from sqlalchemy import func, select

from benchmarks.bench import Bench, main
from benchmarks.databases import note_server, own_database
from benchmarks.filling import SENTENCE, Desk, open_desk
from benchmarks.serving import Program, cpu_of, keys_of_people, own_service
from benchmarks.timing import Timings
from hitl.accounts.models import Project
from hitl.core.ids import new_id
from hitl.core.instance import Instance
from hitl.queue.models import Selection
from hitl.queue.rules import Terms, create_rule
from tests.machine.service import Service

BATCH = 500
RATE = 0.1
SHARE_OF_FLOOR = 1 / 3
DRAWING_SECONDS = 120.0
COLUMNS = ("id", "project_id", "client_id", "input", "output", "model", "input_hash", "content_hash", "created_at")


def measure(bench: Bench) -> None:
    """Capture in batches and singly, rules off and on."""
    for kind in bench.kinds:
        _in_batches(bench, kind)


def _in_batches(bench: Bench, kind: str) -> None:
    batches = bench.sized(full=100, quick=20, smoke=2)
    singles = bench.sized(full=1_000, quick=200, smoke=5)
    for has_rule in (False, True):
        floor = _floor(kind, batches)
        with own_service(kind) as service, service.instance() as instance:
            note_server(bench, kind, service.settings.database_url)
            desk, token = _open(instance, has_rule=has_rule)
            service.start()
            cpu = cpu_of(service)
            took = _send(service, desk, token, batches)
            drawn_after = _until_drawn(instance, batches * BATCH) if has_rule else 0.0
            cpu = cpu_of(service) - cpu
            one = _send_singly(service, desk, token, singles)
        rows = batches * BATCH
        bench.row(
            **{
                "database": kind,
                "rule": "on" if has_rule else "off",
                "floor rows/s": rows / floor,
                "rows/s": rows / took,
                "of the floor": floor / took,
                "rows/s until drawn": rows / (took + drawn_after),
                "CPU µs a row": 1e6 * cpu / rows,
                "single p50 ms": one.p(50),
                "single p99 ms": one.p(99),
            }
        )
        what = f"{kind}, rule {'on' if has_rule else 'off'}: batches of {BATCH}, share of the floor"
        bench.goal(what, floor / took, unit="", at_least=SHARE_OF_FLOOR)


def _open(instance: Instance, *, has_rule: bool) -> tuple[Desk, str]:
    desk = open_desk(instance.database, "desk", 1, role="admin")
    with instance.database.writing() as db:
        if has_rule:
            create_rule(db, db.get_one(Project, desk.project_id), "A tenth", Terms(rate=RATE))
        (token,) = keys_of_people(db, desk.project_id, desk.people, "capture")
    return desk, token


def _send(service: Service, desk: Desk, token: str, batches: int) -> float:
    """Return the seconds that this many batches took; their bodies are ready before."""
    program, path = Program(service, token), f"/api/v1/projects/{desk.slug}/responses"
    warm = orjson.dumps({"responses": [_row(-n) for n in range(1, 20)]})
    bodies = [orjson.dumps({"responses": rows}) for rows in _batches(batches)]
    program.send("POST", path, warm)
    began = time.perf_counter()
    for body in bodies:
        status, answered = program.send("POST", path, body)
        if status != 200 or answered.count(b'"created"') != BATCH:
            raise RuntimeError(f"{status}: {answered[:300]!r}")
    return time.perf_counter() - began


def _send_singly(service: Service, desk: Desk, token: str, number: int) -> Timings:
    program, path = Program(service, token), f"/api/v1/projects/{desk.slug}/responses"
    timings = Timings()
    for n in range(number):
        body = orjson.dumps(_row(10_000_000 + n))
        began = time.perf_counter()
        status, _ = program.send("POST", path, body)
        timings.seconds.append(time.perf_counter() - began)
        if status != 201:
            raise RuntimeError(str(status))
    return timings


def _until_drawn(instance: Instance, number: int) -> float:
    """Return the seconds until the background work has drawn for all of them."""
    began = time.perf_counter()
    while time.perf_counter() - began < DRAWING_SECONDS:
        with instance.database.reading() as db:
            if (db.scalar(select(func.count()).select_from(Selection)) or 0) >= number:
                return time.perf_counter() - began
        time.sleep(0.05)
    raise RuntimeError("the rule did not draw in time")


def _batches(number: int) -> Iterator[list[dict[str, Any]]]:
    for batch in range(number):
        yield [_row(batch * BATCH + n) for n in range(BATCH)]


def _row(n: int) -> dict[str, Any]:
    """A response of about 1 kB, three to a conversation."""
    return {
        "client_id": f"r-{n}",
        "input": {"messages": [{"role": "user", "content": f"Where is my order {n}? {SENTENCE * 2}"}]},
        "output": {"role": "assistant", "content": f"Order {n}. {SENTENCE * 5}"},
        "model": "desk-small",
        "conversation_id": f"c-{n // 3}",
        "end_user": f"u-{n // 7}",
        "latency_seconds": 1.25,
        "created_at": "2026-11-20T19:12:00Z",
    }


def _floor(kind: str, batches: int) -> float:
    """Return the seconds that the bare database takes for rows that are ready."""
    project = new_id().hex
    ready = [[_stored(project, row) for row in rows] for rows in _batches(batches)]
    table = f"floor ({', '.join(f'{name} text' for name in COLUMNS)}, PRIMARY KEY (id), UNIQUE (project_id, client_id))"
    with own_database(kind) as url:
        if kind == "sqlite":
            return _sqlite_floor(url, table, ready)
        return _postgresql_floor(url, table, ready)


def _stored(project: str, row: dict[str, Any]) -> tuple[str, ...]:
    texts = (orjson.dumps(row["input"]).decode(), orjson.dumps(row["output"]).decode())
    return (new_id().hex, project, row["client_id"], *texts, row["model"], "a" * 64, "b" * 64, row["created_at"])


def _sqlite_floor(url: str, table: str, ready: list[list[tuple[str, ...]]]) -> float:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"CREATE TABLE {table}")
        places = ", ".join("?" * len(COLUMNS))
        began = time.perf_counter()
        for rows in ready:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT INTO floor VALUES ({places}) ON CONFLICT DO NOTHING", rows)
            connection.execute("COMMIT")
        return time.perf_counter() - began


def _postgresql_floor(url: str, table: str, ready: list[list[tuple[str, ...]]]) -> float:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(f"CREATE TABLE {table}")  # type: ignore[call-overload]
        connection.execute("CREATE TEMP TABLE arriving (LIKE floor) ON COMMIT DELETE ROWS")
        connection.commit()
        began = time.perf_counter()
        for rows in ready:
            with connection.cursor() as cursor:
                with cursor.copy("COPY arriving FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(
                    "INSERT INTO floor SELECT * FROM arriving ON CONFLICT DO NOTHING RETURNING id"
                ).fetchall()
            connection.commit()
        return time.perf_counter() - began


if __name__ == "__main__":
    main("capture", "Capturing responses", measure)
