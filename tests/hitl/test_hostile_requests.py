"""Every route is sent what no honest program sends. It may refuse in any way but one: no 5xx."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from tests.hitl import factories
from tests.product import Api, SignIn

UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
SCOPES = ("capture", "feedback", "review", "queue", "datasets", "admin")
NAMES = ("cursor", "limit", "state", "split", "format", "captured_since", "page", "after", "tag", "next")
VALUES = (
    "",
    "%00",
    "%ff",
    "-1",
    "9" * 30,
    "1e5",
    "%C2%B2",
    "A" * 22,
    "0001-01-01T00:00:00%2B23:59",
    "x" * 300,
    "'--",
)
BODIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"{}"',
    b"1e999",
    b"NaN",
    b'{"a":',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"a": "\\ud800"}',
    b'{"a": "\\u0000"}',
    b'{"a": ' + b"9" * 400 + b"}",
    b"[" * 100_000,
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
)
FORMS = (
    {},
    {"name": "\U0001f600" * 300, "email": "a" * 5000, "role": "owner", "slug": "\u202e"},
    {"answers": "{", "seen_number": "9" * 40, "reason": "\x1b", "rate": "nan", "priority": "1e400", "number": "-1"},
    {"answers": "[" * 5000, "seen_number": "", "comment": "x" * 200_000, "seconds": "inf", "rate": "\u0663"},
    {"answers": '{"helpful": {"a": [1e999, null]}}', "draft": "null", "correction": "\0"},
)


class TestHostileRequests:
    def test_the_api_refuses_them(self, app: Flask, program: FlaskClient) -> None:
        for rule in routes_of(app, "/api/v1/"):
            for name, value in product(NAMES, VALUES):
                ensure_calm(program, "GET", f"{address_of(rule)}?{name}={value}")
            for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
                for body in BODIES:
                    ensure_calm(program, method, address_of(rule), data=body, content_type="application/json")
                ensure_calm(program, method, address_of(rule), data=b"{}", content_type="text/plain;;=")

    def test_pages_refuse_them(self, app: Flask, person: FlaskClient) -> None:
        for rule in routes_of(app, "/"):
            if rule.rule.startswith("/api/v1/"):
                continue
            for value in VALUES:
                ensure_calm(person, "GET", f"{address_of(rule)}?" + "&".join(f"{name}={value}" for name in NAMES))
            for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
                for form in FORMS:
                    ensure_calm(person, method, address_of(rule), data=form)
                ensure_calm(person, method, address_of(rule), data=b"\xff", content_type="application/json")

    @pytest.fixture
    def program(self, committed: Session, api: Api) -> FlaskClient:
        return api(factories.Project(slug="desk"), *SCOPES)

    @pytest.fixture
    def person(self, committed: Session, sign_in: SignIn) -> FlaskClient:
        return sign_in(factories.Membership(project=factories.Project(slug="desk"), role="admin").user)


def routes_of(app: Flask, start: str) -> Iterator[Rule]:
    """Every route but static files and the one that would end the visit."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(start) and "static" not in rule.endpoint and rule.rule != "/sign-out":
            yield rule


def address_of(rule: Rule) -> str:
    """Return an address of this route in the project, about something that is not there."""
    address = rule.rule.replace("<slug>", "desk")
    address = re.sub(r"<uuid:\w+>", UNKNOWN_ID, address)
    return re.sub(r"<int:\w+>", "9" * 30, re.sub(r"<(?!int)[^>]+>", "nothing%ff", address))


def ensure_calm(client: FlaskClient, method: str, address: str, **sent: object) -> None:
    answer = client.open(address, method=method, **sent)
    assert answer.status_code < 500, (method, address[:200], str(sent)[:200], answer.text[:500])
