"""The service as it is run, behind a port, and people and programs who use it."""

import http.client
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from benchmarks.databases import own_database
from benchmarks.machine import cpu_seconds, family_of
from hitl.accounts.keys import create_key
from hitl.accounts.models import Project, User
from tests.machine.service import Service, serving

__all__ = ["Program", "cpu_of", "keys_of_people", "own_service"]


@contextmanager
def own_service(kind: str, *, web_processes: int = 1) -> Iterator[Service]:
    """An installation with an empty database, not yet started: fill it by `service.instance()`, then `start()` it."""
    with (
        own_database(kind) as url,
        tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder,
        serving(Path(folder), url, web_processes=web_processes) as service,
    ):
        yield service


def keys_of_people(db: Session, project_id: UUID, people: Sequence[UUID], *scopes: str) -> list[str]:
    """Make an API key for each of these people and return the tokens."""
    project = db.get_one(Project, project_id)
    return [create_key(db, project, db.get_one(User, person), "Benchmark", scopes)[1] for person in people]


def cpu_of(service: Service) -> float:
    """Return the processor seconds that all processes of a service have used."""
    return sum(map(cpu_seconds, family_of(service.pid)))


class Program:
    """A program that keeps one connection to the API open."""

    def __init__(self, service: Service, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Send a request and return the status and the JSON of the answer."""
        sent = None if body is None else orjson.dumps(body)
        status, answered = self.send(method, path, sent)
        return status, orjson.loads(answered) if answered else None

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Send a body that is ready and return the answer as it came, for what must not be slowed by JSON."""
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()
