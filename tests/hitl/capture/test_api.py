import gzip
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from hitl.capture.models import Feedback, Response
from hitl.core import clock
from tests.hitl import factories
from tests.hitl.capture.rows import response_row, thumbs_down


class TestResponses:
    def test_one_is_created_then_a_duplicate_then_taken(self, program, url):
        created = program.post(url, json=response_row())
        again = program.post(url, json=response_row())
        taken = program.post(url, json=response_row(said="Lost."))

        assert (created.status_code, created.json["status"]) == (201, "created")
        assert (again.status_code, again.json) == (200, {"id": created.json["id"], "status": "duplicate"})
        assert (taken.status_code, taken.json["error"]["code"], taken.json["error"]["param"]) == (
            409,
            "id_taken",
            "/client_id",
        )

    def test_a_batch_is_answered_row_by_row(self, program, url, committed):
        rows = [response_row("a"), response_row("b", output={"role": "bot"}), response_row("a"), 7]

        answered = program.post(url, json={"responses": rows})

        results = answered.json["results"]
        assert answered.status_code == 200
        assert [(result["index"], result["status"]) for result in results] == [
            (0, "created"),
            (1, "rejected"),
            (2, "duplicate"),
            (3, "rejected"),
        ]
        assert results[1]["error"]["param"] == "/responses/1/output/role"
        assert committed.scalar(select(func.count()).select_from(Response)) == 1

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"responses": []}, "/responses"),
            ({"responses": {}}, "/responses"),
            ({"responses": [{}] * 1_001}, "/responses"),
            ({"responses": [], "more": 1}, ""),
            ([], ""),
            (7, ""),
            ({}, "/input"),
        ],
    )
    def test_what_is_no_row_and_no_batch_is_refused(self, program, url, body, param):
        refused = program.post(url, json=body)

        assert (refused.status_code, refused.json["error"]["param"]) == (422, param)

    def test_null_is_refused(self, program, url):
        assert program.post(url, data=b"null", content_type="application/json").status_code == 422

    def test_a_row_that_strict_json_cannot_say_is_refused_by_name(self, program, url):
        body = (
            b'{"responses": ['
            b'{"client_id": "\\ud800"}, {"metadata": {"n": NaN}},'
            b'{"input": {"messages": [{"role": "user", "content": "Hi\\u0000"}]}},'
            b'{"client_id": "a", "input": {"messages": [{"role": "user", "content": "Hi"}]},'
            b' "output": {"role": "assistant", "content": "Hello"}}]}'
        )

        answered = program.post(url, data=body, content_type="application/json")

        assert [result["status"] for result in answered.json["results"]] == ["rejected"] * 3 + ["created"]
        assert [result["error"]["param"] for result in answered.json["results"][:3]] == [
            "/responses/0/client_id",
            "/responses/1/metadata/n",
            "/responses/2/input/messages/0/content",
        ]

    @pytest.mark.parametrize(
        ("data", "content_type", "status", "code"),
        [
            (b"{", "application/json", 422, "malformed_json"),
            (b"\xff\xfe", "application/json", 422, "malformed_json"),
            (b"", "application/json", 422, "malformed_json"),
            (b"[" * 100_000, "application/json", 422, "malformed_json"),
            (b"{}", "text/plain", 415, "unsupported_media_type"),
            (gzip.compress(b"{}", mtime=0), "application/json", 422, "malformed_json"),
        ],
    )
    def test_a_body_that_is_not_json_is_refused(self, program, url, data, content_type, status, code):
        refused = program.post(url, data=data, content_type=content_type)

        assert (refused.status_code, refused.json["error"]["code"]) == (status, code)

    def test_pages_tell_all_but_the_end_users_identity(self, program, url):
        program.post(url, json=response_row("a", end_user="kim@example.org", conversation_id="c-1", model="one"))
        program.post(url, json={"responses": [response_row("b", model="two"), response_row("c", model="two")]})

        first = program.get(url, query_string={"limit": 2}).json
        rest = program.get(url, query_string={"limit": 2, "cursor": first["next_cursor"]}).json

        assert [row["client_id"] for row in first["responses"] + rest["responses"]] == ["a", "b", "c"]
        assert rest["next_cursor"] is None
        assert [row["has_end_user"] for row in first["responses"]] == [True, False]
        assert first["responses"][0]["conversation_id"] == "c-1"
        assert "kim" not in str(first)
        assert [row["client_id"] for row in program.get(url, query_string={"model": "two"}).json["responses"]] == [
            "b",
            "c",
        ]

    def test_pages_can_start_at_a_time(self, program, url):
        program.post(url, json=response_row())
        soon, before = clock.now() + timedelta(minutes=1), clock.now() - timedelta(minutes=1)

        assert program.get(url, query_string={"captured_since": soon.isoformat()}).json["responses"] == []
        assert len(program.get(f"{url}?captured_since={before.isoformat()}").json["responses"]) == 1
        for never in ("yesterday", "9999-12-31T23:59:59-12:00"):
            assert program.get(url, query_string={"captured_since": never}).status_code == 422
        assert program.get(url, query_string={"model": "nul\0"}).status_code == 422

    def test_one_is_shown_with_its_feedback(self, program, url, project):
        made = program.post(url, json=response_row(metadata={"channel": "web"})).json
        program.post(f"/api/v1/projects/{project.slug}/feedback", json=thumbs_down(client_id="r-1"))

        shown = program.get(f"/api/v1/responses/{made['id']}").json

        assert (shown["client_id"], shown["metadata"]) == ("r-1", {"channel": "web"})
        assert [(said["kind"], said["value"]) for said in shown["feedback"]] == [("thumbs", False)]

    def test_another_projects_response_is_not_there(self, program, committed):
        foreign = factories.Response().id
        committed.commit()

        assert program.get(f"/api/v1/responses/{foreign}").status_code == 404


