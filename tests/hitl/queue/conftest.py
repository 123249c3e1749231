"""A project, people in it, and a clock that tests can move."""

from datetime import datetime, timedelta

import pytest

from hitl.core import clock
from hitl.queue.items import add_item
from tests.hitl import factories


class Hands:
    """The hands of the clock."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def move(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@pytest.fixture
def hands(monkeypatch) -> Hands:
    hands = Hands()
    real_now = clock.now

    def now() -> datetime:
        return real_now() + hands.ahead

    monkeypatch.setattr(clock, "now", now)
    return hands


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def join(project):
    """A function that makes a new active member of the project."""

    def make(role="annotator", **person):
        return factories.Membership(project=project, user=factories.User(**person), role=role).user

    return make


@pytest.fixture
def ann(join):
    return join()


@pytest.fixture
def ben(join):
    return join()


@pytest.fixture
def add(db, project):
    """A function that puts a fresh response into the queue."""

    def add(reviews_wanted=1, **how):
        return add_item(db, project, [factories.Response(project=project)], reviews_wanted=reviews_wanted, **how)

    return add
