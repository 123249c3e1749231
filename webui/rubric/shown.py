"""What the editor shows: the work at hand, what a reviewer would see of it, and what was published before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hitl.accounts.models import AuditEntry, Project, User
from hitl.capture.models import Response
from hitl.queue.blindness import blind_message
from hitl.review.corrections import text_of
from hitl.review.models import RubricVersion
from hitl.review.queries import rubric_versions
from hitl.review.rubric_changes import changes_between
from hitl.review.rubric_drafts import Criteria, completed, problems_in, rubric_draft_of, rubric_of_draft
from hitl.review.rubrics import Criterion, Rubric, rubric_of_version
from webui.base.captured_text import LINE_LIMIT
from webui.rubric.forms import as_typed, is_same

VERSIONS_SHOWN = 50
EXAMPLE = "You can check in from 3 pm, and breakfast is served until 10."
EXAMPLE_ASKED = "When can I come, and how long is there breakfast?"


@dataclass(frozen=True)
class Work:
    """The work at hand: the draft, or the version in use while nobody has changed anything."""

    criteria: Criteria
    number: int  # of the draft; 0: there is none
    in_use: RubricVersion | None
    next_number: int  # of the version that publishing makes
    base_number: int | None  # of the version that the draft started from
    saved_at: datetime | None
    saved_by: str
    problems: Mapping[str, str]  # by JSON pointer
    changes: list[str]  # against the version in use
    hushed: int | None = None  # a criterion that was added just now: what it lacks is not held against it yet

    @property
    def is_draft(self) -> bool:
        return self.saved_at is not None

    @property
    def is_overtaken(self) -> bool:
        """Whether another version was published since the draft began."""
        return self.is_draft and self.in_use is not None and self.base_number not in (None, self.in_use.number)

    def problem(self, index: int, *path: int | str) -> str:
        """Return what is wrong with a field of a criterion, or nothing."""
        if index == self.hushed:
            return ""
        return self.problems.get("/".join(["/criteria", str(index), *map(str, path)]), "")

    def problem_count(self, index: int) -> int:
        """Return how many things of a criterion have to be mended."""
        start = f"/criteria/{index}"
        return (
            0 if index == self.hushed else sum(path == start or path.startswith(f"{start}/") for path in self.problems)
        )

    def standing(self, index: int) -> str:
        """Return whether a criterion is new or changed against the version in use."""
        criterion = completed(self.criteria)[index]
        before = {one["name"]: one for one in self._before()}
        if criterion["name"] not in before:
            return "new"
        return "" if is_same([criterion], [before[criterion["name"]]]) else "changed"

    def _before(self) -> Criteria:
        return [] if self.in_use is None else rubric_of_version(self.in_use).as_json()


@dataclass(frozen=True)
class Preview:
    """What a reviewer would see."""

    of: str  # the kind of item
    criteria: Criteria
    broken: list[str]  # labels of the criteria that have to be mended first
    asked: str
    text: str


@dataclass(frozen=True)
class Published:
    """A version, for the list of them."""

    id: UUID
    number: int
    published_at: datetime | None
    published_by: str
    criterion_count: int
    is_in_use: bool


def work_of(db: Session, project: Project, typed: Criteria | None = None, hushed: int | None = None) -> Work:
    """Return the work at hand.

    typed: what stands in the form, where that is not what is stored.
    hushed: the place of a criterion that was added just now.
    """
    draft = rubric_draft_of(db, project)
    in_use = version_in_use(db, project)
    before = [] if in_use is None else rubric_of_version(in_use).as_json()
    stored = as_typed(before) if draft is None or draft.criteria is None else draft.criteria
    criteria = stored if typed is None else typed
    problems = problems_in(criteria)
    after = criteria if problems else rubric_of_draft(criteria).as_json()
    return Work(
        criteria=criteria,
        number=draft.number if draft else 0,
        in_use=in_use,
        next_number=newest_number(db, project) + 1,
        base_number=draft.base.number if draft and draft.base else None,
        saved_at=draft.updated_at if draft else None,
        saved_by=draft.editor.name if draft and draft.editor else "",
        problems=problems,
        changes=[] if problems else changes_between(before, after),
        hushed=hushed,
    )


def version_in_use(db: Session, project: Project) -> RubricVersion | None:
    """Return the version that new items get."""
    return db.get(RubricVersion, project.rubric_version_id) if project.rubric_version_id else None


def newest_number(db: Session, project: Project) -> int:
    """Return the number of the newest version; 0 where there is none."""
    return db.scalar(newest_first(project).with_only_columns(RubricVersion.number).limit(1)) or 0


def newest_first(project: Project) -> Select[RubricVersion]:
    """The published versions of a project, the newest first."""
    return rubric_versions(project).order_by(None).order_by(RubricVersion.number.desc())


def preview_of(db: Session, project: Project, criteria: Criteria, of: str) -> Preview:
    """Return what a reviewer of such an item would see of these criteria, as far as they make sense."""
    sound, broken = [], []
    for criterion in _named_once(completed(criteria)):
        try:
            sound += Rubric.model_validate({"criteria": [criterion]}).criteria
        except ValidationError:
            broken.append(criterion.get("label") or "A criterion without a label")
    asked, text = _example(db, project)
    return Preview(of=of, criteria=_asked_about(sound, of), broken=broken, asked=asked, text=text)


def _asked_about(criteria: Sequence[Criterion], of: str) -> Criteria:
    """What is asked of such an item; of comparisons, what is asked of two responses and of more."""
    rubric = Rubric.model_construct(criteria=tuple(criteria))
    asked = {one["name"]: one for count in (2, 3) for one in rubric.asked_about(of, count).as_json()}
    return [asked[criterion.name] for criterion in criteria if criterion.name in asked]


def versions_of(db: Session, project: Project) -> list[Published]:
    """Return the published versions, newest first, with who published them."""
    versions = db.scalars(newest_first(project).limit(VERSIONS_SHOWN)).all()
    subjects = [f"rubric_versions:{version.id}" for version in versions]
    said = db.execute(
        select(AuditEntry.subject, User.name)
        .join(User, User.id == AuditEntry.actor_id)
        .where(AuditEntry.project_id == project.id, AuditEntry.subject.in_(subjects))
    )
    by = {row.subject: row.name for row in said}
    return [
        Published(
            id=version.id,
            number=version.number,
            published_at=version.published_at,
            published_by=by.get(subject, ""),
            criterion_count=len(version.criteria),
            is_in_use=version.id == project.rubric_version_id,
        )
        for version, subject in zip(versions, subjects, strict=True)
    ]


def _named_once(criteria: Criteria) -> Criteria:
    """Two criteria of one name would answer for each other in the preview."""
    seen: dict[str, int] = {}
    for criterion in criteria:
        seen[criterion["name"]] = seen.get(criterion["name"], 0) + 1
        if seen[criterion["name"]] > 1:
            criterion["name"] += f"-{seen[criterion['name']]}"
    return criteria


def _example(db: Session, project: Project) -> tuple[str, str]:
    """The newest response of the project, as a reviewer would see it: what was asked last, and what was said."""
    newest = select(Response).where(Response.project_id == project.id).order_by(Response.id.desc()).limit(1)
    response = db.scalar(newest)
    text = "" if response is None else text_of(blind_message(response.output))
    if response is None or not text.strip():
        return EXAMPLE_ASKED, EXAMPLE
    asked = [message for message in response.input["messages"] if message.get("role") == "user"]
    return text_of(blind_message(asked[-1]))[:LINE_LIMIT] if asked else "", text