class TestFeedback:
    def test_one_is_created_updated_or_waits(self, program, url, feedback_url):
        program.post(url, json=response_row())

        answers = [
            program.post(feedback_url, json=thumbs_down(client_id="r-1")),
            program.post(feedback_url, json={"client_id": "r-1", "kind": "thumbs", "value": True}),
            program.post(feedback_url, json={"client_id": "r-1", "kind": "thumbs", "value": True}),
            program.post(feedback_url, json=thumbs_down(client_id="r-2")),
        ]

        assert [(answer.status_code, answer.json["status"]) for answer in answers] == [
            (201, "created"),
            (200, "updated"),
            (200, "duplicate"),
            (202, "waiting"),
        ]

    def test_an_unknown_id_of_ours_is_not_found(self, program, feedback_url):
        refused = program.post(feedback_url, json=thumbs_down(response="0198c0de-0000-7000-8000-000000000000"))

        assert (refused.status_code, refused.json["error"]["param"]) == (404, "/response")

    def test_a_batch_is_answered_row_by_row(self, program, feedback_url, committed):
        rows = [thumbs_down(client_id="r-1"), thumbs_down(), {"client_id": "r-1", "kind": "stars", "value": 6}]

        results = program.post(feedback_url, json={"feedback": rows}).json["results"]

        assert [result["status"] for result in results] == ["waiting", "rejected", "rejected"]
        assert results[2]["error"]["param"] == "/feedback/2/value"
        assert committed.scalar(select(func.count()).select_from(Feedback)) == 0


class TestFeedbackFeed:
    def test_what_is_said_anew_comes_again_with_what_it_is_about(self, program, url, feedback_url, committed):
        program.post(url, json={"responses": [response_row("a", conversation_id="chat-1"), response_row("b")]})
        said = [
            {"client_id": "a", "kind": "thumbs", "value": True, "comment": "Thanks."},
            {"conversation_id": "chat-1", "kind": "stars", "value": 2, "source": "agent"},
            {"client_id": "not here yet", "kind": "thumbs", "value": True},
        ]
        program.post(feedback_url, json={"feedback": said})
        first = program.get(feedback_url, query_string={"limit": 1}).json
        second = program.get(feedback_url, query_string={"cursor": first["next_cursor"]}).json

        program.post(feedback_url, json=said[0])  # says nothing new
        program.post(feedback_url, json=said[0] | {"value": False})
        program.post(url, json=response_row("not here yet"))
        then = program.get(feedback_url, query_string={"cursor": second["resume_cursor"]}).json["feedback"]
        stars = program.get(feedback_url, query_string={"kind": "stars", "source": "agent"}).json["feedback"]

        (thumb,) = first["feedback"]
        response = committed.scalars(select(Response).where(Response.client_id == "a")).one()
        assert (thumb["response_id"], thumb["client_id"], thumb["conversation_id"]) == (str(response.id), "a", None)
        assert (thumb["value"], thumb["comment"], thumb["source"]) == (True, "Thanks.", "end_user")
        (star,) = second["feedback"]
        assert (star["response_id"], star["client_id"], star["conversation_id"]) == (None, None, "chat-1")
        assert [(one["id"], one["client_id"], one["value"]) for one in then] == [
            (thumb["id"], "a", False),
            (then[-1]["id"], "not here yet", True),
        ]
        assert stars == [star]


class TestDescription:
    def test_it_describes_a_row_and_a_batch(self, client):
        document = client.get("/api/openapi.json").json

        body = document["paths"]["/api/v1/projects/{slug}/responses"]["post"]["requestBody"]["content"]
        named = body["application/json"]["schema"]["$ref"].removeprefix("#/components/schemas/")
        choices = [choice["$ref"].split("/")[-1] for choice in document["components"]["schemas"][named]["oneOf"]]
        assert choices == ["ResponseRow", "ResponseBatch"]
        assert {*choices, "UserMessage", "ToolCall"} <= document["components"]["schemas"].keys()
        assert document["components"]["schemas"]["ResponseRow"]["required"] == ["input", "output"]


@pytest.fixture
def project(committed):
    return factories.Project()


@pytest.fixture
def program(api, project):
    return api(project, "capture", "feedback", "datasets")


@pytest.fixture
def url(project):
    return f"/api/v1/projects/{project.slug}/responses"


@pytest.fixture
def feedback_url(project):
    return f"/api/v1/projects/{project.slug}/feedback"
