"""Deny by default: every route names the permission it needs, and lets in exactly those whom the table names."""

import sys
from types import ModuleType

import pytest
from flask import Blueprint, g

import hitl.app
from hitl.accounts import access
from hitl.accounts.access import CUSTOMER, PUBLIC, SIGNED_IN, allow
from hitl.accounts.permissions import ROLES, SCOPES, Permission
from hitl.queue.models import Item
from tests.product import new_app
from tests.promises.doors import SCOPE_TABLE, TABLE, Walk, World, doors, undeclared

# A walk is a thousand requests, and who may do what is asked in the same words on both databases: one is enough.
on_one_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

# Whoever adds to one of these lists lets in people without asking for their role.
OPEN_TO_EVERYBODY = {
    "GET /sign-in",
    "POST /sign-in",
    "POST /sign-out",
    "GET /reset/<token>",
    "POST /reset/<token>",
    "GET /invitation/<invitation_token>",
    "POST /invitation/<invitation_token>",
    "POST /appearance",
    "GET /healthz",
    "GET /readyz",
    "GET /api/docs",
    "GET /api/openapi.json",
}
OPEN_TO_ALL_WHO_ARE_SIGNED_IN = {
    "GET /",
    "GET /account",
    "POST /account/name",
    "POST /account/password",
    "GET /api/v1/key",
}
OPEN_TO_CUSTOMERS = {"GET /api/v1/customer/events", "POST /api/v1/customer/messages"}


def test_the_table_is_the_designs():
    assert {role: {str(p) for p in permissions} for role, permissions in ROLES.items()} == TABLE
    assert {scope: {str(p) for p in permissions} for scope, permissions in SCOPES.items()} == SCOPE_TABLE


@on_one_database
class TestDenyByDefault:
    def test_every_route_says_who_may_use_it(self, app):
        assert undeclared(app) == []
        assert {way.address for way in doors(app) if way.is_public} == OPEN_TO_EVERYBODY
        signed_in = {way.address for way in doors(app) if way.access.door is SIGNED_IN}
        assert signed_in == OPEN_TO_ALL_WHO_ARE_SIGNED_IN
        customers = {way.address for way in doors(app) if way.access.door is CUSTOMER}
        assert customers == OPEN_TO_CUSTOMERS

    @pytest.mark.timeout(400)
    def test_everybody_gets_as_far_as_the_table_says(self, walk, app):
        walk.everybody_tries(doors(app))
        assert walk.problems == []
        assert walk.tries > 500

    def test_nobody_reaches_into_another_project(self, walk, app):
        walk.intruders_try(doors(app))
        assert walk.problems == []
        assert walk.tries > 25


@on_one_database
class TestTheWalkItself:
    """A test that cannot fail proves nothing."""

    def test_the_service_does_not_start_with_an_undeclared_route(self, app, monkeypatch):
        careless = Blueprint("careless", __name__)
        careless.add_url_rule("/everything", "show", lambda: "everything")
        module = ModuleType("careless.views")
        module.bp = careless
        monkeypatch.setitem(sys.modules, "careless", ModuleType("careless"))
        monkeypatch.setitem(sys.modules, "careless.views", module)
        monkeypatch.setattr(hitl.app, "PAGES", (*hitl.app.PAGES, "careless"))
        with pytest.raises(RuntimeError, match=r"careless\.show"):
            hitl.app.create_app(app.extensions["hitl"])

    def test_it_finds_an_undeclared_route(self, app):
        app.add_url_rule("/everything", "everything", lambda: "everything")
        assert undeclared(app) == ["everything"]

    def test_it_finds_a_guard_that_sleeps(self, walk, app, monkeypatch):
        monkeypatch.setattr(access, "ensure_allowed", lambda *_, **__: None)
        walk.everybody_tries([way for way in doors(app) if way.rule.rule == "/api/v1/projects/<slug>/items"])
        assert any("as nobody" in problem for problem in walk.problems)
        assert any("as the scope capture: forbidden expected, but in" in problem for problem in walk.problems)

    def test_it_finds_a_route_that_is_closed_to_those_who_should_come_in(self, walk, app):
        @app.get("/projects/<slug>/closed")
        @allow(Permission.REVIEW)
        def closed(slug):
            return "", 403

        walk.everybody_tries(named(app, "/projects/<slug>/closed"))
        assert len(walk.problems) == 3  # annotator, lead, admin

    def test_it_finds_a_route_that_shows_rows_of_other_projects(self, walk, app):
        @app.get("/projects/<slug>/leak/<uuid:item_id>")
        @allow(Permission.QUEUE)
        def leak(slug, item_id):
            return str(g.db.get_one(Item, item_id).id)

        walk.intruders_try(named(app, "/projects/<slug>/leak/<uuid:item_id>"))
        assert len(walk.problems) == 1

    def test_it_asks_how_to_make_an_unknown_kind_of_id(self, walk, app):
        @app.get("/projects/<slug>/novelties/<uuid:novelty_id>")
        @allow(PUBLIC)
        def novelty(slug, novelty_id):
            return "new"

        with pytest.raises(AssertionError, match="how to make a novelty_id"):
            walk.everybody_tries(named(app, "/projects/<slug>/novelties/<uuid:novelty_id>"))


@pytest.fixture
def app(shared_database):
    app = new_app(shared_database)
    app.config["WTF_CSRF_ENABLED"] = False  # forged forms are another matter: tests/webui/accounts
    return app


@pytest.fixture
def walk(app, committed, shared_database):
    return Walk(World(app, committed, shared_database))


def named(app, address):
    return [way for way in doors(app) if way.rule.rule == address]
