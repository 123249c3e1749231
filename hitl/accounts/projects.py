"""Projects: making them, and how each wants to be worked with."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.errors import (
    ChangedByAnother,
    GuidelinesUnacceptable,
    SettingsUnacceptable,
    SlugTaken,
    SlugUnacceptable,
    UnknownProject,
)
from hitl.accounts.events import ProjectCreated
from hitl.accounts.models import Membership, Project, User
from hitl.accounts.names import clean_name
from hitl.core import canonical, events

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
# A longer text would be shown to reviewers as it is written, without its headings and lists.
MAX_GUIDELINES_CHARACTERS = 20_000
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


# As the Hugging Face Hub calls them: cc-by-4.0. https://huggingface.co/docs/hub/repositories-licenses
LICENCE = r"^([a-z0-9][a-z0-9.+-]{0,63})?$"


class ProjectSettings(BaseModel):
    """What an admin may set in a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lease_minutes: int = Field(default=15, ge=1, le=24 * 60)  # how long a reviewer holds an item without a sign of life
    may_train_default: Literal["yes", "no", "unknown"] = "unknown"  # for responses that do not say
    end_user_thumbs: bool = False  # end users' thumbs count as verdicts
    second_opinion_percent: int = Field(default=0, ge=0, le=100)  # of interventions, whose drafts are reviewed too
    personal_data: Literal["keep", "mark", "pseudonymise"] = "keep"  # in what is captured: hitl/capture/masking.py
    licence: str = Field(default="", pattern=LICENCE)  # of the project's datasets; "" where it is not known


def is_licence(name: str) -> bool:
    """Whether this may be the name of a licence, or of none."""
    return re.fullmatch(LICENCE, name) is not None


def settings_of(project: Project) -> ProjectSettings:
    """Return a project's settings; what was never set has its default."""
    return ProjectSettings.model_validate(project.settings)


def change_settings(db: Session, project: Project, changes: dict[str, Any], by: User | None = None) -> ProjectSettings:
    """Set some of a project's settings; the others stay.

    Raises SettingsUnacceptable, naming the first setting at fault.
    """
    settings = _with_changes(project, changes)
    project.settings = settings.model_dump(mode="json", exclude_defaults=True)
    audit.record(db, by, "settings_changed", project, project, changes=changes)
    return settings


def name_and_settings_seen(project: Project) -> str:
    """Return a mark of a project's name and settings; whoever changes them names the mark of what they saw."""
    return _mark([project.name, settings_of(project).model_dump(mode="json")])


def change_name_and_settings(
    db: Session, project: Project, name: str, changes: dict[str, Any], *, seen: str, by: User | None = None
) -> None:
    """Change what an admin saw on the settings page; what stays the same is not noted as a change.

    Raises ChangedByAnother, NameUnacceptable, SettingsUnacceptable.
    """
    _lock(db, project)
    if name_and_settings_seen(project) != seen:
        raise ChangedByAnother
    before = settings_of(project)
    after = _with_changes(project, changes)
    changed = {key: value for key, value in after.model_dump().items() if value != getattr(before, key)}
    rename_project(db, project, name, by=by)
    if changed:
        change_settings(db, project, changed, by=by)


def rename_project(db: Session, project: Project, name: str, by: User | None = None) -> None:
    """Change what people read; the short name in addresses stays. Raises NameUnacceptable."""
    name = clean_name(name)
    if name != project.name:
        audit.record(db, by, "project_renamed", project, project, name=name, before=project.name)
        project.name = name


def guidelines_seen(project: Project) -> str:
    """Return a mark of a project's guidelines; whoever changes them names the mark of what they saw."""
    return _mark(project.guidelines)


def change_guidelines(db: Session, project: Project, text: str, *, seen: str, by: User | None = None) -> None:
    """Replace the guidelines that reviewers read, whatever they are reviewing at the moment.

    text: Markdown.
    Raises ChangedByAnother, GuidelinesUnacceptable.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    if len(text) > MAX_GUIDELINES_CHARACTERS or _NOT_TEXT.search(text):
        raise GuidelinesUnacceptable(param="/guidelines")
    _lock(db, project)
    if guidelines_seen(project) != seen:
        raise ChangedByAnother
    if text != project.guidelines:
        project.guidelines = text
        audit.record(db, by, "guidelines_changed", project, project, characters=len(text))


def _with_changes(project: Project, changes: dict[str, Any]) -> ProjectSettings:
    try:
        return ProjectSettings.model_validate({**project.settings, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsUnacceptable(f"{name}: {first['msg']}.", param=f"/settings/{name}") from error


def _mark(content: Any) -> str:
    return canonical.content_hash(content)[:16]


def _lock(db: Session, project: Project) -> None:
    """Read a project afresh, and let nobody else change it meanwhile. Rows that refer to it may still be added."""
    fresh = select(Project).where(Project.id == project.id).with_for_update(key_share=True)
    db.execute(fresh.execution_options(populate_existing=True))


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
