"""Promise 1: a 2xx survives `kill -9` of every process one instant later.

A real server is killed the moment one of several busy clients has its answer; then it is started again and asked for
everything that was ever acknowledged.
"""

import threading
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hitl.accounts.keys import create_key
from hitl.accounts.projects import create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.capture.models import Feedback, Response, WaitingFeedback
from tests.conftest import MakeDatabase
from tests.machine.service import Service, serving

KILLS = 3
SENDERS = 3


class TestNothingAcknowledgedIsLost:
    def test_it_keeps_every_captured_response_and_what_users_said(self, desk: "Desk") -> None:
        def send(number: int) -> tuple[str, str] | None:
            name = f"r-{number // 2}"
            is_sent = desk.capture(name) if number % 2 else desk.complain(name)  # either may come first
            return ("response" if number % 2 else "feedback", name) if is_sent else None

        acknowledged = desk.kill_while(send)

        responses, feedback = desk.responses_and_feedback()
        assert {name for kind, name in acknowledged if kind == "response"} <= responses
        assert {name for kind, name in acknowledged if kind == "feedback"} <= feedback

    def test_it_keeps_every_draft(self, desk: "Desk") -> None:
        lease = desk.claim_one()
        numbers = iter(range(1, 100_000))
        lock = threading.Lock()

        def save(_number: int) -> dict[str, Any] | None:
            with lock:  # one person types, so one draft after another
                seen = next(numbers) - 1
                body = {"answers": {"correction": f"text {seen + 1}"}, "seen_number": desk.draft_number(lease)}
                status, draft = desk.service.ask("PUT", f"/api/v1/leases/{lease}/draft", desk.key, body)
            return draft if status == 200 else None

        acknowledged = desk.kill_while(save)

        _, draft = desk.service.ask("GET", f"/api/v1/leases/{lease}/draft", desk.key)
        newest = max(acknowledged, key=lambda known: int(known["number"]))
        assert draft["number"] >= newest["number"]
        if draft["number"] == newest["number"]:
            assert draft["answers"] == newest["answers"]

    def test_it_keeps_every_review_and_counts_it_once(self, desk: "Desk") -> None:
        desk.fill(400)

        turn = threading.Lock()

        def review(_number: int) -> str | None:
            lease = desk.next_lease(turn)
            if lease is None:
                return None
            answers = {"answers": {"helpful": 4, "correct": 4, "correction": "Better said."}, "seconds_on_display": 1.5}
            status, done = desk.service.ask("POST", f"/api/v1/leases/{lease}/review", desk.key, answers)
            return done["id"] if status == 201 else None

        acknowledged = desk.kill_while(review)

        stored = {row["id"]: row for row in desk.rows("reviews")}
        assert acknowledged
        assert set(acknowledged) <= set(stored)
        assert all(stored[review]["counted"] for review in acknowledged)
        items = desk.rows("items")
        assert all(
            item["open_slots"] + item["running"] + item["reserved"] + item["counted"] == item["reviews_wanted"]
            for item in items
        )
        assert sum(item["counted"] for item in items) == len(stored)
        taught = {row["review_id"] for row in desk.rows("evidence")}
        assert taught == set(stored)  # what a review teaches is stored with it, or neither is


