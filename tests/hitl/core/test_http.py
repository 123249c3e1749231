import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core.database import Database
from hitl.core.idempotency import RememberedRequest
from tests.hitl import factories
from tests.product import Api, SignIn

ROW = {
    "client_id": "r-1",
    "input": {"messages": [{"role": "user", "content": "Hello?"}]},
    "output": {"role": "assistant", "content": "Hello!"},
}


@pytest.fixture
def project(committed: Session) -> Project:
    project: Project = factories.Project(slug="desk")
    committed.commit()
    return project


@pytest.fixture
def program(api: Api, project: Project) -> FlaskClient:
    return api(project, "capture", "feedback", "review", "queue", "datasets", "admin")


KEY = {"Idempotency-Key": "key-1"}


class TestIdempotencyKey:
    def test_it_gives_a_repeat_the_first_answer(self, program: FlaskClient) -> None:
        first = program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY)
        again = program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY)

        assert first.status_code == again.status_code == 201
        assert first.data == again.data
        assert again.headers["Idempotency-Replayed"] == "true"

    def test_it_repeats_an_answer_without_a_body(self, program: FlaskClient) -> None:
        first = program.post("/api/v1/projects/desk/leases", headers=KEY)
        again = program.post("/api/v1/projects/desk/leases", headers=KEY)

        assert first.status_code == again.status_code == 204
        assert first.headers.get("Content-Type") == again.headers.get("Content-Type")
        assert again.data == b""
        assert again.headers["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/v1/projects/desk/rules", {"rate": "all of them"}),  # refused by the schema
            ("/api/v1/projects/desk/responses", {"client_id": 7}),  # refused by the view
            ("/api/v1/projects/desk/datasets/none/versions", {"surprise": True}),
        ],
    )
    def test_it_refuses_a_bad_request_again_and_keeps_the_key_free(
        self, program: FlaskClient, shared_database: Database, path: str, body: Any
    ) -> None:
        first = program.post(path, json=body, headers=KEY)
        again = program.post(path, json=body, headers=KEY)

        assert first.status_code == again.status_code == 422
        assert first.json == again.json
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(RememberedRequest)) == 0

    def test_it_lets_only_one_of_many_simultaneous_requests_act(self, app: Flask, program: FlaskClient) -> None:
        answers: list[tuple[int, bytes]] = []

        def ask() -> None:
            client = app.test_client()
            client.environ_base.update(program.environ_base)
            row = {name: value for name, value in ROW.items() if name != "client_id"}  # nothing else tells them apart
            answer = client.post("/api/v1/projects/desk/responses", json=row, headers=KEY)
            answers.append((answer.status_code, answer.data))

        askers = [threading.Thread(target=ask) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

        assert len(answers) == 8
        assert len(set(answers)) == 1
        assert answers[0][0] == 201


class TestTransaction:
    def test_it_stores_nothing_when_the_commit_fails(
        self, app: Flask, program: FlaskClient, shared_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_db: Session) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(Session, "commit", fail)
        answer = program.post("/api/v1/projects/desk/responses", json=ROW)
        monkeypatch.undo()

        assert answer.status_code == 500
        assert answer.json["error"]["code"] == "internal_error"
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(Response)) == 0

    def test_it_answers_head_and_options_without_writing(self, program: FlaskClient) -> None:
        assert program.head("/api/v1/projects/desk/responses").status_code == 200
        options = program.options("/api/v1/projects/desk/responses")
        assert "POST" in options.headers["Allow"]


