"""Freezing preference pairs: rows a second beside the floor, memory as they grow, and claims meanwhile.

The floor reads the same prompts and answers as JSON text out of one flat table, parses them with Arrow and writes them
as Parquet: no joins, no lineage, no hashes, no splits. Each freeze runs in a process of its own, as a worker does.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from sqlalchemy import select

from benchmarks.bench import Bench, main
from benchmarks.databases import note_server, own_instance, settle_down
from benchmarks.pairs import fill_with_pairs
from benchmarks.timing import percentile
from hitl.accounts.models import Project, User
from hitl.core.instance import Instance
from hitl.queue import leases
from hitl.queue.models import Item

OPEN_ITEMS = 2_000
CLAIM_SECONDS = 3.0


def measure(bench: Bench) -> None:
    """Measure both databases, at each size; the goals are about the largest."""
    sizes = bench.sized(full=(100_000, 1_000_000), quick=(1_000, 10_000), smoke=(200,))
    bench.table("Freeze")
    for kind in bench.kinds:
        peaks: list[float] = []
        share = slowdown = None
        for size in sizes:
            with own_instance(kind) as instance:
                project = fill_with_pairs(instance.database, size)
                open_some_items(instance, project)
                url = instance.database.url.render_as_string(hide_password=False)
                settle_down(url.replace("+psycopg", ""))
                note_server(bench, kind, url.replace("+psycopg", ""))
                floor = in_own_process("floor", instance, size)
                before = claims(instance, project)
                with claiming(instance, project) as meanwhile:
                    done = in_own_process("freeze", instance, size)
                share, slowdown = done["rows"] / floor["rows"], percentile(meanwhile, 0.5) / percentile(before, 0.5)
                peaks.append(done["mib"])
                bench.row(
                    **{
                        "database": kind,
                        "pairs": size,
                        "rows per second": done["rows"],
                        "floor": floor["rows"],
                        "of the floor": share,
                        "CPU µs a row": done["cpu"] * 1e6 / size,
                        "peak MiB": done["mib"],
                        "floor's MiB": floor["mib"],
                        "claim p50 ms": 1000 * percentile(meanwhile, 0.5),
                        "without a freeze": 1000 * percentile(before, 0.5),
                    }
                )
        bench.goal(f"{kind}: freeze against the floor", share, unit="of it", at_least=0.5)
        bench.goal(f"{kind}: peak memory, largest against the size before", peaks[-1] / peaks[0], unit="×", at_most=1.3)
        bench.goal(f"{kind}: claims during a freeze", slowdown, unit="× as slow", at_most=1.5)


def open_some_items(instance: Instance, project: Project) -> None:
    """Put items into the queue that people claim while the freeze runs."""
    with instance.database.writing() as db:
        found = db.scalars(select(Item).where(Item.project_id == project.id).order_by(Item.id).limit(OPEN_ITEMS))
        for item in found:
            item.reviews_wanted, item.open_slots, item.closed_at, item.closed_as = 2, 1, None, None


def claims(instance: Instance, project: Project) -> list[float]:
    """Return how long claims take, in seconds, while nothing else happens."""
    with claiming(instance, project) as seconds:
        time.sleep(CLAIM_SECONDS)
    return seconds


@contextmanager
def claiming(instance: Instance, project: Project) -> Iterator[list[float]]:
    """Let a person claim an item and give it back, some twenty times a second."""
    seconds: list[float] = []
    stop = threading.Event()

    def work() -> None:
        with instance.database.reading() as db:
            people = db.scalars(select(User).order_by(User.id)).all()
        number = 0
        while not stop.wait(0.05):
            start = time.perf_counter()
            with instance.database.writing() as db:
                lease = leases.claim(db, project, people[number % len(people)])
            seconds.append(time.perf_counter() - start)
            if lease is not None:
                with instance.database.writing() as db:
                    leases.give_back(db, db.merge(lease))
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seconds
    finally:
        stop.set()
        thread.join()


def in_own_process(what: str, instance: Instance, rows: int, *more: str) -> dict[str, float]:
    """Run a part of this file in another process; return its rows a second, processor seconds and peak memory."""
    settings = instance.settings
    environment = {
        **os.environ,
        "HITL_DATABASE_URL": settings.database_url,
        "HITL_STORAGE_URL": settings.storage_url,
        "HITL_SECRET": settings.secret.get_secret_value() if settings.secret else "",
    }
    command = [sys.executable, "-m", "benchmarks.freeze_part", what, str(rows), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main("freeze", "Freezing preference pairs", measure)
