from sqlalchemy import update

from hitl.accounts.models import SignInSession
from hitl.core import clock
from tests.webui.accounts.conftest import PASSWORD

NEW = "a new and better one"


class TestPassword:
    def change(self, visitor, present=PASSWORD, new=NEW, again=NEW):
        return visitor.send("/account", "/account/password", present=present, password=new, again=again)

    def test_it_keeps_this_browser_and_signs_out_all_others(self, visitor, another, person):
        visitor.sign_in(person)
        another.sign_in(person)
        before = visitor.cookie.value

        assert self.change(visitor).status_code == 303
        assert "Your password is changed" in visitor.get("/account").text
        assert not another.is_signed_in()
        another.client.set_cookie("hitl_session", before)
        assert not another.is_signed_in()
        assert another.sign_in(person, NEW).status_code == 303

    def test_it_names_what_is_wrong(self, visitor, person):
        visitor.sign_in(person)
        for answer, words in [
            (self.change(visitor, present="another password"), "not your present password"),
            (self.change(visitor, new="short", again="short"), "at least 12 characters"),
            (self.change(visitor, again="another one"), "not the same"),
            (self.change(visitor, new=person.email, again=person.email), "than your e-mail address"),
        ]:
            assert answer.status_code == 422
            assert words in answer.text
        assert visitor.is_signed_in()

    def test_guessing_the_present_password_is_slowed_too(self, visitor, person):
        visitor.sign_in(person)
        for _ in range(5):
            self.change(visitor, present="another password")
        refused = self.change(visitor)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0


def test_one_can_change_ones_name(visitor, person):
    visitor.sign_in(person)
    visitor.send("/account", "/account/name", name="<b>Kim</b>")
    assert "&lt;b&gt;Kim&lt;/b&gt;" in visitor.get("/account").text
    assert "<b>Kim" not in visitor.get("/account").text
    refused = visitor.send("/account", "/account/name", name="\u202eevil")
    assert refused.status_code == 422


def test_one_can_choose_dark_pages(visitor, person):
    visitor.sign_in(person)
    assert visitor.send("/account", "/appearance", theme="dark", next="/account").location == "/account"
    assert 'data-theme="dark"' in visitor.get("/account").text


def test_a_session_that_is_over_asks_to_sign_in_again(visitor, person, shared_database):
    visitor.sign_in(person)
    with shared_database.writing() as db:
        db.execute(update(SignInSession).values(expires_at=clock.now()))
    assert visitor.get("/account").status_code == 302
    assert visitor.client.post("/account/name").status_code in (401, 403)
