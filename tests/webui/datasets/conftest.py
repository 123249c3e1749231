"""A project with reviews to freeze, as an engineer's browser sees it; each step is committed."""

import html
import re

import pytest

from hitl.core import jobs
from tests.hitl import factories
from tests.hitl.datasets.conftest import Desk


def words(page) -> str:
    """Return what a person reads on a page, in one line."""
    text = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


class Engineering(Desk):
    """A desk whose responses may train unless a test says otherwise."""

    @property
    def url(self):
        return f"/projects/{self.project.slug}/datasets"

    def corrected(self, asked="Is there a room?", said="I booked it!", better="There is no free room.", **more):
        response = self.response(asked, said, **{"may_train": "yes", **more})
        self.corrects(response, better)
        return response

    def work(self):
        """Let a worker do what is due."""
        jobs.Worker(self.database).run_until_idle()

    def member(self, role):
        def make(db):
            user = factories.User(name=f"Ada the {role}")
            factories.Membership(user=user, project=self.project, role=role)
            return user

        return self.write(make)


@pytest.fixture
def desk(shared_database, committed):
    return Engineering.open(shared_database)


@pytest.fixture
def ada(sign_in, desk):
    """An engineer's browser, without scripts."""
    return sign_in(desk.member("engineer"))
