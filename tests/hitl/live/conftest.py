import pytest

from tests.hitl import factories


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def talk(db, project):
    return factories.LiveConversation(project=project)


@pytest.fixture
def supervisor(project):
    return factories.Membership(project=project, role="supervisor").user
