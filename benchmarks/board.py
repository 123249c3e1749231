"""What a supervisor's board costs the server, however many conversations go on: `python -m benchmarks.board`.

Two projects of one service, one with a hundred conversations, one with ten thousand: of each fifty one needs a person,
and another is with one. Their pages are asked for in turn, over one kept connection, by a supervisor of both.
"""

import http.client
from datetime import timedelta
from uuid import UUID

from sqlalchemy import insert

from benchmarks.bench import Bench, main
from benchmarks.databases import settle_down
from benchmarks.serving import own_service, sign_in
from benchmarks.timing import Timings, timed
from hitl.accounts.members import add_member
from hitl.accounts.models import Project, User
from hitl.accounts.projects import create_project
from hitl.accounts.users import create_user
from hitl.capture.models import Conversation
from hitl.core import clock
from hitl.core.ids import new_id
from hitl.live.models import LiveConversation

FEW = 100
RATIO = 1.5
BATCH = 1_000


def measure(bench: Bench) -> None:
    """Ask for the board of a small and of a large project in turn."""
    many = bench.sized(full=10_000, quick=2_000, smoke=120)
    times = bench.sized(full=300, quick=60, smoke=2)
    bench.table("The board's page, as the server answers it")
    for kind in bench.kinds:
        with own_service(kind) as service:
            with service.instance() as instance:
                with instance.database.writing() as db:
                    user = create_user(db, "kim@example.com", "Kim Sato")
                    for slug, count in (("few", FEW), ("many", many)):
                        project = create_project(db, slug, slug)
                        add_member(db, project, user, "supervisor")
                        _fill(db, project, user, count)
                    cookie = sign_in(instance, db, user.id)
                settle_down(instance.settings.database_url)
            service.start()
            took = _ask_in_turn(service.port, cookie, times)
        for slug, count in (("few", FEW), ("many", many)):
            bench.row(database=kind, conversations=count, **{"p50 ms": took[slug].p(50), "p95 ms": took[slug].p(95)})
        ratio = took["many"].p(95) / took["few"].p(95)
        bench.goal(f"board of {many:,} beside one of {FEW}, {kind}: p95", ratio, unit="×", at_most=RATIO)


def _ask_in_turn(port: int, cookie: str, times: int) -> dict[str, Timings]:
    took = {"few": Timings(), "many": Timings()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for round_number in range(times + 3):
        for slug, timings in took.items():
            with timed(timings):
                connection.request("GET", f"/projects/{slug}/live", headers={"Cookie": f"hitl_session={cookie}"})
                answer = connection.getresponse()
                page = answer.read()
            if answer.status != 200 or b"Needs you" not in page:
                raise AssertionError(f"the board was answered {answer.status}")
        if round_number == 2:  # templates are compiled, plans are made
            for timings in took.values():
                timings.seconds.clear()
    return took


def _fill(db, project: Project, user: User, count: int) -> None:
    now = clock.now()
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        ids: list[UUID] = [new_id() for _ in numbers]
        db.execute(
            insert(Conversation),
            [
                {"id": one, "project_id": project.id, "client_id": f"chat-{number}", "details": {}, "created_at": now}
                for one, number in zip(ids, numbers, strict=True)
            ],
        )
        db.execute(insert(LiveConversation), [_row(*one, project, user) for one in zip(ids, numbers, strict=True)])


def _row(conversation_id: UUID, number: int, project: Project, user: User) -> dict[str, object]:
    at = clock.now() - timedelta(seconds=number % 80_000)
    needs = [{"kind": "wants_person", "text": "The user asked for a person.", "since": at.isoformat()}]
    return {
        "id": conversation_id,
        "project_id": project.id,
        "holder": "person" if number % 50 == 1 else "bot",
        "holder_id": user.id if number % 50 == 1 else None,
        "last_number": 4,
        "user_number": 3,
        "last_text": "I have had a headache, dizziness and muscle weakness for two days now.",
        "needs": needs if number % 50 == 0 else [],
        "needs_since": at if number % 50 == 0 else None,
        "started_at": at,
        "last_at": at,
    }


if __name__ == "__main__":
    main("board", "The board of live conversations", measure)
