import pytest

from hitl.accounts.access import program_of_token
from hitl.accounts.keys import create_key
from hitl.accounts.members import membership_of
from tests.hitl import factories
from tests.webui.accounts.conftest import PASSWORD_HASH, make_member, shown_once


@pytest.fixture
def members(project):
    return f"/projects/{project.slug}/members"


@pytest.fixture
def keys(project):
    return f"/projects/{project.slug}/keys"


def row_of(committed, project, user):
    found = membership_of(committed, project, user).id
    committed.commit()  # SQLite's only writer lets the service go on
    return found


class TestMembers:
    def test_it_lists_them_and_adds_somebody_with_an_account(self, visitor, admin, person, members, committed):
        stranger = factories.User(name="Sam Stranger")
        committed.commit()
        visitor.sign_in(admin)
        assert "Kim Reader" in visitor.get(members).text

        visitor.send(members, email=stranger.email.upper(), role="lead")
        assert "Sam Stranger is now a member" in visitor.get(members).text

    def test_it_names_what_is_wrong(self, visitor, admin, person, members):
        visitor.sign_in(admin)
        for fields, status, words in [
            ({"email": "nobody@example.org", "role": "lead"}, 422, "There is no account"),
            ({"email": person.email, "role": "lead"}, 409, "already a member"),
            ({"email": "", "role": ""}, 422, "There is no account"),
        ]:
            answer = visitor.send(members, **fields)
            assert answer.status_code == status
            assert words in answer.text

    def test_an_owner_makes_an_account_and_hands_over_its_link(self, visitor, another, project, members, committed):
        owner = make_member(committed, project, "admin", is_owner=True)
        visitor.sign_in(owner)
        answer = visitor.send(members, email="new@example.org", name="Nova New", role="annotator")
        link = shown_once(answer.text, "The link")
        assert link not in visitor.get(members).text

        path = "/reset/" + link.rpartition("/reset/")[2]
        another.send(path, password="a new and better one", again="a new and better one")
        assert another.send("/sign-in", email="new@example.org", password="a new and better one").status_code == 303

        refused = visitor.send(members, email="not an address", name="Nova New", role="annotator")
        assert refused.status_code == 422
        nameless = visitor.send(members, email="other@example.org", role="annotator")
        assert nameless.status_code == 422
        assert "Give a name" in nameless.text
        kingly = visitor.send(members, email="king@example.org", name="King", role="king")
        assert kingly.status_code == 422
        assert "King" not in visitor.get(members).text  # no account was left behind

    def test_it_changes_roles_and_keeps_the_last_admin(self, visitor, admin, person, project, members, committed):
        visitor.sign_in(admin)
        visitor.send(members, f"{members}/{row_of(committed, project, person)}/role", role="engineer")
        assert "Kim Reader is now engineer" in visitor.get(members).text
        own = row_of(committed, project, admin)
        for path, fields in ((f"{members}/{own}/role", {"role": "lead"}), (f"{members}/{own}/removal", {})):
            refused = visitor.send(members, path, **fields)
            assert refused.status_code == 409
            assert "only admin" in refused.text

    def test_somebody_removed_sees_nothing_any_more(self, visitor, another, admin, person, project, members, committed):
        another.sign_in(person)
        visitor.sign_in(admin)
        visitor.send(members, f"{members}/{row_of(committed, project, person)}/removal")
        assert another.is_signed_in()
        assert another.get(members).status_code == 404

    def test_it_makes_a_link_only_for_accounts_that_are_theirs(
        self, visitor, admin, person, project, members, committed
    ):
        visitor.sign_in(admin)
        path = f"{members}/{row_of(committed, project, person)}/reset-link"
        assert shown_once(visitor.send(members, path).text, "The link")

        factories.Membership(user=committed.get(type(person), person.id), role="admin")
        committed.commit()
        refused = visitor.send(members, path)
        assert refused.status_code == 403
        assert "The link" not in refused.text
        assert visitor.send(members, path.replace("reset-link", "deactivation")).status_code == 403

    def test_it_closes_an_account(self, visitor, another, admin, person, project, members, committed):
        another.sign_in(person)
        visitor.sign_in(admin)
        visitor.send(members, f"{members}/{row_of(committed, project, person)}/deactivation")
        assert not another.is_signed_in()
        assert "closed" in visitor.get(members).text

    def test_it_does_not_reach_into_another_project(self, visitor, admin, members, committed):
        other = factories.Membership(role="annotator", user=factories.User(password_hash=PASSWORD_HASH))
        committed.commit()
        visitor.sign_in(admin)
        for action in ("role", "removal", "reset-link", "deactivation"):
            assert visitor.send(members, f"{members}/{other.id}/{action}", role="admin").status_code == 404

    def test_it_says_what_goes_with_a_member(self, visitor, admin, person, project, members, committed):
        factories.Lease(item=factories.Item(project=project), reviewer=person)
        create_key(committed, project, admin, "Ingest", ["capture"])
        committed.commit()
        visitor.sign_in(admin)
        page = visitor.get(members).text

        assert page.count("Goes with them") == 2
        assert "1 item held." in page
        assert "1 key." in page

    def test_names_are_shown_as_text(self, visitor, admin, project, members, committed):
        make_member(committed, project, "lead", name="<script>alert(1)</script>")
        visitor.sign_in(admin)
        assert "<script>alert" not in visitor.get(members).text


class TestKeys:
    def test_it_shows_a_key_once_and_it_works_until_revoked(self, visitor, client, admin, keys, committed):
        visitor.sign_in(admin)
        made = visitor.send(keys, name="Ingest", scopes=["capture", "feedback"])
        token = shown_once(made.text, "The key")
        assert token not in visitor.get(keys).text

        def ask():
            return client.get("/api/v1/key", headers={"Authorization": f"Bearer {token}"})

        assert "never" in visitor.get(keys).text
        first = ask()
        assert (first.json["scopes"], first.json["last_used_at"]) == (["capture", "feedback"], None)
        first.close()  # as a server does once it is sent
        key = program_of_token(committed, token).api_key
        committed.commit()
        assert ask().json["last_used_at"] == key.last_used_at.isoformat().replace("+00:00", "Z")
        assert f"{key.last_used_at:%Y-%m-%d %H:00}" in visitor.get(keys).text
        visitor.send(keys, f"{keys}/{key.id}/revocation")
        assert ask().status_code == 401
        assert "revoked" in visitor.get(keys).text

    def test_it_names_what_is_wrong(self, visitor, admin, keys):
        visitor.sign_in(admin)
        assert "at least one scope" in visitor.send(keys, name="Ingest").text
        assert visitor.send(keys, name="", scopes=["capture"]).status_code == 422
        assert visitor.send(keys, name="x", scopes=["everything"]).status_code == 422

    def test_it_does_not_reach_into_another_project(self, visitor, admin, keys, committed):
        other = factories.Membership(role="admin")
        key, _ = create_key(committed, other.project, other.user, "Theirs", ["capture"])
        committed.commit()
        visitor.sign_in(admin)
        assert visitor.send(keys, f"{keys}/{key.id}/revocation").status_code == 404
        assert "Theirs" not in visitor.get(keys).text