class Desk:
    """A project on a service, and someone who does everything by API."""

    slug = "desk"

    def __init__(self, service: Service) -> None:
        self.service = service
        self.held: set[str] = set()  # leases that a living client works on
        import_parts()
        with service.instance() as instance, instance.database.writing() as db:
            ann = create_user(db, "ann@example.org", "Ann")
            project = create_project(db, self.slug, "Desk", by=ann)
            scopes = ["capture", "feedback", "review", "queue", "datasets"]
            _, self.key = create_key(db, project, ann, "everything", scopes)
        service.start()

    def capture(self, client_id: str) -> bool:
        """Capture one response; whether that was acknowledged."""
        status, _ = self.service.ask("POST", f"/api/v1/projects/{self.slug}/responses", self.key, a_row(client_id))
        return status in (200, 201)

    def fill(self, number: int) -> None:
        """Capture so many responses and put them all into the queue."""
        rows = [a_row(f"r-{each}") for each in range(number)]
        status, answer = self.service.ask(
            "POST", f"/api/v1/projects/{self.slug}/responses", self.key, {"responses": rows}
        )
        assert status == 200, answer
        self.pick_all()

    def complain(self, client_id: str) -> bool:
        """Give feedback to a response; whether that was acknowledged."""
        row = {"client_id": client_id, "kind": "thumbs", "value": False, "comment": "Not true."}
        status, _ = self.service.ask("POST", f"/api/v1/projects/{self.slug}/feedback", self.key, row)
        return status in (200, 201)

    def responses_and_feedback(self) -> tuple[set[str | None], set[str | None]]:
        """Return the client ids under which a response is stored, and those with feedback, waiting or attached."""
        with self.service.instance() as instance, instance.database.reading() as db:
            responses = set(db.scalars(select(Response.client_id)))
            attached = db.scalars(select(Response.client_id).join(Feedback, Feedback.response_id == Response.id))
            return responses, {*attached, *db.scalars(select(WaitingFeedback.client_id))}

    def claim_one(self) -> str:
        self.capture("r-draft")
        self.pick_all()
        _, lease = self.service.ask("POST", f"/api/v1/projects/{self.slug}/leases", self.key, {})
        return str(lease["id"])

    def draft_number(self, lease: str) -> int:
        return int(self.service.ask("GET", f"/api/v1/leases/{lease}/draft", self.key)[1]["number"])

    def next_lease(self, turn: threading.Lock) -> str | None:
        """Claim an item; go on with one that a killed claim left behind when no more may be held."""
        leases = f"/api/v1/projects/{self.slug}/leases"
        with turn:
            status, lease = self.service.ask("POST", leases, self.key, {})
            if status == 201:
                self.held.add(lease["id"])
                return str(lease["id"])
            _, mine = self.service.ask("GET", leases, self.key)
            left_behind = [known["id"] for known in mine["leases"] if known["id"] not in self.held]
            self.held.update(left_behind[:1])
            return left_behind[0] if left_behind else None

    def pick_all(self) -> None:
        """Put every captured response into the queue by hand."""
        ids = [row["id"] for row in self.rows("responses")]
        status, answer = self.service.ask(
            "POST", f"/api/v1/projects/{self.slug}/items", self.key, {"response_ids": ids, "reviews_wanted": 1}
        )
        assert status == 201, answer

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Return all rows of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            path = f"/api/v1/projects/{self.slug}/{kind}?limit=500{cursor}"
            status, page = self.service.ask("GET", path, self.key)
            assert status == 200, page
            found += page[kind]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def kill_while(self, act: Callable[[int], Any]) -> list[Any]:
        """Let several clients act at once; kill the service at an answer, start it again, and so on.

        Returns what was acknowledged.
        """
        acknowledged: list[Any] = []
        numbers = iter(range(1_000_000))
        for _ in range(KILLS):
            answered = threading.Event()
            over = threading.Event()

            def send(answered: threading.Event = answered, over: threading.Event = over) -> None:
                done = 0
                while not over.is_set():
                    try:
                        result = act(next(numbers))
                    except (OSError, HTTPException, ValueError):
                        return  # no answer: nothing was promised
                    if result is not None:
                        acknowledged.append(result)
                        done += 1
                        if done == 5:
                            answered.set()

            senders = [threading.Thread(target=send) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            assert answered.wait(60), self.service.log()
            self.service.kill()
            over.set()
            for sender in senders:
                sender.join()
            self.held.clear()
            self.service.start()
        return acknowledged


def a_row(client_id: str) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "input": {"messages": [{"role": "user", "content": "Is a room free?"}]},
        "output": {"role": "assistant", "content": "Yes."},
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> Iterator[Desk]:
    processes = 2 if request.param == "postgresql" else 1
    with serving(tmp_path, make_database(request.param), web_processes=processes) as service:
        yield Desk(service)
