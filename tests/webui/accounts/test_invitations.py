import re

import pytest
from sqlalchemy import func, select

from hitl.accounts.invitations import create_invitation
from hitl.accounts.models import FailedSignIn, User
from tests.hitl import factories
from tests.webui.accounts.conftest import PASSWORD, PASSWORD_HASH, shown_once
from tests.webui.words import words_of

NEW = {"name": "Nova New", "password": "a new and better one", "again": "a new and better one"}


@pytest.fixture
def invitations(project):
    return f"/projects/{project.slug}/invitations"


@pytest.fixture
def link(committed, project, admin):
    """Makes the path of a link."""

    def link(role="annotator", **more):
        _, token = create_invitation(committed, project, role, by=admin, **more)
        committed.commit()
        return f"/invitation/{token}"

    return link


class TestInviting:
    def test_it_shows_a_link_once_and_what_became_of_it(self, visitor, another, admin, invitations):
        visitor.sign_in(admin)
        made = visitor.send(invitations, role="lead", days="1")
        link = shown_once(made.text, "The link")
        assert link.startswith("http://127.0.0.1:8000/invitation/")
        assert "joins as lead" in words_of(made.text)
        assert link not in visitor.get(invitations).text
        assert "Whoever holds the link lead waiting until" in words_of(visitor.get(invitations).text)

        another.send(link.removeprefix("http://127.0.0.1:8000"), email="nova@example.org", **NEW)
        assert "used by Nova New" in words_of(visitor.get(invitations).text)

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            ({"role": "king", "days": "7"}, "A role is one of"),
            ({"days": "7"}, "A role is one of"),
            ({"role": "lead", "days": "365"}, "1 to 90 days"),
            ({"role": "lead", "days": "²"}, "1 to 90 days"),
            ({"role": "lead", "days": "7", "email": "nobody at all"}, "not an e-mail address"),
        ],
    )
    def test_it_names_what_is_wrong_and_keeps_what_was_typed(self, visitor, admin, invitations, sent, words):
        visitor.sign_in(admin)
        answer = visitor.send(invitations, **sent)
        assert answer.status_code == 422
        assert words in words_of(answer.text)
        assert f'value="{sent.get("email", "")}"' in answer.text
        assert "Nobody is invited" in words_of(answer.text)

    def test_it_withdraws_one(self, visitor, another, admin, invitations, link):
        path = link()
        visitor.sign_in(admin)
        form = re.search(r'action="([^"]+/withdrawal)"', visitor.get(invitations).text).group(1)
        visitor.send(invitations, form)
        assert "The invitation is withdrawn" in words_of(visitor.get(invitations).text)
        assert another.get(path).status_code == 404


class TestJoining:
    def test_a_newcomer_makes_an_account_and_is_in(self, visitor, link, project):
        path = link("lead")
        page = words_of(visitor.get(path).text)
        assert "Join Support bot" in page
        assert "Ada Admin invites you as lead" in page

        answer = visitor.send(path, email="Nova@Example.org", **NEW)
        assert answer.location == f"/projects/{project.slug}"
        home = words_of(visitor.get(answer.location).text)
        assert "Welcome to Support bot. Your account is made." in home
        assert "You are a lead here" in home
        assert visitor.get(path).location == f"/projects/{project.slug}"  # opened again, it leads to where one is

    def test_somebody_signed_in_joins_as_who_they_are(self, visitor, link, committed, project):
        stranger = factories.User(name="Sam Stranger", password_hash=PASSWORD_HASH)
        path = link()
        visitor.sign_in(stranger)
        assert "Join as Sam Stranger" in words_of(visitor.get(path).text)
        assert visitor.send(path).location == f"/projects/{project.slug}"
        assert "Welcome to Support bot" in words_of(visitor.get(f"/projects/{project.slug}").text)

    def test_somebody_with_an_account_signs_in_and_comes_back(self, visitor, link, committed):
        stranger = factories.User(password_hash=PASSWORD_HASH)
        path = link()
        sign_in = re.search(r'href="(/sign-in\?[^"]+)"', visitor.get(path).text).group(1)
        answer = visitor.send(sign_in, "/sign-in", email=stranger.email, password=PASSWORD, next=path)
        assert answer.location == path

    def test_a_member_does_not_use_it_up(self, visitor, another, person, link, project):
        path = link("lead")
        visitor.sign_in(person)
        visitor.send(path)
        assert "You are a member already" in words_of(visitor.get(f"/projects/{project.slug}").text)
        assert another.get(path).status_code == 200

    def test_one_for_an_address_asks_for_no_other(self, visitor, another, link, person, project):
        path = link(email="nova@example.org")
        visitor.sign_in(person)
        for page in (visitor.get(path), visitor.send(path)):
            assert "is for somebody else" in words_of(page.text)
        answer = another.send(path, email="other@example.org", **NEW)
        assert answer.location == f"/projects/{project.slug}"
        assert "nova@example.org" in another.get("/account").text

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"email": "nobody at all"}, "not an e-mail address"),
            ({"email": ""}, "not an e-mail address"),
            ({"name": " "}, "Give a name"),
            ({"name": "\u202eavoN"}, "Give a name"),
            ({"password": "short", "again": "short"}, "at least 12 characters"),
            ({"password": "nova@example.org", "again": "nova@example.org"}, "something else than your e-mail"),
            ({"again": "another one"}, "not the same"),
        ],
    )
    def test_it_names_what_is_wrong_and_stays_usable(self, visitor, link, wrong, words, shared_database):
        path = link()
        answer = visitor.send(path, **({"email": "nova@example.org"} | NEW | wrong))
        assert answer.status_code == 422
        assert words in words_of(answer.text)
        assert NEW["password"] not in answer.text
        assert visitor.get(path).status_code == 200
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(User)) == 1

    def test_it_takes_no_account_over_and_slows_who_tries(self, visitor, link, person, shared_database):
        path = link()
        for _ in range(5):
            taken = visitor.send(path, email=person.email, **NEW)
            assert taken.status_code == 409
            assert "This address has an account already" in words_of(taken.text)
        slowed = visitor.send(path, email=person.email, **NEW)
        assert slowed.status_code == 429
        assert int(slowed.headers["Retry-After"]) > 0
        with shared_database.reading() as db:
            assert db.scalar(select(func.count()).select_from(FailedSignIn)) == 5

    def test_it_says_the_same_of_every_link_that_opens_nothing(self, visitor, another, link):
        path = link()
        another.send(path, email="nova@example.org", **NEW)
        pages = [visitor.get(gone) for gone in (path, "/invitation/unknown", "/invitation/" + "x" * 5000)]
        assert {page.status_code for page in pages} == {404}
        assert len({words_of(page.text) for page in pages}) == 1

    def test_the_one_who_comes_second_reads_that_it_has_ended(self, visitor, another, link):
        path = link()
        visitor.get(path)
        token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(path).text).group(1)
        another.send(path, email="nova@example.org", **NEW)
        late = visitor.client.post(path, data={"csrf_token": token, "email": "late@example.org", **NEW})
        assert late.status_code == 404
        assert "This invitation has ended" in words_of(late.text)

    def test_it_refuses_a_form_without_its_token(self, visitor, link, person):
        visitor.sign_in(person)
        assert visitor.client.post(link()).status_code == 403

    def test_names_are_shown_as_text(self, visitor, committed, admin, project, link):
        project.name, admin.name = "<b>desk</b>", "<script>alert(1)</script>"
        page = visitor.get(link()).text
        assert "<b>desk" not in page
        assert "<script>alert" not in page