class TestDatabaseTrouble:
    def test_it_says_so_while_another_process_holds_the_lock(
        self, program: FlaskClient, shared_database: Database
    ) -> None:
        with self.locked(shared_database):
            answer = program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY)

        assert answer.status_code == 503
        assert answer.json["error"]["code"] == "unavailable"
        assert "Retry-After" in answer.headers
        assert program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY).status_code == 201

    # A file does not go away; a server does.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_it_says_so_while_the_database_is_away_and_goes_on_when_it_is_back(
        self, sign_in: SignIn, program: FlaskClient, project: Project, shared_database: Database
    ) -> None:
        person = sign_in(factories.Membership(project=project, role="admin").user)
        with self.gone(shared_database):
            page = person.get("/projects/desk")
            refused = program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY)
            probe = person.get("/readyz")

        assert [page.status_code, refused.status_code, probe.status_code] == [503, 503, 503]
        assert "try again in a moment" in page.text
        assert refused.json["error"]["code"] == "unavailable"
        assert person.get("/projects/desk").status_code == 200
        assert program.post("/api/v1/projects/desk/responses", json=ROW, headers=KEY).status_code == 201

    @contextmanager
    def locked(self, database: Database) -> Iterator[None]:
        """Hold, on a connection of its own, what every capture has to wait for."""
        other = create_engine(database.url, isolation_level="AUTOCOMMIT")
        with other.connect() as connection:
            connection.execute(text("BEGIN IMMEDIATE" if database.is_sqlite else "BEGIN"))
            if not database.is_sqlite:
                connection.execute(text("LOCK TABLE responses IN ACCESS EXCLUSIVE MODE"))
            yield
            connection.execute(text("ROLLBACK"))
        other.dispose()

    @contextmanager
    def gone(self, database: Database) -> Iterator[None]:
        """End every connection, and let nobody in."""
        name = database.url.database
        server = create_engine(database.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
            connection.execute(end, {"name": name})
            yield
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        server.dispose()


class TestRefusals:
    def test_it_refuses_a_body_that_is_too_large_however_it_is_sent(self, app: Flask, program: FlaskClient) -> None:
        app.config["MAX_CONTENT_LENGTH"] = 2048
        body = b'{"client_id": "r-1"}' + b" " * 4096

        whole = program.post("/api/v1/projects/desk/responses", data=body, content_type="application/json")
        in_chunks = program.post(
            "/api/v1/projects/desk/responses",
            input_stream=io.BytesIO(body),
            content_type="application/json",
            environ_overrides={"wsgi.input_terminated": True},
        )

        assert whole.status_code == in_chunks.status_code == 413

    def test_it_names_the_methods_that_an_address_takes(self, program: FlaskClient, client: FlaskClient) -> None:
        for answer in (program.delete("/api/v1/key"), client.delete("/sign-in")):
            assert answer.status_code == 405
            assert "GET" in answer.headers["Allow"]

    @pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere"])
    @pytest.mark.parametrize(
        "headers",
        [
            {"Referer": "http://["},
            {"Host": "bad host"},
            {"Host": "a/b"},
            {"Host": "["},
            {"Host": "ü.example".encode().decode("latin-1")},
            {"Accept": ";;;q=x"},
            {"Cookie": "hitl_session=\x7f; hitl_theme=<script>"},
        ],
    )
    def test_it_keeps_calm_about_odd_headers(self, client: FlaskClient, path: str, headers: dict[str, str]) -> None:
        answer = client.get(path, headers=headers)

        assert 400 <= answer.status_code < 500

    @pytest.mark.parametrize(
        "part", ["%00", "a%00b", "%ff%fe", "%ed%a0%80", "%f0%9f%98%80", "x" * 3000, "..%2f..", "%0d%0a"]
    )
    def test_it_finds_nothing_at_hostile_addresses(
        self, sign_in: SignIn, program: FlaskClient, project: Project, part: str
    ) -> None:
        person = sign_in(factories.Membership(project=project, role="admin").user)
        for path in (
            f"/projects/{part}",
            f"/projects/desk/datasets/{part}/1",
            f"/reset/{part}",
            f"/{part}",
        ):
            assert person.get(path).status_code == 404, path
        for path in (
            f"/api/v1/projects/{part}/responses",
            f"/api/v1/projects/desk/datasets/{part}/versions/1",
            f"/api/v1/projects/desk/datasets/{part}/versions/1/rows",
        ):
            assert program.get(path).status_code == 404, path

    def test_it_refuses_a_form_of_another_site_without_an_alarm(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = client.post("/sign-in", data={"email": "kim@example.com"})

        assert answer.status_code == 403
        assert not caplog.records
