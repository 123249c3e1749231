import re

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR


@pytest.fixture
def document(client):
    return client.get("/api/openapi.json").json


class TestDocument:
    def test_it_is_openapi_3_1(self, document):
        assert document["openapi"].startswith("3.1")
        OPENAPI_31_VALIDATOR.validate(document)

    def test_it_refers_only_to_shapes_that_it_has(self, document):
        named = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))

        assert named <= set(document["components"]["schemas"])

    def test_it_names_each_operation_once(self, document):
        names = [operation["operationId"] for operation in operations(document)]

        assert len(names) == len(set(names))

    def test_it_says_which_scope_a_key_needs(self, document):
        assert document["paths"]["/api/v1/projects/{slug}/responses"]["post"]["security"] == [{"key": ["capture"]}]
        assert document["paths"]["/api/v1/key"]["get"]["security"] == [{"key": []}]
        assert document["paths"]["/healthz"]["get"]["security"] == []

    def test_it_tells_the_common_refusals(self, document):
        answers = document["paths"]["/api/v1/projects/{slug}/responses"]["post"]["responses"]

        assert {"401", "403", "404", "413", "415", "422", "503"} <= set(answers)
        shapes = {answers[status]["content"]["application/json"]["schema"]["$ref"] for status in ("401", "422")}
        assert shapes == {"#/components/schemas/ErrorEnvelope"}

    def test_it_describes_every_operation_in_words(self, document):
        for operation in operations(document):
            assert operation["summary"]
            assert "<br" not in operation.get("description", "")


class TestPage:
    def test_it_shows_every_operation_and_shape(self, client, document):
        page = client.get("/api/docs").text

        for operation in operations(document):
            assert f'id="{operation["operationId"]}"' in page
        for name in document["components"]["schemas"]:
            assert f'id="shape-{name}"' in page

    def test_its_links_lead_somewhere(self, client):
        page = client.get("/api/docs").text

        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))

    def test_it_says_what_a_key_needs(self, client):
        page = re.sub(r"<[^>]+>", "", client.get("/api/docs").text)

        assert re.search(r"POST\s*/api/v1/projects/\{slug\}/responses\s*needs scope capture", page)


def operations(document):
    return [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
