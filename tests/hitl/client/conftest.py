from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from hitl.capture.models import Feedback, Response
from hitl.client import Client, Limits, Problem
from hitl.core.database import Database
from tests.hitl import factories
from tests.machine.flaky import FlakyDoor, flaky_door

QUICK = {"batch_seconds": 0.02, "first_pause_seconds": 0.02, "longest_pause_seconds": 0.1, "exit_seconds": 5.0}

MakeClient = Callable[..., Client]


@dataclass
class Place:
    """A project behind a socket, and what is stored in it."""

    address: str
    key: str
    slug: str
    database: Database

    def responses(self) -> dict[str | None, Response]:
        """Return what is stored, by client id."""
        with self.database.reading() as db:
            found = list(db.scalars(select(Response).options(joinedload(Response.conversation))))
        by_name = {response.client_id: response for response in found}
        assert len(by_name) == len(found)
        return by_name

    def feedback(self) -> list[Feedback]:
        with self.database.reading() as db:
            return list(db.scalars(select(Feedback).order_by(Feedback.given_at)))


@pytest.fixture
def place(address, api, committed, shared_database) -> Place:
    project = factories.Project()
    key = api(project, "capture", "feedback").environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    return Place(address, key, project.slug, shared_database)


@pytest.fixture
def door(address) -> Iterator[FlakyDoor]:
    """A flaky door before the service."""
    with flaky_door(address) as door:
        yield door


@pytest.fixture
def problems() -> list[Problem]:
    """What clients told of."""
    return []


@pytest.fixture
def make_client(place, problems) -> Iterator[MakeClient]:
    """Makes a client with short limits: make_client(url=door.address, batch_rows=2)."""
    made: list[Client] = []

    def make(url: str = place.address, key: str = place.key, **limits: Any) -> Client:
        client = Client(url, key, place.slug, limits=Limits(**{**QUICK, **limits}), on_problem=problems.append)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close(0.1)


def adds_up(client: Client) -> bool:
    """Whether every row that was given is in exactly one of the counts."""
    seen = client.statistics()
    return seen.given_count == (
        seen.stored_count + seen.repeated_count + seen.rejected_count + seen.dropped_count + seen.pending_count
    )
