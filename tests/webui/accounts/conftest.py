"""Browsers that fill in forms as people do, tokens and all."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from hitl.accounts import passwords
from hitl.accounts.models import User
from tests.hitl import factories

PASSWORD = "correct horse battery"
PASSWORD_HASH = passwords.hash_password(PASSWORD)


class Visitor:
    """Somebody with a browser of their own, without scripts."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str):
        return self.client.get(path)

    def send(self, page: str, path: str | None = None, **fields: object):
        """Open a page and send its form, to `path` or to the page's own address."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(page).text).group(1)
        return self.client.post(path or page, data={"csrf_token": token, **fields})

    def sign_in(self, person: User, password: str = PASSWORD, **fields: object):
        return self.send("/sign-in", email=person.email, password=password, **fields)

    def is_signed_in(self) -> bool:
        return self.client.get("/account").status_code == 200

    @property
    def cookie(self):
        return self.client.get_cookie("hitl_session")


@pytest.fixture
def visitor(app) -> Visitor:
    return Visitor(app.test_client())


@pytest.fixture
def another(app) -> Visitor:
    return Visitor(app.test_client())


@pytest.fixture
def project(committed):
    return factories.Project(name="Support bot")


def make_member(committed, project, role, **person):
    membership = factories.Membership(
        project=project, role=role, user=factories.User(password_hash=PASSWORD_HASH, **person)
    )
    committed.commit()
    return membership.user


@pytest.fixture
def admin(committed, project):
    return make_member(committed, project, "admin", name="Ada Admin")


@pytest.fixture
def person(committed, project):
    return make_member(committed, project, "annotator", name="Kim Reader")


def shown_once(page: str, label: str) -> str:
    """Return what a page shows in the read-only field with this label."""
    return unescape(re.search(rf'aria-label="{label}" value="([^"]+)"', page).group(1))
