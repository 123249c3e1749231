"""People in a project, for page tests."""

import pytest

from hitl.accounts.projects import create_project
from tests.hitl import factories


@pytest.fixture
def desk(committed):
    """A project as it is made for people, with the starter rubric."""
    project = create_project(committed, "hotel-desk", "Hotel desk")
    committed.commit()
    return project


@pytest.fixture
def member(committed, desk):
    """Makes a member of the desk: member("lead", name="Ana")."""

    def make(role="annotator", **person):
        return factories.Membership(project=desk, user=factories.User(**person), role=role).user

    return make
