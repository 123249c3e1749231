"""Facts: what happened to people and projects."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ProjectCreated:
    """A project was made; it has no rubric yet."""

    project_id: UUID


@dataclass(frozen=True)
class UserDeactivated:
    """A person's account was closed: they hold nothing any more, in no project."""

    user_id: UUID


@dataclass(frozen=True)
class MemberRemoved:
    """A person is no longer a member of one project."""

    user_id: UUID
    project_id: UUID


@dataclass(frozen=True)
class RoleChanged:
    """A member may do other things than before in one project."""

    user_id: UUID
    project_id: UUID
    role: str
