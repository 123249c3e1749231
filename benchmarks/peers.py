"""The same labelling work on Label Studio and here, in one run: `python -m benchmarks.peers`.

Both run as they come on SQLite, hold the same questions and answers, and are asked over HTTP by the same threads: next
task, then a rating, again and again, without a pause to read. Rounds alternate between the two.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from sqlalchemy import select

from benchmarks.bench import Bench, main
from benchmarks.databases import settle_down
from benchmarks.filling import add_open_items, add_responses, open_desk
from benchmarks.label_studio import Labeller, label_studio
from benchmarks.serving import ANSWERS, Program, keys_of_people, own_service
from benchmarks.timing import Timings, time_at_once, timed
from hitl.capture.models import Response

ROUNDS = 3
PEOPLE = 8
OFF_THE_SCALE = 99


class Figures:
    """What one product did in all rounds with so many people."""

    def __init__(self) -> None:
        self.asking, self.rating = Timings(), Timings()
        self.handed: Counter[Any] = Counter()
        self.failed = 0
        self.wall_seconds = 0.0

    def row(self) -> dict[str, Any]:
        """Return what a table shows of it."""
        twice = sum(times > 1 for times in self.handed.values())
        return {
            "next p50 ms": self.asking.p(50),
            "next p99 ms": self.asking.p(99),
            "rating p50 ms": self.rating.p(50),
            "rating p99 ms": self.rating.p(99),
            "ratings per second": len(self.rating.seconds) / self.wall_seconds,
            "labelled twice, in 100": 100 * twice / len(self.handed),
            "failed": self.failed,
        }


def measure(bench: Bench) -> None:
    """Label with one person and with several at once, alternating, then rate off the scale."""
    size = bench.sized(full=10_000, quick=1_000, smoke=400)
    with label_studio() as peer, _our_desk(size) as (texts, programs):
        project = peer.project(texts)
        labellers = [peer.labeller() for _ in range(PEOPLE)]
        bench.note(f"Label Studio {peer.version} by its own server, hitl by `hitl serve`; {size:,} tasks each")
        bench.table("Ask for the next task, then rate it")
        for people in (1, PEOPLE):
            theirs, ours = Figures(), Figures()
            for _ in range(ROUNDS):
                _label(bench, theirs, [_their_labeller(one, project, theirs) for one in labellers[:people]])
                _label(bench, ours, [_our_reviewer(one, ours) for one in programs[:people]])
            bench.row(people=people, product="Label Studio", **theirs.row())
            bench.row(people=people, product="hitl", **ours.row())
            ratio = theirs.asking.p(50) / ours.asking.p(50)
            bench.goal(f"{people} at once: next, p50 there / here", ratio, at_least=1.0, unit="×")
        bench.goal("tasks labelled twice here", ours.row()["labelled twice, in 100"], at_most=0.0, unit="in 100")
        bench.table("A rating of 99 on a scale of five points")
        bench.row(product="Label Studio", answer=_their_answer_off_the_scale(labellers[0], project))
        bench.row(product="hitl", answer=_our_answer_off_the_scale(programs[0]))


def _label(bench: Bench, figures: Figures, work: Sequence[Callable[[], None]]) -> None:
    each = max(2, bench.sized(full=160, quick=40, smoke=8) // len(work))
    figures.wall_seconds += time_at_once(work, each).wall_seconds


def _their_labeller(person: Labeller, project: int, figures: Figures) -> Callable[[], None]:
    def label() -> None:
        try:
            with timed(figures.asking):
                task = person.next_task(project)
            with timed(figures.rating):
                person.rate(task, 4)
        except requests.HTTPError:  # such as “database is locked”: people would try again
            figures.failed += 1
        else:
            figures.handed[task] += 1

    return label


def _our_reviewer(program: Program, figures: Figures) -> Callable[[], None]:
    def review() -> None:
        with timed(figures.asking):
            lease = program.expect(201, "POST", "/api/v1/projects/desk/leases", {})
        with timed(figures.rating):
            program.expect(201, "POST", f"/api/v1/leases/{lease['id']}/review", {"answers": ANSWERS})
        figures.handed[lease["item_id"]] += 1

    return review


def _their_answer_off_the_scale(person: Labeller, project: int) -> str:
    try:
        person.rate(person.next_task(project), OFF_THE_SCALE)
    except requests.HTTPError as refusal:
        return f"refused, {refusal.response.status_code}"
    return "stored"


def _our_answer_off_the_scale(program: Program) -> str:
    lease: Any = program.expect(201, "POST", "/api/v1/projects/desk/leases", {})
    answers = {"answers": ANSWERS | {"helpful": OFF_THE_SCALE}}
    status, _ = program.ask("POST", f"/api/v1/leases/{lease['id']}/review", answers)
    return "stored" if status == 201 else f"refused, {status}"


@contextmanager
def _our_desk(size: int):
    """A running service on SQLite with so many open items; what they hold, and a program for each person."""
    with own_service("sqlite") as service:
        with service.instance() as instance:
            desk = open_desk(instance.database, "desk", PEOPLE)
            about = add_responses(instance.database, desk, size)
            add_open_items(instance.database, desk, size, about=about)
            with instance.database.reading() as db:
                captured = db.execute(select(Response.input, Response.output)).all()
            with instance.database.writing() as db:
                tokens = keys_of_people(db, desk.project_id, desk.people, "review")
            settle_down(instance.settings.database_url)
        service.start()
        texts = [(asked["messages"][0]["content"], said["content"]) for asked, said in captured]
        yield texts, [Program(service, token) for token in tokens]


if __name__ == "__main__":
    main("peers", "The same labelling work beside Label Studio", measure)
