"""Projects: making them, and how each wants to be worked with."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.errors import SettingsUnacceptable, SlugTaken, SlugUnacceptable, UnknownProject
from hitl.accounts.events import ProjectCreated
from hitl.accounts.models import Membership, Project, User
from hitl.accounts.names import clean_name
from hitl.core import events

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")


class ProjectSettings(BaseModel):
    """What an admin may set in a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lease_minutes: int = Field(default=15, ge=1, le=24 * 60)  # how long a reviewer holds an item without a sign of life
    may_train_default: Literal["yes", "no", "unknown"] = "unknown"  # for responses that do not say
    end_user_thumbs: bool = False  # end users' thumbs count as verdicts


def settings_of(project: Project) -> ProjectSettings:
    """Return a project's settings; what was never set has its default."""
    return ProjectSettings.model_validate(project.settings)


def change_settings(db: Session, project: Project, changes: dict[str, Any], by: User | None = None) -> ProjectSettings:
    """Set some of a project's settings; the others stay.

    Raises SettingsUnacceptable, naming the first setting at fault.
    """
    try:
        settings = ProjectSettings.model_validate({**project.settings, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsUnacceptable(f"{name}: {first['msg']}.", param=f"/settings/{name}") from error
    project.settings = settings.model_dump(mode="json", exclude_defaults=True)
    audit.record(db, by, "settings_changed", project, project, changes=changes)
    return settings


def create_project(db: Session, slug: str, name: str, by: User | None = None) -> Project:
    """Make a project; whoever makes it becomes its first admin.

    Raises SlugUnacceptable, SlugTaken, NameUnacceptable.
    """
    if not _SLUG.fullmatch(slug):
        raise SlugUnacceptable(param="/slug")
    project = Project(slug=slug, name=clean_name(name))
    try:
        with db.begin_nested():
            db.add(project)
    except IntegrityError as error:
        raise SlugTaken(param="/slug") from error
    if by is not None:
        db.add(Membership(user_id=by.id, project_id=project.id, role="admin"))
        db.flush()
    audit.record(db, by, "project_created", project, project, slug=slug)
    events.publish(db, ProjectCreated(project.id))
    return project


def project_of_slug(db: Session, slug: str) -> Project:
    """Return the project with this short name. Raises UnknownProject."""
    project = db.scalar(select(Project).where(Project.slug == slug))
    if project is None:
        raise UnknownProject(param="/slug")
    return project


def projects_of(user: User) -> Select[Project]:
    """The projects that a person is a member of, by name."""
    return (
        select(Project)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == user.id)
        .order_by(Project.name, Project.id)
    )
