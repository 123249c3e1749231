"""The service as it is run, behind a port, and people and programs who use it."""

import http.client
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy.orm import Session

from benchmarks.databases import own_database
from benchmarks.machine import cpu_seconds, family_of
from hitl.accounts.access import SESSION_ID
from hitl.accounts.keys import create_key
from hitl.accounts.models import Project, User
from hitl.accounts.sessions import start_session
from hitl.core.instance import Instance
from tests.machine.service import Service, serving


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


def sign_in(instance: Instance, db: Session, person_id: UUID) -> str:
    """Start a person's session and return the cookie of their browser, as the sign-in page would set it."""
    app = Flask(__name__)
    app.secret_key = instance.keys.sessions
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    if signer is None:
        raise LookupError("the instance has no key for sessions")
    return str(signer.dumps({SESSION_ID: str(start_session(db, db.get_one(User, person_id)).id)}))


class Visitor:
    """A browser without scripts or rendering: it reviews by the page's form, as htmx sends it."""

    def __init__(self, service: Service, slug: str, cookie: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self._cookies = {"hitl_session": cookie}
        self._slug, self._token = slug, ""

    def begin(self) -> None:
        """Open the first item."""
        self._form = self._send("GET", f"/projects/{self._slug}/review")
        self._form = self._send("POST", f"/projects/{self._slug}/leases", {})

    def submit(self) -> None:
        """Submit the review of the open item, and open the next."""
        action = re.search(r'id="review"[^>]* action="([^"]+)"', self._form)
        if action is None:
            raise AssertionError("no item is open")
        self._form = self._send("POST", action[1], FORM)

    def _send(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if fields is not None:
            headers |= {"HX-Request": "true", "X-CSRFToken": self._token, "Content-Type": FORM_TYPE}
        self._connection.request(method, path, None if fields is None else urlencode(fields), headers)
        response = self._connection.getresponse()
        page = response.read().decode()
        if response.status != 200:
            raise AssertionError(f"{method} {path} was answered {response.status}")
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        self._token = token[1] if token else self._token
        return page


FORM_TYPE = "application/x-www-form-urlencoded"
# Answers to the rubric that each project starts with, as the page and as the API take them.
FORM = {"answer.helpful": "4", "answer.correct": "unsure", "seconds_on_display": "3"}
ANSWERS = {"helpful": 4, "correct": "unsure", "wrong": []}


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

    def expect(self, status: int, method: str, path: str, body: object = None) -> Any:
        """Send a request that must be answered like this, and return the JSON of the answer."""
        answered, content = self.ask(method, path, body)
        if answered != status:
            raise AssertionError(f"{method} {path} was answered {answered}: {content}")
        return content

    def send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Send a body that is ready and return the answer as it came, for what must not be slowed by JSON."""
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()
