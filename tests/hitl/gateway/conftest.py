"""A project whose calls go through the gateway, over real sockets, to a real OpenAI-compatible server."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import select

from hitl.accounts.keys import create_key
from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core.database import Database
from hitl.gateway.models import Usage
from hitl.gateway.runtime import EXTENSION, Gateway
from hitl.gateway.settings import change_handling
from hitl.gateway.upstreams import add_upstream
from tests.hitl import factories
from tests.hitl.gateway.supervised import WAIT_SECONDS, Desk
from tests.machine.cut import wire
from tests.machine.openai_server import OpenAIServer, openai_server

SAID = "You said: When do you open? 🙂"


@dataclass
class Place:
    """A project with a gateway."""

    project: Project
    gateway: Gateway
    address: str
    db: Any

    def client(self, *, scopes: tuple[str, ...] = ("capture",), token: str | None = None, **options: Any) -> OpenAI:
        """An application: an OpenAI client of which nothing but address and key was changed."""
        if token is None:
            maker = factories.Membership(project=self.project, role="admin").user
            token = create_key(self.db, self.project, maker, "An application", scopes)[1]
            self.db.commit()
        url = f"{self.address}/gateway/{self.project.slug}/v1"
        return OpenAI(base_url=url, api_key=token, max_retries=0, **options)

    def add_upstream(self, base_url: str, key: str | None = "upstream-key-123", **terms: Any) -> Any:
        terms = {"name": f"upstream {len(terms)}-{base_url[-8:]}", "base_url": base_url, "retries": 0, **terms}
        upstream = add_upstream(self.db, self.project, terms, key)
        self.db.commit()
        self.gateway.forget()
        return upstream

    def set(self, **changes: Any) -> None:
        change_handling(self.db, self.project, changes)
        self.db.commit()
        self.gateway.forget()

    def recorded(self, count: int) -> list[Response]:
        """The captured responses, once there are so many: a stream is recorded after its reader had the last byte."""
        return self.found(select(Response).order_by(Response.created_at, Response.id), count)

    def usage(self, count: int = 1) -> list[Usage]:
        """What is noted as used, once so many calls are."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = self.found(select(Usage).order_by(Usage.model), 0)
            if sum(used.answers + used.failures for used in found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def found(self, query: Any, count: int) -> list[Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            assert self.gateway.recorder.flush(WAIT_SECONDS)
            self.db.rollback()
            found = list(self.db.scalars(query.execution_options(populate_existing=True)))
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


@pytest.fixture(scope="session")
def upstream() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def gateway(app, tmp_path) -> Iterator[Gateway]:
    instance = app.extensions["hitl"]
    settings = instance.settings.model_copy(
        update={"private_hosts": "127.0.0.1", "storage_url": str(tmp_path / "storage")}
    )
    before = app.extensions[EXTENSION]
    gateway = app.extensions[EXTENSION] = Gateway(dataclasses.replace(instance, settings=settings))
    yield gateway
    gateway.close()
    app.extensions[EXTENSION] = before


@pytest.fixture
def bare_place(gateway, address, committed) -> Place:
    """One without an upstream."""
    project = factories.Project()
    committed.commit()
    return Place(project, gateway, address, committed)


@pytest.fixture
def place(bare_place, upstream) -> Place:
    bare_place.add_upstream(upstream.address, name="main")
    return bare_place


@pytest.fixture
def desk(place, shared_database) -> Desk:
    return Desk(place, shared_database)


@pytest.fixture
def client(place) -> OpenAI:
    return place.client()


@pytest.fixture
def cut_place(database, place, app, tmp_path):
    """A gateway that reaches its database over a wire."""
    url = database.url
    with wire(url.host or "127.0.0.1", url.port or 5432) as between:
        reached = url.set(host="127.0.0.1", port=between.port).render_as_string(hide_password=False)
        far = Database(reached, session_info=database.session_info, bell=database.bell)
        settings = place.gateway.instance.settings
        gateway = Gateway(dataclasses.replace(place.gateway.instance, settings=settings, database=far))
        app.extensions[EXTENSION] = gateway
        yield between, dataclasses.replace(place, gateway=gateway)
        gateway.close()
        far.close()
