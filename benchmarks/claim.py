"""How long a reviewer waits for the next item, however many wait: `python -m benchmarks.claim`.

Below HTTP it is one transaction of the product; through HTTP it is what a program with a key waits for. Beside each
stands the floor, bare SQL on the same database. Nobody may hold more than three items, so many people claim in turn.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from uuid import UUID

from sqlalchemy import text

from benchmarks.bench import Bench, main
from benchmarks.claim_floor import Floor
from benchmarks.databases import note_server, own_database, own_instance, settle_down
from benchmarks.filling import Desk, add_open_items, add_responses, open_desk
from benchmarks.serving import Program, keys_of_people, own_service
from benchmarks.timing import Timings, time_at_once
from hitl.accounts.models import Project, User
from hitl.core.database import Database
from hitl.queue import leases
from hitl.queue.models import Lease
from tests.machine.service import Service

HELD_AT_ONCE = leases.MAX_RUNNING_LEASES
WARM_UP = 6  # claims of each claimer before time is taken: connections open, statements are prepared
TIMES_OF_FLOOR, TIMES_OF_OTHERS, RATIO_OF_RATIOS = 3.0, 3.0, 1.5
SQLITE_P50_MS, SQLITE_P99_MS = 1.0, 5.0


def measure(bench: Bench) -> None:
    """Claim below HTTP, through HTTP, and far ahead of everybody else."""
    for kind in bench.kinds:
        bench.table(f"Below HTTP, {kind}")
        _below_http(bench, kind)
    for kind in bench.kinds:
        bench.table(f"Through HTTP, {kind}")
        _through_http(bench, kind)
    bench.table("One reviewer far ahead of the others, two reviews wanted, below HTTP")
    for kind in bench.kinds:
        _far_ahead(bench, kind)


def _numbers(bench: Bench) -> Sequence[int]:
    """How many claim at once, in turn."""
    return bench.sized(full=(1, 8, 50), quick=(1, 8, 50), smoke=(1, 4))


# --- Below HTTP -------------------------------------------------------------------------------------------------------


def _below_http(bench: Bench, kind: str) -> None:
    numbers = _numbers(bench)
    sizes = bench.sized(full=(10_000, 100_000, 1_000_000), quick=(10_000, 100_000), smoke=(300, 600))
    claims = bench.sized(full=3_000, quick=1_000, smoke=12)
    p99: dict[tuple[str, int, int], float] = {}
    for size in sizes:
        floors = _floors(kind, size, claims, numbers)
        with own_instance(kind) as instance:
            note_server(bench, kind, instance.settings.database_url)
            database = instance.database
            desk = open_desk(database, "desk", _everybody(claims, numbers))
            add_open_items(database, desk, size)
            settle_down(instance.settings.database_url)
            people = iter(desk.people)
            for claimers in numbers:
                each = max(1, claims // claimers)
                claiming = [_claimer(database, desk, people, each) for _ in range(claimers)]
                ours, floor = time_at_once(claiming, each, warm_up=WARM_UP), floors[claimers]
                p99["ours", size, claimers], p99["floor", size, claimers] = ours.p(99), floor.p(99)
                times = ours.p(50) / floor.p(50)
                bench.row(
                    **{"open items": size, "claimers": claimers},
                    **ours.columns(),
                    **{"floor p50": floor.p(50), "floor p99": floor.p(99), "p50 / floor": times},
                )
                if kind == "postgresql":
                    what = f"PostgreSQL, {size:,} items, {claimers} claimers: p50 / floor"
                    bench.goal(what, times, unit="×", at_most=TIMES_OF_FLOOR)
                elif claimers == 1:
                    bench.goal(f"SQLite, {size:,} items: p50", ours.p(50), unit="ms", at_most=SQLITE_P50_MS)
                    bench.goal(f"SQLite, {size:,} items: p99", ours.p(99), unit="ms", at_most=SQLITE_P99_MS)
    for claimers in numbers:
        ours, floor = (p99[what, sizes[-1], claimers] / p99[what, sizes[0], claimers] for what in ("ours", "floor"))
        what = f"{kind}, {claimers} claimers: p99 at {sizes[-1]:,} / at {sizes[0]:,}, as a multiple of the floor's"
        bench.goal(what, ours / floor, unit="×", at_most=RATIO_OF_RATIOS)


def _floors(kind: str, size: int, claims: int, numbers: Sequence[int]) -> dict[int, Timings]:
    """Return by number of claimers how long the bare claim takes with as many open items."""
    with own_database(kind) as url, closing(Floor(url)) as floor:
        floor.fill(size, queues=len(numbers))
        found = {}
        for queue, claimers in enumerate(numbers):
            claiming = [floor.claimer(queue, reviewer) for reviewer in range(claimers)]
            found[claimers] = time_at_once(claiming, max(1, claims // claimers), warm_up=WARM_UP)
        return found


def _claimer(database: Database, desk: Desk, people: Iterator[UUID], claims: int) -> Callable[[], bool]:
    """Return a function that claims, each time three for the next person."""
    with database.reading() as db:  # who asks for what is known before the claim: the door looked it up
        project = db.get_one(Project, desk.project_id)
        mine = [db.get_one(User, next(people)) for _ in range(_people_for(claims))]
    turns = chain.from_iterable([person] * HELD_AT_ONCE for person in mine)

    def claim() -> bool:
        return _claim(database, project, next(turns)) is not None

    return claim


def _people_for(claims: int) -> int:
    return -(-(claims + WARM_UP) // HELD_AT_ONCE)


def _everybody(claims: int, numbers: Sequence[int]) -> int:
    """Return how many people so many claims need, made by each number of claimers in turn."""
    return sum(claimers * _people_for(max(1, claims // claimers)) for claimers in numbers)


def _claim(database: Database, project: Project, person: User) -> UUID | None:
    with database.writing() as db:
        lease = leases.claim(db, project, person)
        return None if lease is None else lease.id


# --- Through HTTP -----------------------------------------------------------------------------------------------------


def _through_http(bench: Bench, kind: str) -> None:
    numbers = _numbers(bench)
    sizes = bench.sized(full=(10_000, 1_000_000), quick=(10_000,), smoke=(300,))
    claims = bench.sized(full=900, quick=300, smoke=12)
    for size in sizes:
        with own_service(kind) as service:
            with service.instance() as instance:
                database = instance.database
                desk = open_desk(database, "desk", _everybody(claims, numbers))
                about = add_responses(database, desk, bench.sized(full=1_000, quick=200, smoke=20))
                add_open_items(database, desk, size, about=about)
                with database.writing() as db:
                    tokens = iter(keys_of_people(db, desk.project_id, desk.people, "review"))
                settle_down(instance.settings.database_url)
            service.start()
            for claimers in numbers:
                each = max(1, claims // claimers)
                claiming = [_asker(service, desk, tokens, each) for _ in range(claimers)]
                timings = time_at_once(claiming, each, warm_up=WARM_UP)
                bench.row(**{"open items": size, "claimers": claimers}, **timings.columns())


def _asker(service: Service, desk: Desk, tokens: Iterator[str], claims: int) -> Callable[[], None]:
    programs = [Program(service, next(tokens)) for _ in range(_people_for(claims))]
    turns = chain.from_iterable([program] * HELD_AT_ONCE for program in programs)

    def ask() -> None:
        next(turns).expect(201, "POST", f"/api/v1/projects/{desk.slug}/leases", {})

    return ask


# --- Far ahead --------------------------------------------------------------------------------------------------------


def _far_ahead(bench: Bench, kind: str) -> None:
    """Compare a reviewer whose reviewed items still wait for a second reviewer with one who just begins."""
    ahead = bench.sized(full=50_000, quick=20_000, smoke=50)
    claims = bench.sized(full=500, quick=100, smoke=10)
    with own_instance(kind) as instance:
        database = instance.database
        desk = open_desk(database, "desk", 2)
        add_open_items(database, desk, ahead * 2, reviews_wanted=2)
        first, other = desk.people
        _let_review(database, desk, first, ahead)
        settle_down(instance.settings.database_url)
        found = {}
        for who, person in (("the others", other), ("far ahead", first)):
            timings = found[who] = _claim_and_complete(database, desk, person, claims)
            bench.row(database=kind, who=who, **{"items ahead": ahead if person == first else 0}, **timings.columns())
        for percent in (50, 99):
            times = found["far ahead"].p(percent) / found["the others"].p(percent)
            what = f"{kind}, {ahead:,} items ahead: p{percent} / that of the others"
            bench.goal(what, times, unit="×", at_most=TIMES_OF_OTHERS)


def _let_review(database: Database, desk: Desk, person_id: UUID, number: int) -> None:
    """Let a person have reviewed the first items of the queue: as the product leaves them, made by the database."""
    first = "SELECT id, created_at FROM items WHERE project_id = :project ORDER BY sort_key, id LIMIT :number"
    is_sqlite = database.is_sqlite
    values = {
        "project": desk.project_id.hex if is_sqlite else desk.project_id,
        "person": person_id.hex if is_sqlite else person_id,
        "number": number,
    }
    lease_id = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
    with database.writing() as db:
        db.execute(
            text(f"""
            INSERT INTO leases
              (id, project_id, item_id, reviewer_id, started_at, expires_at, ended_at, ended_as, holds_slot)
            SELECT {lease_id}, :project, id, :person, created_at, created_at, created_at, 'completed', true
            FROM ({first}) AS reviewed
            """),
            values,
        )
        db.execute(text(f"UPDATE items SET open_slots = 1 WHERE id IN (SELECT id FROM ({first}) AS reviewed)"), values)


def _claim_and_complete(database: Database, desk: Desk, person_id: UUID, times: int) -> Timings:
    """Claim again and again, and complete in between, which is not timed."""
    timings = Timings()
    with database.reading() as db:
        project, person = db.get_one(Project, desk.project_id), db.get_one(User, person_id)
    for turn in range(WARM_UP + times):
        began = time.perf_counter()
        lease_id = _claim(database, project, person)
        if turn >= WARM_UP:
            timings.seconds.append(time.perf_counter() - began)
        with database.writing() as db:
            leases.complete(db, db.get_one(Lease, lease_id))
    timings.wall_seconds = sum(timings.seconds)
    return timings


if __name__ == "__main__":
    main("claim", "Claiming the next item, whatever the size of the queue", measure)
