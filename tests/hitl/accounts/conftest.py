"""People and projects for the tests of accounts."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from hitl.accounts import passwords
from hitl.accounts.models import Membership, Project, User
from hitl.core import clock
from tests.hitl import factories

PASSWORD = "correct horse battery"
PASSWORD_HASH = passwords.hash_password(PASSWORD)


class Hands:
    """The clock's hands, moved by tests."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def move(self, **step: float) -> None:
        self.ahead += timedelta(**step)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + hands.ahead)
    return hands


@pytest.fixture
def project(db: Session) -> Project:
    return factories.Project()


@pytest.fixture
def person(db: Session) -> User:
    """Somebody with a password and no membership."""
    return factories.User(password_hash=PASSWORD_HASH)


@pytest.fixture
def admin(db: Session, project: Project) -> User:
    """An admin of the project."""
    return member(project, "admin")


def member(project: Project, role: str, **person: object) -> User:
    """Make somebody a member."""
    return factories.Membership(project=project, role=role, user=factories.User(**person)).user


def membership_of(db: Session, project: Project, user: User) -> Membership:
    return db.query(Membership).filter_by(project_id=project.id, user_id=user.id).one()
