import pytest
from sqlalchemy import select

from hitl.core.sealing import open_sealed
from hitl.gateway.budgets import add_budget
from hitl.gateway.models import Budget, Upstream
from hitl.gateway.settings import handling_of
from hitl.gateway.upstreams import add_upstream
from tests.webui.words import words_of

UPSTREAM = {"name": "main", "base_url": "https://models.example/v1", "position": "0", "weight": "1", "retries": "1"}
HANDLING = {
    "mode": "gate",
    "hold_seconds": "120",
    "when_nobody": "safe_reply",
    "when_database_down": "refuse",
    "safe_reply": "One moment, please.",
    "cache_seconds": "60",
    "prices": "bot-4 1.5 6\n",
}


@pytest.fixture
def browser(sign_in, member):
    return sign_in(member("admin"))


@pytest.fixture
def page(desk):
    return f"/projects/{desk.slug}/gateway"


class TestGatewayPage:
    def test_it_says_how_to_connect(self, browser, page, desk):
        words = words_of(browser.get(page).text)

        assert f"/gateway/{desk.slug}/v1" in words
        assert "No upstream yet" in words

    def test_it_changes_who_answers(self, browser, page, desk, shared_database):
        assert browser.post(page, data=HANDLING).status_code == 303
        with shared_database.reading() as db:
            kept = handling_of(db, desk)
        assert (kept.mode, kept.hold_seconds, kept.safe_reply) == ("gate", 120, "One moment, please.")
        assert kept.prices["bot-4"].output == 6
        assert "bot-4 1.5 6" in browser.get(page).text

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"hold_seconds": "soon"}, "A number is wanted"),
            ({"hold_seconds": "0"}, "greater than or equal to 1"),
            ({"mode": "guess"}, "mode"),
            ({"safe_reply": ""}, "safe_reply"),
            ({"prices": "bot-4 cheap"}, "two numbers"),
        ],
    )
    def test_it_names_what_is_wrong_and_keeps_what_was_typed(self, browser, page, wrong, said):
        answer = browser.post(page, data={**HANDLING, "cache_seconds": "61", **wrong})

        assert answer.status_code == 422
        assert said in words_of(answer.text)
        assert 'value="61"' in answer.text

    def test_an_upstreams_key_is_sealed_and_never_shown(self, browser, page, shared_database):
        browser.post(f"{page}/upstreams", data={**UPSTREAM, "key": "sk-very-secret-word-1234"})

        shown = browser.get(page).text
        assert "1234" in shown
        assert "secret-word" not in shown
        with shared_database.reading() as db:
            upstream = db.scalars(select(Upstream)).one()
            assert "secret" not in upstream.sealed_key
            place = f"upstream {upstream.project_id} https://models.example:443"
            assert open_sealed(db.info["keys"], upstream.sealed_key, place) == "sk-very-secret-word-1234"

    def test_another_host_does_not_get_the_key(self, browser, page, desk, committed, shared_database):
        upstream = add_upstream(committed, desk, {"name": "main", "base_url": "https://models.example/v1"}, "sk-secret")
        committed.commit()
        way = f"{page}/upstreams/{upstream.id}"

        browser.post(way, data={**UPSTREAM, "base_url": "https://models.example/v2", "is_on": "on"})
        assert self.key(shared_database) is not None
        browser.post(way, data={**UPSTREAM, "base_url": "https://elsewhere.example/v1", "is_on": "on"})
        assert self.key(shared_database) is None
        assert "its key was dropped" in words_of(browser.get(page).text)

    @staticmethod
    def key(database):
        with database.reading() as db:
            return db.scalars(select(Upstream.sealed_key)).one()

    @pytest.mark.parametrize(
        "address", ["ftp://models.example", "nothing", "https://a:b@models.example", "https://x/?y=1"]
    )
    def test_an_address_that_is_none_is_refused(self, browser, page, address):
        answer = browser.post(f"{page}/upstreams", data={**UPSTREAM, "base_url": address})

        assert answer.status_code == 422
        assert address in answer.text

    def test_an_upstream_is_removed(self, browser, page, desk, committed, shared_database):
        upstream = add_upstream(committed, desk, {"name": "main", "base_url": "https://models.example/v1"}, None)
        committed.commit()
        browser.post(f"{page}/upstreams/{upstream.id}/removal")

        with shared_database.reading() as db:
            assert db.scalars(select(Upstream)).all() == []

    def test_budgets_are_added_and_removed(self, browser, page, shared_database):
        browser.post(f"{page}/budgets", data={"period": "day", "max_tokens": "1000", "max_usd": "2.5", "model": "bot"})
        assert "1,000 tokens, $2.50" in words_of(browser.get(page).text)
        with shared_database.reading() as db:
            budget = db.scalars(select(Budget)).one()
        browser.post(f"{page}/budgets/{budget.id}/removal")
        assert "Nothing is limited" in words_of(browser.get(page).text)

    @pytest.mark.parametrize(
        "wrong", [{}, {"max_tokens": "-1"}, {"max_usd": "nan"}, {"max_tokens": "1", "api_key_id": "x"}]
    )
    def test_a_budget_that_is_none_is_refused(self, browser, page, wrong):
        assert browser.post(f"{page}/budgets", data={"period": "day", **wrong}).status_code == 422


class TestGatewayByRest:
    def test_it_does_what_the_page_does(self, api, desk, committed):
        program = api(desk, "admin")
        way = f"/api/v1/projects/{desk.slug}/gateway"
        made = program.post(
            f"{way}/upstreams",
            json={"name": "a", "base_url": "https://models.example/v1", "key": "sk-secret-word-5678"},
        )
        assert made.status_code == 201
        assert "secret" not in made.text
        assert (
            program.patch(f"{way}/upstreams/{made.json['id']}", json={"base_url": "http://other.example"}).json[
                "has_key"
            ]
            is False
        )
        assert program.patch(way, json={"mode": "person"}).json["settings"]["mode"] == "person"
        budget = program.post(f"{way}/budgets", json={"period": "month", "max_usd": 10}).json
        shown = program.get(way).json
        assert [one["name"] for one in shown["upstreams"]] == ["a"]
        assert [one["id"] for one in shown["budgets"]] == [budget["id"]]
        assert program.get(f"{way}/usage").json["usage"] == []
        assert program.delete(f"{way}/budgets/{budget['id']}").status_code == 204
        assert program.delete(f"{way}/upstreams/{made.json['id']}").status_code == 204

    def test_it_names_the_field(self, api, desk):
        program = api(desk, "admin")
        way = f"/api/v1/projects/{desk.slug}/gateway"

        assert program.patch(way, json={"hold_seconds": 0}).json["error"]["param"] == "/hold_seconds"
        assert program.post(f"{way}/upstreams", json={"name": "a"}).json["error"]["param"] == "/base_url"
        assert program.post(f"{way}/budgets", json={"period": "day"}).status_code == 422

    def test_a_key_of_another_project_cannot_be_limited(self, api, desk, committed):
        from hitl.core.errors import Invalid
        from tests.hitl import factories

        other = factories.Project()
        with pytest.raises(Invalid):
            add_budget(committed, desk, period="day", max_tokens=1, api_key_id=other.id)
