"""What the editor shows: the work at hand, what a reviewer would see of it, and what was published before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
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
from webui.review.asked import about_part
from webui.review.compared import LETTERS
from webui.review.marking import Words, marking
from webui.rubric.forms import as_typed, is_same

VERSIONS_SHOWN = 50
EXAMPLE = "You can check in from 3 pm, and breakfast is served until 10."
EXAMPLE_ASKED = "When can I come, and how long is there breakfast?"
OTHER_EXAMPLES = ("Another response to the same.", "And a third one.")  # where the project has no others to show
EXAMPLE_CHARACTERS = 600


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
    broken: list[str]  # labels of the criteria that have to be mended first
    asked: str  # what the examples answer
    examples: list["Example"]  # what is judged: several where they are compared
    criteria: Criteria  # what is asked once

    @property
    def asks_something(self) -> bool:
        return bool(self.criteria) or any(example.criteria for example in self.examples)

    def marks(self, example: "Example") -> bool:
        """Whether passages of this example are marked."""
        asked = (*self.criteria, *example.criteria)
        return any(criterion.get("words_id") == example.words.id for criterion in asked)


@dataclass(frozen=True)
class Example:
    """A response to try the criteria on, with what is asked about it by itself."""

    letter: str
    name: str  # empty where there is but one
    words: Words
    criteria: Criteria

    @property
    def blind_name(self) -> str:
        """What fields of the form are named after."""
        return self.letter.lower()


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
    criteria = _asked_about(sound, of)
    asked, texts = _example(db, project)
    kinds = {criterion["kind"] for criterion in criteria}
    count = 1 if of != "comparison" else 3 if "ranking" in kinds else 2
    return Preview(
        of=of,
        broken=broken,
        asked=asked,
        examples=[
            _example_of(of, letter, text, criteria) for letter, text in zip(LETTERS, texts[:count], strict=False)
        ],
        criteria=[_markable(one, _words("A", texts[0])) for one in criteria if one["per"] == "item"],
    )


def _example_of(of: str, letter: str, text: str, criteria: Criteria) -> Example:
    """As the page of a reviewer asks: about each response by its letter, about each turn by its number."""
    is_compared = of == "comparison"
    about = f"response {letter}" if is_compared else "turn 1"
    per = "response" if is_compared else "turn"
    words = _words(letter, text)
    own = [_markable(about_part(one, letter.lower(), about), words) for one in criteria if one["per"] == per]
    return Example(letter, f"{about[0].upper()}{about[1:]}" if is_compared or own else "", words, own)


def _words(letter: str, text: str) -> Words:
    return Words(f"words-{letter.lower()}", text)


def _markable(criterion: dict[str, Any], words: Words) -> dict[str, Any]:
    return criterion | marking(criterion, words) if criterion["kind"] == "spans" else criterion


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


def _example(db: Session, project: Project) -> tuple[str, list[str]]:
    """The newest response of the project, as a reviewer would see it, and others to the same input.

    Returns what was asked last, and three different texts.
    """
    newest = select(Response).where(Response.project_id == project.id).order_by(Response.id.desc()).limit(1)
    response = db.scalar(newest)
    texts = [] if response is None else _texts_like(db, response)
    if response is None or not texts:
        return EXAMPLE_ASKED, [EXAMPLE, *OTHER_EXAMPLES]
    asked = [message for message in response.input["messages"] if message.get("role") == "user"]
    return text_of(blind_message(asked[-1]))[:LINE_LIMIT] if asked else "", [*texts, *OTHER_EXAMPLES]


def _texts_like(db: Session, response: Response) -> list[str]:
    """Return the words of a response and then of others to the same input, each once; none if it has none itself."""
    alike = select(Response).where(
        Response.project_id == response.project_id,
        Response.input_hash == response.input_hash,
        Response.id != response.id,
    )
    others = db.scalars(alike.order_by(Response.id.desc()).limit(2)) if text_of(response.output).strip() else ()
    texts = (text_of(blind_message(one.output)).strip()[:EXAMPLE_CHARACTERS] for one in (response, *others))
    return [text for text in dict.fromkeys(texts) if text]
