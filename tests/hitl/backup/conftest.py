"""Installations of either kind with a real mix in them, made through the API as programs make it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from hitl.accounts.invitations import create_invitation
from hitl.accounts.keys import create_key
from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import SCOPES
from hitl.accounts.projects import create_project
from hitl.app import create_app, import_parts
from hitl.core import jobs, schema
from hitl.core.database import Base, Database
from hitl.core.instance import Instance, open_instance
from hitl.core.settings import Settings
from hitl.datasets.models import DatasetVersion, VersionExport
from hitl.datasets.storage import storage_of

SECRET = "the secret of the installations in these tests"
ODD_TEXT = "Zoë 👩‍🚀 \\u0000 \r\n\t “quoted” \u2028 \ufeff \U0010ffff"
ODD_NUMBERS = {"big": 2**53 - 1, "small": -(2**53) + 1, "tiny": 5e-324, "third": 1 / 3, "whole": 1.0, "minus": -0.0}
# No client may send these, but our own code could write them.
ODDER_NUMBERS = {"big": 2**63 - 1, "bigger": 2**64 - 1, "small": -(2**63), "huge": 1.7976931348623157e308}

Install = Callable[..., "Installation"]


def make_tables(database: Database) -> None:
    """Make all tables at once: quicker than step by step."""
    import_parts()
    Base.metadata.create_all(database.engine)
    command.stamp(schema.alembic_config(database), "head")


@dataclass
class Installation:
    """One installation in this process, and the people who work there."""

    instance: Instance
    tokens: dict[str, str] = field(default_factory=dict)

    def program(self, name: str) -> "Program":
        return Program(self.app.test_client(), self.tokens[name])

    @cached_property
    def app(self) -> Flask:
        return create_app(self.instance)

    def work(self) -> None:
        """Do all background work that is due."""
        jobs.Worker(self.instance.database).run_until_idle()

    def open_desk(self) -> None:
        """Make a project with three people, each with a key of every scope."""
        with self.instance.database.writing() as db:
            jobs.arm_periodic(db)
            project = create_project(db, "desk", "Desk 👩‍🚀")
            for name in ("kim", "lee", "sam"):
                user = User(email=f"{name}@example.org", name=name)
                db.add(user)
                db.flush()
                db.add(Membership(user_id=user.id, project_id=project.id, role="admin"))
                db.flush()
                self.tokens[name] = create_key(db, project, user, "Key", list(SCOPES))[1]
            jobs.enqueue(db, "of.a.newer.program", {**ODDER_NUMBERS, "text": "\0" + ODD_TEXT}, delay_seconds=0.25)
            create_invitation(db, project, "annotator", by=user)

    def fill(self) -> None:
        """Capture, say what end users thought, review in every way, freeze and export."""
        self.open_desk()
        kim, lee = self.program("kim"), self.program("lee")
        rule = {"name": "All", "condition": {"kind": "all"}, "rate": 1.0, "reviews_wanted": 2}
        kim.ask("POST", "/projects/desk/rules", rule)
        batch = {"responses": [_response(n) for n in range(8)]}
        results = kim.ask("POST", "/projects/desk/responses", batch, key="batch 1")["results"]
        assert {one["status"] for one in results} == {"created"}, results
        said = [{"client_id": f"r{n}", "kind": "thumbs", "value": n % 2 == 0} for n in range(6)]
        kim.ask("POST", "/projects/desk/feedback", {"feedback": said})
        kim.ask("POST", "/projects/desk/feedback", {"client_id": "later", "kind": "stars", "value": 4})
        self.work()
        stored = kim.ask("GET", "/projects/desk/responses")["responses"]
        same = {"response_ids": [one["id"] for one in stored if one["client_id"] in ("r6", "r7")]}
        kim.ask("POST", "/projects/desk/items", {"comparisons": [same], "reviews_wanted": 2, "priority": 9})
        for number in range(5):
            kim.review("A better answer 👍 " + ODD_TEXT if number % 2 else None)
            lee.review("Another better answer." if number % 3 else None)
        mine = kim.ask("GET", "/projects/desk/my-reviews")["reviews"]
        kim.ask("POST", f"/reviews/{mine[0]['id']}/reopening")
        held = lee.ask("POST", "/projects/desk/leases", {})
        lee.ask("PUT", f"/leases/{held['id']}/draft", {"answers": {"helpful": "3"}, "seen_number": 0})
        other = self.program("sam").ask("POST", "/projects/desk/leases", {})
        self.program("sam").ask("POST", f"/leases/{other['id']}/skip", {"reason": ODD_TEXT.replace("\\u0000", "")})
        self.freeze("pairs", "preference")
        self.freeze("shown", "demonstration")
        self._keep_export()

    def _keep_export(self) -> None:
        with self.instance.database.writing() as db:
            version = db.scalars(select(DatasetVersion).limit(1)).one()
            name = f"{version.location}/exports/trl-preference.zip"
            with storage_of(db).writing(name) as stream:
                stream.write(b"PK")
            export = {"format": "trl-preference", "state": "ready", "location": name, "bytes": 2**40}
            db.add(VersionExport(version_id=version.id, **export))

    def freeze(self, name: str, kind: str) -> dict[str, Any]:
        kim = self.program("kim")
        started = kim.ask("POST", f"/projects/desk/datasets/{name}/versions", {"kind": kind})
        self.work()
        frozen: dict[str, Any] = kim.ask("GET", f"/projects/desk/datasets/{name}/versions/{started['version']}")
        assert frozen["state"] == "frozen", frozen
        return frozen


@dataclass
class Program:
    """A program with a person's key, to whom nothing is refused."""

    client: FlaskClient
    token: str

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        answer = self.client.open(f"/api/v1{path}", method=method, json=body, headers=headers)
        assert answer.status_code < 400, answer.get_data(as_text=True)
        return answer.json if answer.is_json else answer.data

    def review(self, correction: str | None = None) -> dict[str, Any]:
        """Claim, judge and submit what comes next."""
        lease = self.ask("POST", "/projects/desk/leases", {})
        answers: dict[str, Any] = {"helpful": 2, "correct": "unsure", "wrong": ["rude"], "correction": correction}
        if lease["kind"] == "comparison":
            answers = {"ranking": [[target["response_id"]] for target in lease["targets"]], "reasons": []}
        given = {"answers": answers, "seconds_on_display": 1 / 3}
        review: dict[str, Any] = self.ask("POST", f"/leases/{lease['id']}/review", given)
        return review


