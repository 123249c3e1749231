"""Comparisons and conversations through the API and by command."""

import json

import pytest

from hitl.capture.models import Conversation
from hitl.core.ids import new_id
from tests.hitl import factories
from tests.hitl.queue.test_commands import run  # noqa: F401  a fixture


@pytest.fixture
def project(committed):
    return factories.Project()


@pytest.fixture
def lead(api, project):
    return api(project, "queue")


@pytest.fixture
def here(project):
    return f"/api/v1/projects/{project.slug}"


@pytest.fixture
def trio(committed, project):
    made = [factories.Response(project=project, asked="Why?", text=text, client_id=f"why-{text}") for text in "abc"]
    committed.commit()
    return made


class TestPicking:
    def test_it_takes_comparisons_and_conversations(self, lead, here, project, trio, committed):
        talk = Conversation(project_id=project.id, client_id="talk", details={})
        committed.add(talk)
        committed.flush()
        last = factories.Response(project=project, conversation_id=talk.id)
        committed.commit()
        body = {
            "comparisons": [
                {"response_ids": [str(trio[0].id)], "client_ids": ["why-b"]},
                {"client_ids": ["why-c", "why-a", "why-b"]},
            ],
            "client_conversation_ids": ["talk"],
            "reviews_wanted": 2,
        }

        made = lead.post(f"{here}/items", json=body)

        assert made.status_code == 201
        assert [item["kind"] for item in made.json["items"]] == ["comparison", "comparison", "conversation"]
        assert [len(item["response_ids"]) for item in made.json["items"]] == [2, 3, 1]
        conversation = made.json["items"][-1]
        assert (conversation["conversation_id"], conversation["response_ids"]) == (str(talk.id), [str(last.id)])
        again = lead.post(f"{here}/items", json=body).json["items"]
        assert [item["id"] for item in again] == [item["id"] for item in made.json["items"]]

    def test_it_names_what_cannot_be_compared(self, lead, here, project, trio, committed):
        other = factories.Response(project=project, client_id="other")
        factories.Response(project=project, asked="Why?", text=" a ", client_id="same")
        stranger = str(factories.Response(asked="Why?").id)
        committed.commit()
        a, b = str(trio[0].id), str(trio[1].id)

        def refused(*comparisons):
            answer = lead.post(f"{here}/items", json={"comparisons": list(comparisons)})
            return answer.status_code, answer.json["error"]["code"], answer.json["error"]["param"]

        fine = {"response_ids": [a, b]}
        assert refused(fine, {"response_ids": [a, str(other.id)]}) == (422, "different_inputs", "/comparisons/1")
        assert refused({"response_ids": [a, b, a]}) == (422, "same_response_twice", "/comparisons/0")
        assert refused({"response_ids": [a], "client_ids": ["same"]}) == (422, "same_answers", "/comparisons/0")
        assert refused({"response_ids": [a]}) == (422, "wrong_number_to_compare", "/comparisons/0")
        assert refused({}) == (422, "wrong_number_to_compare", "/comparisons/0")
        missing = (404, "unknown_response", "/comparisons/0/response_ids/1")
        assert refused({"response_ids": [a, str(new_id())]}) == missing
        assert refused({"response_ids": [a, stranger]}) == missing
        assert lead.get(f"{here}/items").json["items"] == []

    def test_it_refuses_strange_conversations(self, lead, here):
        for body, param in (
            ({"conversation_ids": [str(new_id())]}, "/conversation_ids/0"),
            ({"client_conversation_ids": ["nobody"]}, "/client_conversation_ids/0"),
        ):
            answer = lead.post(f"{here}/items", json=body)
            assert (answer.status_code, answer.json["error"]["param"]) == (404, param)

    def test_a_rule_compares(self, lead, here):
        compare = {"at_least": 2, "at_most": 4}
        made = lead.post(f"{here}/rules", json={"name": "Side by side", "rate": 0.5, "compare": compare})

        assert (made.status_code, made.json["compare"]) == (201, compare)
        for wrong in ({"at_least": 5, "at_most": 4}, {"at_most": 10}, {"at_most": 2.5}, "three", [2, 3]):
            answer = lead.post(f"{here}/rules", json={"name": "Wrong", "rate": 0.5, "compare": wrong})
            assert answer.status_code == 422
            assert answer.json["error"]["param"].startswith("/compare")


class TestCommands:
    def test_they_pick_by_the_clients_ids(self, run, project, trio, committed):  # noqa: F811
        arguments = ("--project", project.slug, "--reviews", "2", "--json")

        code, out, _ = run("queue", "compare", "why-a", "why-b", *arguments)
        assert (code, json.loads(out)["kind"], json.loads(out)["responses"]) == (0, "comparison", 2)
        assert run("queue", "compare", "why-a", "nobody", *arguments)[0] == 1
        assert run("queue", "conversation", "nobody", *arguments)[0] == 1
        assert run("rule", "add", "Side", "--compare", "3", "--project", project.slug)[0] == 0
        assert "2 to 3 different answers" in run("rule", "list", "--project", project.slug)[1]
        assert run("rule", "add", "Wrong", "--compare-from", "3", "--project", project.slug)[0] == 2
        assert run("rule", "add", "Wrong", "--compare", "2", "--compare-from", "3", "--project", project.slug)[0] == 2
