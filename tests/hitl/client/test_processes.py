"""The client in real programs: they fork, end, are killed, and the service with them."""

import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from hitl.accounts.keys import create_key
from hitl.accounts.models import Project
from hitl.accounts.projects import create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.capture.models import Response
from hitl.client import Client, Limits
from tests.conftest import MakeDatabase
from tests.machine.flaky import FlakyDoor, flaky_door
from tests.machine.service import Service, free_port, serving

ROOT = Path(__file__).parents[3]
LIMITS = Limits(batch_seconds=0.05, first_pause_seconds=0.05, longest_pause_seconds=0.3)


class Desk:
    """A project on a service, which programs send to."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.slug = f"desk-{uuid4().hex[:8]}"
        with service.instance() as instance, instance.database.writing() as db:
            ann = create_user(db, f"{self.slug}@example.org", "Ann")
            project = create_project(db, self.slug, "Desk", by=ann)
            _, self.key = create_key(db, project, ann, "client", ["capture", "feedback"])

    def client(self, url: str = "") -> Client:
        return Client(url or self.service.address, self.key, self.slug, limits=LIMITS)

    def settings(self, url: str = "") -> dict[str, str]:
        """Return an environment in which `Client()` sends here."""
        where = {"HITL_URL": url or self.service.address, "HITL_KEY": self.key, "HITL_PROJECT": self.slug}
        return {**os.environ, **where}

    def run(self, program: str, url: str = "") -> str:
        """Run a program that has a `client`; return what it printed."""
        before = """
            import os, sys, threading
            from hitl.client import Client, Limits
            client = Client(limits=Limits(batch_seconds=30, first_pause_seconds=0.05, exit_seconds=10))
            def give(name):
                return client.capture(client_id=name, messages="When do you open?", output="At nine.")
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(before) + textwrap.dedent(program)],
            env=self.settings(url),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def names(self) -> list[str]:
        """Return the client ids of all that is stored."""
        with self.service.instance() as instance, instance.database.reading() as db:
            theirs = select(Response.client_id).join(Project, Project.id == Response.project_id)
            return sorted(name for name in db.scalars(theirs.where(Project.slug == self.slug)) if name)


class TestTheEndOfAProgram:
    def test_what_waits_is_sent(self, desk: Desk) -> None:
        desk.run("for i in range(20): give(f'r-{i:02}')")

        assert desk.names() == [f"r-{i:02}" for i in range(20)]

    def test_also_after_an_error_and_from_late_callers(self, desk: Desk) -> None:
        desk.run("""
            import atexit
            atexit.register(lambda: give("at exit"))  # runs before the client's own, which was registered earlier
            thread = threading.Thread(target=lambda: (__import__("time").sleep(0.2), give("thread")))
            thread.start()
            give("main")
            sys.exit(0)
        """)

        assert desk.names() == ["at exit", "main", "thread"]

    def test_it_takes_no_longer_than_it_may(self, desk: Desk) -> None:
        with flaky_door(desk.service.address) as door:
            door.always = "drip"
            began = time.monotonic()
            desk.run("client._limits.__dict__['exit_seconds'] = 0.5; give('r')", url=door.address)

        assert time.monotonic() - began < 20


class TestForks:
    def test_nothing_is_lost_or_sent_twice(self, desk: Desk, door: FlakyDoor) -> None:
        desk.run(
            """
            stop = threading.Event()
            def busy():
                i = 0
                while not stop.is_set():
                    give(f"busy-{i:05}"); i += 1; stop.wait(0.001)
            threads = [threading.Thread(target=busy) for _ in range(1)]
            [thread.start() for thread in threads]
            children = []
            for n in range(5):
                give(f"parent-{n}")
                pid = os.fork()
                if pid == 0:
                    assert client.statistics().pending_count == 0
                    give(f"child-{n}")
                    sys.exit(0) if n % 2 else (client.close(), os._exit(0))
                children.append(pid)
            assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
            stop.set(); [thread.join() for thread in threads]
            """,
            url=door.address,
        )

        names = desk.names()
        assert [name for name in names if not name.startswith("busy")] == sorted(
            [f"{who}-{n}" for who in ("parent", "child") for n in range(5)]
        )
        busy = [name for name in names if name.startswith("busy")]
        assert busy == [f"busy-{i:05}" for i in range(len(busy))]
        sent = Counter(name for name in names for seen in door.seen if f'"client_id":"{name}"'.encode() in seen.body)
        assert set(sent.values()) == {1}

    def test_children_of_multiprocessing_send_what_they_have(self, desk: Desk) -> None:
        desk.run("""
            import multiprocessing
            give("parent")
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(give, [f"child-{n}" for n in range(8)])
                pool.close(); pool.join()
        """)

        assert desk.names() == sorted(["parent", *(f"child-{n}" for n in range(8))])


class TestPreforkingServers:
    def test_workers_of_gunicorn_send_what_they_have_when_they_end(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "bot.py").write_text(
            textwrap.dedent("""
                from hitl.client import Client
                client = Client()
                client.capture(client_id="master", messages="When do you open?", output="At nine.")
                def app(environ, start_response):
                    client.capture(client_id=environ["QUERY_STRING"], messages="When do you open?", output="At nine.")
                    start_response("200 OK", [("Content-Length", "0")])
                    return []
            """)
        )
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "bot:app"]
        environment = {**desk.settings(), "PYTHONPATH": f"{ROOT}:{tmp_path}"}
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            for number in range(20):
                _ask(f"http://127.0.0.1:{port}/?r-{number:02}")
        finally:
            server.terminate()
            server.wait(timeout=30)

        assert desk.names() == ["master", *(f"r-{number:02}" for number in range(20))]


def _ask(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except OSError:  # it is not there yet
            assert time.monotonic() < until
            time.sleep(0.1)


class TestTheServiceIsKilled:
    @pytest.mark.timeout(300)  # starts the service twice more
    def test_every_row_is_stored_exactly_once(self, desk: Desk, door: FlakyDoor) -> None:
        client = desk.client(door.address)
        stop = threading.Event()
        given: list[str] = []

        def work() -> None:
            while not stop.wait(0.02) and len(given) < 5_000:  # fewer than fit, however long the service takes to start
                given.append(client.capture(messages="When do you open?", output="At nine."))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            time.sleep(0.4)
            door.ways += ["lose", "cut"]
            desk.service.kill()
            desk.service.start()
        stop.set()
        for thread in threads:
            thread.join()

        assert client.flush(60)
        client.close()
        assert desk.names() == sorted(given)
        seen = client.statistics()
        assert seen.stored_count + seen.repeated_count == seen.given_count == len(given)
        assert seen.failure_count > 0
        keys = {(sent.headers["idempotency-key"], sent.body) for sent in door.seen}
        assert len(keys) == len({key for key, _ in keys})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all; what is killed is started again."""
    with serving(tmp_path_factory.mktemp("service"), make_database(request.param)) as service:
        import_parts()
        service.start()
        yield service


@pytest.fixture
def desk(service: Service) -> Desk:
    return Desk(service)


@pytest.fixture
def door(desk: Desk) -> Iterator[FlakyDoor]:
    with flaky_door(desk.service.address) as door:
        yield door