def _response(n: int) -> dict[str, Any]:
    return {
        "client_id": f"r{n}",
        "input": {"messages": [{"role": "user", "content": f"{ODD_TEXT} {min(n, 6)}"}]},
        "output": {"role": "assistant", "content": f"{ODD_TEXT} answer {n}"},
        "model": f"desk-{n % 2}",
        "end_user": f"person {n % 3}",
        "conversation_id": f"talk {n % 4}",
        "turn": n,
        "created_at": f"2026-11-20T19:12:00.{n:06}+05:30",
        "metadata": {**ODD_NUMBERS, "odd": [ODD_TEXT, None, True, {"": 1.0}]},
        "signals": {"score": 0.1 + n},
        "cost_usd": 0.1,
        "latency_seconds": 1e-9,
        "may_train": "yes",
    }


@pytest.fixture
def install(make_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """A function from a kind of database to an empty, up-to-date installation with a storage of its own."""
    opened: list[Instance] = []

    def make(kind: str, *, secret: str = SECRET, is_bare: bool = False) -> Installation:
        storage: Path = tmp_path_factory.mktemp("storage") / "files"
        instance = open_instance(
            Settings(database_url=make_database(kind), storage_url=str(storage), secret=secret)  # type: ignore[arg-type]
        )
        opened.append(instance)
        if not is_bare:
            make_tables(instance.database)
        return Installation(instance)

    yield make
    for instance in opened:
        instance.database.close()
