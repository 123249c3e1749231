import base64

import pytest

from hitl.accounts import keys, members, users
from hitl.core.errors import Unauthenticated
from tests.hitl import factories
from tests.hitl.accounts.conftest import membership_of


@pytest.fixture
def maker(committed):
    return factories.Membership(role="lead", project=factories.Project(slug="desk")).user


@pytest.fixture
def project(committed, maker):
    factories.Membership(role="admin", project=factories.Project(slug="elsewhere"))
    return committed.query(members.Membership).filter_by(user_id=maker.id).one().project


class TestKey:
    def test_it_says_what_it_may_do(self, api, project, maker):
        answer = api(project, "review", "datasets", maker=maker).get("/api/v1/key")
        assert answer.status_code == 200
        assert answer.json["project"]["slug"] == "desk"
        assert answer.json["scopes"] == ["datasets", "review"]
        assert answer.json["permissions"] == ["data", "review"]
        assert "digest" not in answer.text

    def test_it_shrinks_with_its_makers_role_at_once(self, api, project, maker, committed):
        program = api(project, "review", "datasets", maker=maker)
        factories.Membership(role="admin", project=project)
        members.change_role(committed, membership_of(committed, project, maker), "engineer")
        committed.commit()
        assert program.get("/api/v1/key").json["permissions"] == ["data"]
        assert program.post("/api/v1/projects/desk/leases").status_code == 403

    @pytest.mark.parametrize("loss", ["revoked", "removed", "deactivated"])
    def test_it_dies_at_once(self, api, project, maker, committed, loss):
        program = api(project, "review", maker=maker)
        assert program.get("/api/v1/key").status_code == 200
        if loss == "revoked":
            keys.revoke_key(committed, committed.scalars(keys.keys_of(project)).one())
        elif loss == "removed":
            members.remove_member(committed, membership_of(committed, project, maker))
        else:
            users.deactivate(committed, maker)
        committed.commit()
        assert program.get("/api/v1/key").status_code == 401

    def test_it_knows_no_other_project(self, api, project, maker):
        program = api(project, "datasets", maker=maker)
        existing = program.get("/api/v1/projects/elsewhere/responses")
        invented = program.get("/api/v1/projects/no-such/responses")
        assert existing.status_code == invented.status_code == 404
        assert existing.text == invented.text
        assert program.get("/api/v1/projects/desk/responses").status_code == 200

    @pytest.mark.parametrize(
        "credentials",
        [
            "",
            "Bearer",
            "Bearer ",
            "Bearer  hitl_x",
            "bearer hitl_",
            "Bearer hitl_" + "a" * 43,
            "Bearer hitl_\u00e9\u00ff",
            "Bearer " + "x" * 60_000,
            "Bearer null",
            "Bearer a b c",
            "Basic " + base64.b64encode(b"admin:admin").decode(),
            "Basic !!!",
            "Digest username=x",
            "Bearer ' OR '1'='1",
            "\t\t",
        ],
    )
    def test_it_takes_hostile_credentials_for_nobody(self, client, credentials):
        answer = client.get("/api/v1/key", headers={"Authorization": credentials})
        assert answer.status_code == 401
        assert answer.json["error"]["message"] == Unauthenticated().message
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_a_key_works_only_as_a_header(self, client, api, project, maker):
        token = api(project, "review", maker=maker).environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        assert client.get(f"/api/v1/key?access_token={token}").status_code == 401
        client.set_cookie("hitl_session", token)
        assert client.get("/api/v1/key").status_code == 401
