from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.accounts.models import Project, User
from hitl.queue.models import Lease
from tests.hitl import factories


@dataclass
class Desk:
    """A project with one reviewer and what waits for them."""

    project: Project
    reviewer: User

    @property
    def url(self) -> str:
        return f"/projects/{self.project.slug}"

    def add(self, text="This is the answer.", asked="What is the question?", **item):
        """Add an item about a new response; `reviews_wanted` and the like are the item's."""
        response = factories.Response(project=self.project, text=text, asked=asked)
        return factories.Item(project=self.project, response=response, **item)

    def hold(self, item=None, *, expired=False):
        """Let the reviewer hold an item, a new one if need be."""
        item = item or self.add(open_slots=0)
        return factories.Lease(item=item, reviewer=self.reviewer, expired=expired)

    def lease_url(self, lease) -> str:
        return f"{self.url}/leases/{lease.id}"


@pytest.fixture
def desk(committed):
    project = factories.Project(name="Hotel desk")
    reviewer = factories.User(name="Ana Lima")
    factories.Membership(user=reviewer, project=project, role="annotator")
    return Desk(project, reviewer)


@pytest.fixture
def ana(sign_in, desk):
    """The reviewer's browser, without scripts. Ask for it after what waits was added: signing in commits."""
    return lambda: sign_in(desk.reviewer)


@pytest.fixture
def let_time_pass(shared_database):
    """Moves the running leases of everybody back in time: `let_time_pass(minutes=20)`."""

    def let_time_pass(**span):
        with shared_database.writing() as db:
            for lease in db.scalars(select(Lease).where(Lease.ended_as.is_(None))):
                lease.expires_at -= timedelta(**span)

    return let_time_pass
