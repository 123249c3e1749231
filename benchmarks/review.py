"""How long reviewers wait when they submit and go on: `python -m benchmarks.review`.

By the API it is two requests, submit and claim; by the page one, whose answer is the next item's form. Nobody pauses to
read, so fifty of them ask for far more than a desk of fifty people does.
"""

from collections.abc import Callable
from contextlib import contextmanager

from benchmarks.bench import Bench, main
from benchmarks.databases import note_server, settle_down
from benchmarks.filling import Desk, add_open_items, add_responses, open_desk
from benchmarks.serving import ANSWERS, Program, Visitor, cpu_of, keys_of_people, own_service, sign_in
from benchmarks.timing import Timings, time_at_once, timed
from tests.machine.service import Service

WARM_UP = 2


def measure(bench: Bench) -> None:
    """Review by the API and by the page, one reviewer alone and many at once."""
    for kind in bench.kinds:
        with _desk_at_work(bench, kind) as (service, desk, tokens, cookies):
            bench.table(f"By the API, {kind}: submit a review, then claim the next item")
            for number in _reviewers(bench):
                _by_api(bench, service, desk, [tokens.pop() for _ in range(number)])
            bench.table(f"By the page, {kind}: submit the form and get the next item's")
            for number in _reviewers(bench):
                _by_page(bench, service, desk, [cookies.pop() for _ in range(number)])


def _reviewers(bench: Bench) -> tuple[int, ...]:
    return bench.sized(full=(1, 50), quick=(1, 20), smoke=(2,))


def _reviews(bench: Bench, reviewers: int) -> int:
    """How many reviews each writes."""
    return max(2, bench.sized(full=600, quick=100, smoke=4) // reviewers)


@contextmanager
def _desk_at_work(bench: Bench, kind: str):
    """A running service with enough items, and a token and a cookie for each person."""
    people = sum(_reviewers(bench))
    items = sum(2 * number * (_reviews(bench, number) + WARM_UP + 2) for number in _reviewers(bench))
    with own_service(kind) as service:
        with service.instance() as instance:
            note_server(bench, kind, instance.settings.database_url)
            desk = open_desk(instance.database, "desk", 2 * people)
            about = add_responses(instance.database, desk, bench.sized(full=1_000, quick=200, smoke=20))
            add_open_items(instance.database, desk, items, about=about)
            with instance.database.writing() as db:
                tokens = keys_of_people(db, desk.project_id, desk.people[:people], "review")
                cookies = [sign_in(instance, db, person) for person in desk.people[people:]]
            settle_down(instance.settings.database_url)
        service.start()
        yield service, desk, tokens, cookies


def _by_api(bench: Bench, service: Service, desk: Desk, tokens: list[str]) -> None:
    submitting, claiming = Timings(), Timings()
    work = [_api_reviewer(Program(service, token), desk, submitting, claiming) for token in tokens]
    figures = _work_together(bench, service, work)
    bench.row(
        reviewers=len(tokens),
        **{"submit p50 ms": submitting.p(50), "submit p99 ms": submitting.p(99)},
        **{"claim p50 ms": claiming.p(50), "claim p99 ms": claiming.p(99)},
        **{name: figures[name] for name in ("per second", "server CPU ms")},
    )


def _api_reviewer(program: Program, desk: Desk, submitting: Timings, claiming: Timings) -> Callable[[], None]:
    def review() -> None:
        with timed(claiming):
            lease = program.expect(201, "POST", f"/api/v1/projects/{desk.slug}/leases", {})
        with timed(submitting):
            program.expect(201, "POST", f"/api/v1/leases/{lease['id']}/review", {"answers": ANSWERS})

    return review


def _by_page(bench: Bench, service: Service, desk: Desk, cookies: list[str]) -> None:
    visitors = [Visitor(service, desk.slug, cookie) for cookie in cookies]
    for visitor in visitors:
        visitor.begin()
    bench.row(reviewers=len(visitors), **_work_together(bench, service, [visitor.submit for visitor in visitors]))


def _work_together(bench: Bench, service: Service, work: list[Callable[[], None]]) -> dict[str, float]:
    each, cpu = _reviews(bench, len(work)), cpu_of(service)
    timings = time_at_once(work, each, warm_up=WARM_UP)
    cpu_ms = 1000 * (cpu_of(service) - cpu) / (len(work) * (each + WARM_UP))
    return {**timings.columns(), "server CPU ms": cpu_ms}


if __name__ == "__main__":
    main("review", "Submitting a review and going on with the next item", measure)
