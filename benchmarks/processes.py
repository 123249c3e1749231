"""What more web processes bring: `python -m benchmarks.processes`.

The same work against one, two and four processes of the service on PostgreSQL. The askers run on the same machine, and
so does the database: with two cores, little is left for a second process.
"""

from collections.abc import Callable
from contextlib import contextmanager
from itertools import count

from benchmarks.bench import Bench, main
from benchmarks.databases import note_server, settle_down
from benchmarks.filling import Desk, add_open_items, add_responses, open_desk
from benchmarks.serving import ANSWERS, Program, keys_of_people, own_service
from benchmarks.timing import Timings, time_at_once, timed
from tests.machine.service import Service

KIND = "postgresql"
WARM_UP = 2
_numbers = count()


def measure(bench: Bench) -> None:
    """Capture batches, and claim and submit, with more and more processes."""
    bench.table("Many askers at once, PostgreSQL")
    if KIND not in bench.kinds:
        bench.note("SQLite is served by one process")
        return
    for processes in bench.sized(full=(1, 2, 4), quick=(1, 2), smoke=(2,)):
        with _service(bench, processes) as (service, desk, tokens):
            captured = _capture(bench, service, desk, tokens)
            claiming, submitting, per_second = _review(bench, service, desk, tokens)
            bench.row(
                **{"web processes": processes, "captured rows per second": captured},
                **{"reviews per second": per_second, "claim p50 ms": claiming.p(50), "submit p50 ms": submitting.p(50)},
            )


@contextmanager
def _service(bench: Bench, processes: int):
    askers = bench.sized(full=16, quick=8, smoke=2)
    reviews = askers * (_rounds(bench) + WARM_UP + 1)
    with own_service(KIND, web_processes=processes) as service:
        with service.instance() as instance:
            note_server(bench, KIND, instance.settings.database_url)
            desk = open_desk(instance.database, "desk", askers, role="admin")
            about = add_responses(instance.database, desk, bench.sized(full=1_000, quick=200, smoke=20))
            add_open_items(instance.database, desk, reviews, about=about)
            with instance.database.writing() as db:
                tokens = keys_of_people(db, desk.project_id, desk.people, "review", "capture")
            settle_down(instance.settings.database_url)
        service.start()
        yield service, desk, tokens


def _rounds(bench: Bench) -> int:
    return bench.sized(full=60, quick=10, smoke=2)


def _capture(bench: Bench, service: Service, desk: Desk, tokens: list[str]) -> float:
    """Return how many rows a second go in, in batches of 500."""
    rows = bench.sized(full=500, quick=500, smoke=20)

    def sender(token: str) -> Callable[[], None]:
        program = Program(service, token)

        def send() -> None:
            batch = {"responses": [_response() for _ in range(rows)]}
            program.expect(200, "POST", f"/api/v1/projects/{desk.slug}/responses", batch)

        return send

    times = bench.sized(full=5, quick=2, smoke=1)
    timings = time_at_once([sender(token) for token in tokens[:8]], times, warm_up=1)
    return timings.per_second * rows


def _response() -> dict[str, object]:
    number = next(_numbers)
    said = f"Your order {number} is on its way. " + "It left our house on Monday. " * 20
    return {
        "client_id": f"captured-{number}",
        "input": {"messages": [{"role": "user", "content": f"Where is my order {number}?"}]},
        "output": {"role": "assistant", "content": said},
        "model": "desk-small",
    }


def _review(bench: Bench, service: Service, desk: Desk, tokens: list[str]) -> tuple[Timings, Timings, float]:
    claiming, submitting = Timings(), Timings()

    def reviewer(token: str) -> Callable[[], None]:
        program = Program(service, token)

        def review() -> None:
            with timed(claiming):
                lease = program.expect(201, "POST", f"/api/v1/projects/{desk.slug}/leases", {})
            with timed(submitting):
                program.expect(201, "POST", f"/api/v1/leases/{lease['id']}/review", {"answers": ANSWERS})

        return review

    together = time_at_once([reviewer(token) for token in tokens], _rounds(bench), warm_up=WARM_UP)
    return claiming, submitting, together.per_second


if __name__ == "__main__":
    main("processes", "One, two and four web processes", measure)
