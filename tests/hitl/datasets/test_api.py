"""The API of datasets, over HTTP."""

import io
import json
import zipfile

import pytest

from hitl.accounts.models import Project
from hitl.core import jobs
from hitl.datasets.first_pass import HOW_TO_SAY_MAY_TRAIN
from tests.hitl import factories
from tests.hitl.datasets.conftest import Desk


@pytest.fixture
def desk(shared_database):
    desk = Desk.open(shared_database)
    for n in range(5):
        desk.corrects(desk.response(f"{n}?", "wrong", end_user=f"guest-{n}"), "right")
    return desk


@pytest.fixture
def program(api, committed, desk):
    """A program with a key for datasets, or for what is named."""

    def make(*scopes):
        factories.bind(committed)
        return api(committed.get_one(Project, desk.project.id), *(scopes or ("datasets",)))

    return make


@pytest.fixture
def url(desk):
    return f"/api/v1/projects/{desk.project.slug}/datasets"


def freeze(desk, client, url, **body):
    answer = client.post(f"{url}/desk/versions", json=body)
    jobs.Worker(desk.database).run_until_idle()
    return answer


def test_freeze_look_and_take_out(desk, program, url):
    client = program()
    started = freeze(desk, client, url, selection={"include_unknown": True})
    assert (started.status_code, started.json["state"], started.json["version"]) == (202, "freezing", 1)

    version = client.get(f"{url}/desk/versions/1").json
    assert (version["state"], version["statistics"]["rows"]) == ("frozen", 5)
    (listed,) = client.get(url).json["datasets"]
    assert [one["content_hash"] for one in listed["versions"]] == [version["content_hash"]]

    first = client.get(f"{url}/desk/versions/1/rows?limit=3").json
    second = client.get(f"{url}/desk/versions/1/rows?limit=3&cursor={first['next_cursor']}").json
    assert [len(first["rows"]), len(second["rows"]), second["next_cursor"]] == [3, 2, None]

    row = client.get(f"{url}/desk/versions/1/rows/{first['rows'][0]['id']}").json
    assert row["row"]["chosen"]["content"] == "right"
    assert "guest-" not in json.dumps(row)

    export = f"{url}/desk/versions/1/export?format=trl-preference"
    assert client.get(export).json["error"]["code"] == "export_not_asked"
    asked = client.post(export)
    assert (asked.status_code, asked.json["state"]) == (202, "writing")
    assert (client.get(export).status_code, client.get(export).json) == (202, asked.json)
    jobs.Worker(desk.database).run_until_idle()
    assert [client.post(export).json[name] for name in ("state", "rows", "refused")] == ["ready", 5, 0]

    taken = client.get(export)
    assert (taken.status_code, taken.mimetype) == (200, "application/zip")
    assert int(taken.headers["Content-Length"]) == len(taken.data)
    with zipfile.ZipFile(io.BytesIO(taken.data)) as archive:
        names = {name.split("/")[1] for name in archive.namelist()}
        rows = [line for name in archive.namelist() if name.endswith(".jsonl") for line in archive.open(name)]
    assert {"README.md", "manifest.json"} <= names
    assert len(rows) == 5


def test_what_cannot_be_done_is_refused(desk, program, url):
    client = program()
    assert client.post(f"{url}/Desk/versions", json={}).status_code == 422
    wrong = client.post(f"{url}/desk/versions", json={"selection": {"policy": "loudest"}})
    assert (wrong.status_code, wrong.json["error"]["param"]) == (422, "/selection/policy")
    unfit = client.post(f"{url}/desk/versions", json={"selection": {"origins": ["approval"]}})
    assert (unfit.status_code, unfit.json["error"]["param"]) == (422, "/selection/origins/0")
    for number in (1, 2**31, 10**30):
        assert client.get(f"{url}/desk/versions/{number}").status_code == 404

    assert client.post(f"{url}/desk/versions", json={}).status_code == 202
    assert client.post(f"{url}/desk/versions", json={}).json["error"]["code"] == "already_freezing"
    assert client.get(f"{url}/desk/versions/1/rows").json["error"]["code"] == "version_not_frozen"

    jobs.Worker(desk.database).run_until_idle()
    failed = client.get(f"{url}/desk/versions/1").json
    assert (failed["state"], failed["error"]) == (
        "failed",
        f"No row is left. Left out: may train unknown 5. {HOW_TO_SAY_MAY_TRAIN}",
    )

    freeze(desk, client, url, selection={"include_unknown": True})
    assert client.get(f"{url}/desk/versions/1/rows?cursor=x").json["error"]["code"] == "bad_cursor"
    assert client.get(f"{url}/desk/versions/1/rows/{'0' * 64}").json["error"]["code"] == "no_such_row"
    for ask in (client.get, client.post):
        unknown = ask(f"{url}/desk/versions/1/export?format=doc")
        assert (unknown.status_code, unknown.json["error"]["code"]) == (422, "export_refused")
        unfit = ask(f"{url}/desk/versions/1/export?format=trl-prompt-completion")
        assert (unfit.status_code, unfit.json["error"]["code"]) == (422, "export_refused")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"seed": "a\0b"}, "/seed"),
        ({"selection": {"criteria": ["a\0b"]}}, "/selection/criteria/0"),
        ({"selection": {"since": "2026-05-01T10:00:00"}}, "/selection/since"),
        ({"selection": {"until": "9999-12-31T23:59:59-12:00"}}, "/selection/until"),
    ],
)
def test_what_a_database_could_not_compare_is_refused_at_once(program, url, body, param):
    refused = program().post(f"{url}/desk/versions", json=body)

    assert (refused.status_code, refused.json["error"]["param"]) == (422, param)


def test_only_keys_for_datasets_of_this_project_come_in(desk, program, url):
    assert program("capture", "review").get(url).status_code == 403

    other = Desk.open(desk.database)
    assert program().get(f"/api/v1/projects/{other.project.slug}/datasets").status_code == 404
