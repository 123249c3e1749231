import re

import pytest
from sqlalchemy import func, select, update

from hitl.accounts.models import FailedSignIn, SignInSession, User
from hitl.accounts.reset_links import create_reset_link
from tests.webui.accounts.conftest import PASSWORD


def failures(database):
    with database.reading() as db:
        return db.scalar(select(func.count()).select_from(FailedSignIn))


class TestSignIn:
    def test_it_lets_in_whoever_knows_the_password_and_lets_them_out(self, visitor, person):
        assert visitor.sign_in(person).status_code == 303
        assert "Kim Reader" in visitor.get("/account").text

        visitor.send("/account", "/sign-out")
        assert visitor.get("/account").location.startswith("/sign-in?next=")

    def test_it_says_the_same_about_a_wrong_password_and_about_nobody(self, visitor, person):
        wrong = visitor.sign_in(person, "another password")
        nobody = visitor.send("/sign-in", email="nobody@example.org", password="another password")

        assert wrong.status_code == nobody.status_code == 401
        assert "That did not match" in wrong.text
        without = [
            re.sub(r"[\w.-]{80,}", "(token)", page.text).replace(email, "")
            for page, email in ((wrong, person.email), (nobody, "nobody@example.org"))
        ]
        assert without[0] == without[1]

    def test_it_counts_failures_for_good_and_slows_down(self, visitor, another, person, shared_database):
        for _ in range(5):
            assert visitor.sign_in(person, "another password").status_code == 401
        assert failures(shared_database) == 5

        refused = another.sign_in(person)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert "Wait a minute" in refused.text
        assert not another.is_signed_in()
        assert failures(shared_database) == 5

    def test_it_forgives_typos_once_one_is_in(self, visitor, person, shared_database):
        visitor.sign_in(person, "another password")
        visitor.sign_in(person)
        assert failures(shared_database) == 0

    def test_it_gives_a_cookie_that_scripts_and_other_sites_cannot_use(self, visitor, person):
        answer = visitor.sign_in(person)
        (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("hitl_session=")]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie  # the tests' service is not behind https
        assert person.email not in cookie

    def test_the_cookie_stays_at_home_under_https(self, app, visitor, person):
        app.config.update(SESSION_COOKIE_SECURE=True)
        answer = visitor.sign_in(person)
        assert all("Secure" in c for c in answer.headers.getlist("Set-Cookie") if c.startswith("hitl_session="))

    def test_it_renews_what_was_in_the_cookie_before(self, visitor, another, person, shared_database):
        visitor.get("/sign-in")
        planted = visitor.cookie.value
        visitor.sign_in(person)

        another.client.set_cookie("hitl_session", planted)
        assert not another.is_signed_in()
        first = visitor.cookie.value
        visitor.send("/account", "/sign-in", email=person.email, password=PASSWORD)
        another.client.set_cookie("hitl_session", first)
        assert not another.is_signed_in()  # signing in anew ended the session before

    @pytest.mark.parametrize("cookie", ["", "x", "eyJzZXNzaW9uX2lkIjoiMSJ9.x.y", "\u00e9" * 50, "a" * 4000])
    def test_it_takes_a_forged_cookie_for_nobody(self, visitor, cookie):
        visitor.client.set_cookie("hitl_session", cookie)
        assert visitor.get("/account").status_code == 302

    def test_it_refuses_a_form_without_its_token(self, visitor, person):
        answer = visitor.client.post("/sign-in", data={"email": person.email, "password": PASSWORD})
        assert answer.status_code == 403
        assert "Reload the page" in answer.text
        assert not visitor.is_signed_in()

    def test_it_goes_on_to_where_one_was_heading(self, visitor, person):
        asked = visitor.get("/account?x=1").location
        assert visitor.sign_in(person, next="/account?x=1").location == "/account?x=1"
        assert visitor.get(asked).location == "/account?x=1"

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)"],
    )
    def test_it_never_sends_people_to_another_site(self, visitor, person, elsewhere):
        assert visitor.sign_in(person, next=elsewhere).location == "/"
        assert visitor.client.get("/sign-in", query_string={"next": elsewhere}).location == "/"

    def test_it_lets_nobody_in_whose_account_is_closed(self, visitor, another, person, shared_database):
        visitor.sign_in(person)
        with shared_database.writing() as db:
            db.execute(update(User).where(User.id == person.id).values(deactivated_at=func.now()))
        assert not visitor.is_signed_in()
        assert another.sign_in(person).status_code == 401


class TestReset:
    def link(self, committed, person):
        token = create_reset_link(committed, person)
        committed.commit()
        return f"/reset/{token}"

    def test_it_sets_a_password_once_and_signs_out_everywhere(self, visitor, another, person, committed):
        visitor.sign_in(person)
        link = self.link(committed, person)

        done = another.send(link, password="a new and better one", again="a new and better one")
        assert done.location == "/sign-in"
        assert "Your password is set" in another.get("/sign-in").text
        assert not visitor.is_signed_in()
        assert visitor.sign_in(person, PASSWORD).status_code == 401
        assert visitor.sign_in(person, "a new and better one").status_code == 303
        assert another.get(link).status_code == 404
        assert "Ask for a new one" in another.get(link).text

    def test_it_names_what_is_wrong_and_stays_usable(self, visitor, person, committed):
        link = self.link(committed, person)
        short = visitor.send(link, password="short", again="short")
        assert short.status_code == 422
        assert "at least 12 characters" in short.text
        assert "not the same" in visitor.send(link, password="a new and better one", again="another one").text
        assert visitor.get(link).status_code == 200

    def test_it_knows_no_other_links(self, visitor):
        for path in ("/reset/x", "/reset/%00", "/reset/" + "x" * 5000):
            assert visitor.get(path).status_code == 404


def test_sessions_are_rows_of_their_own(visitor, another, person, shared_database):
    visitor.sign_in(person)
    another.sign_in(person)
    visitor.send("/account", "/sign-out")
    assert another.is_signed_in()
    with shared_database.reading() as db:
        assert db.scalar(select(func.count()).select_from(SignInSession).where(SignInSession.ended_at.is_(None))) == 1
