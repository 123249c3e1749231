"""The questions a reviewer answers: their shape, and publishing them."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.capture.json_values import pointer
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.queue.models import Item
from hitl.review.errors import RubricRefused
from hitl.review.models import RubricVersion

CANNOT_JUDGE = "unsure"  # the answer "cannot judge", in forms and in JSON
ALL_BAD = "all_bad"  # the answer to a ranking that none of the responses is any good
BOTH_BAD, EQUAL = "both_bad", "equal"  # the same of two responses, and that neither is better
THUMBS = {"up": 1, "down": 0}  # how a thumb is answered, and the rating it is stored as
RESERVED_NAMES = ("comment",)  # every review has one, whatever its rubric

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _without_control_characters(text: str) -> str:
    if _CONTROL_CHARACTERS.search(text):
        raise ValueError("must be one line of text without control characters")
    return text


Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_without_control_characters)]
Label = Annotated[Line, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
ItemKind = Literal["response", "comparison", "conversation"]
Per = Literal["item", "response", "turn"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(_Part):
    """One point of a scale, and what it means."""

    value: int = Field(strict=True, ge=-1000, le=1000)
    label: Label


class Option(_Part):
    """One word that a reviewer may choose."""

    value: Name
    label: Label


class _Criterion(_Part):
    name: Name
    label: Label
    hint: Annotated[Line, StringConstraints(max_length=500)] = ""
    required: bool = False
    asked_of: tuple[ItemKind, ...] = Field(("response", "conversation"), min_length=1)
    per: Per = "item"  # response: in a comparison, once for each; turn: once for each assistant message

    @model_validator(mode="after")
    def _can_be_asked(self) -> "_Criterion":
        if len(set(self.asked_of)) < len(self.asked_of):
            raise ValueError(f"“{self.name}” names a kind of item twice")
        if self.per == "turn" and "comparison" in self.asked_of:
            raise ValueError(f"“{self.name}” is asked about each turn, which a comparison does not have")
        return self


class _Choosing(_Criterion):
    cannot_judge: bool = False  # whether "cannot judge" is an answer


class Scale(_Choosing):
    """A number, each point described. The `overall` one says how good the response is as a whole."""

    kind: Literal["scale"]
    points: tuple[Point, ...] = Field(min_length=2, max_length=10)
    overall: bool = False

    @model_validator(mode="after")
    def _ascend(self) -> "Scale":
        if any(lower.value >= higher.value for lower, higher in pairwise(self.points)):
            raise ValueError(f"the points of “{self.name}” must rise")
        return self


class Thumbs(_Choosing):
    """Up or down."""

    kind: Literal["thumbs"]
    overall: bool = False


class _Options(_Choosing):
    options: tuple[Option, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _differ(self) -> "_Options":
        values = [option.value for option in self.options]
        if len(set(values)) < len(values):
            raise ValueError(f"two options of “{self.name}” have the same value")
        if CANNOT_JUDGE in values:
            raise ValueError(f"“{CANNOT_JUDGE}” stands for “cannot judge” and cannot be an option")
        return self


class Choice(_Options):
    """One of several options."""

    kind: Literal["choice"]


class Tags(_Options):
    """Any number of options."""

    kind: Literal["tags"]
    negative: bool = True  # a tag names something wrong: a tagged response is not one to imitate


class Text(_Criterion):
    """Free text."""

    kind: Literal["text"]


class Corrected(_Criterion):
    """The response as it should have been. Never required: a good response needs none."""

    kind: Literal["correction"]
    required: Literal[False] = False
    asked_of: tuple[Literal["response"], ...] = Field(("response",), min_length=1)
    per: Literal["item"] = "item"


class Ranked(_Choosing):
    """The responses of a comparison, best first; several may share a place."""

    kind: Literal["ranking"]
    asked_of: tuple[Literal["comparison"], ...] = Field(("comparison",), min_length=1)
    per: Literal["item"] = "item"


class Pairwise(_Choosing):
    """Which of two responses is better, and by how much."""

    kind: Literal["pairwise"]
    asked_of: tuple[Literal["comparison"], ...] = Field(("comparison",), min_length=1)
    per: Literal["item"] = "item"


class Spans(_Options):
    """Passages of a text, each with a label. Never required: a good text has none to mark."""

    kind: Literal["spans"]
    required: Literal[False] = False
    cannot_judge: Literal[False] = False
    asked_of: tuple[ItemKind, ...] = Field(("response",), min_length=1)
    severities: tuple[Option, ...] = Field((), max_length=9)  # how bad it is, mildest first; none: not asked

    @model_validator(mode="after")
    def _say_in_which_text(self) -> "Spans":
        values = [severity.value for severity in self.severities]
        if len(set(values)) < len(values):
            raise ValueError(f"two severities of “{self.name}” have the same value")
        if "comparison" in self.asked_of and self.per != "response":
            raise ValueError(f"in a comparison, “{self.name}” must be asked about each response")
        if "conversation" in self.asked_of and self.per != "turn":
            raise ValueError(f"in a conversation, “{self.name}” must be asked about each turn")
        return self


Criterion = Annotated[
    Scale | Thumbs | Choice | Tags | Text | Corrected | Ranked | Pairwise | Spans, Field(discriminator="kind")
]


_KINDS = ("scale", "thumbs", "choice", "tags", "text", "correction", "ranking", "pairwise", "spans")


class Rubric(_Part):
    """What is asked about an item, in order."""

    criteria: tuple[Criterion, ...] = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _fit_together(self) -> "Rubric":
        names = [criterion.name for criterion in self.criteria]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            raise ValueError(f"two criteria are named “{repeated}”")
        reserved = next((name for name in names if name in RESERVED_NAMES), None)
        if reserved:
            raise ValueError(f"“{reserved}” is part of every review and cannot name a criterion")
        if sum(getattr(criterion, "overall", False) for criterion in self.criteria) > 1:
            raise ValueError("only one criterion can be the overall one")
        if sum(criterion.kind == "correction" for criterion in self.criteria) > 1:
            raise ValueError("a response can be corrected in one criterion only")
        for kind in ("ranking", "pairwise"):
            if sum(criterion.kind == kind for criterion in self.criteria) > 1:
                raise ValueError(f"responses are compared in one {kind} only")
        return self

    def asked_about(self, kind: str, response_count: int = 1) -> "Rubric":
        """Return what is asked of one item; there may be nothing.

        kind, response_count: of the item, and how many responses it compares.
        """
        asked = [c for c in self.criteria if kind in c.asked_of and not self._gives_way(c, response_count)]
        # Only a comparison has several responses; elsewhere "each response" is the item.
        criteria = [
            c.model_copy(update={"per": "item"}) if c.per == "response" and kind != "comparison" else c for c in asked
        ]
        return self.model_copy(update={"criteria": tuple(criteria)})

    def can_judge(self, kind: str, response_count: int = 1) -> bool:
        """Whether it asks anything of such an item; of a comparison, by what responses are compared."""
        asked = self.asked_about(kind, response_count)
        return asked.comparing is not None if kind == "comparison" else bool(asked.criteria)

    def _gives_way(self, criterion: "Criterion", response_count: int) -> bool:
        """Whether the other way of comparing is asked instead: pairwise for two responses, ranking for more."""
        if isinstance(criterion, Pairwise):
            return response_count != 2
        has_pairwise = any(isinstance(c, Pairwise) for c in self.criteria)
        return isinstance(criterion, Ranked) and response_count == 2 and has_pairwise

    @property
    def comparing(self) -> Ranked | Pairwise | None:
        """The criterion under which responses are compared: of what is asked of one item, there is at most one."""
        return next((c for c in self.criteria if isinstance(c, Ranked | Pairwise)), None)

    @property
    def overall(self) -> Scale | Thumbs | None:
        """The criterion that says how good the response is as a whole."""
        return next((c for c in self.criteria if isinstance(c, Scale | Thumbs) and c.overall), None)

    @property
    def correction(self) -> Corrected | None:
        """The criterion under which a response is corrected."""
        return next((c for c in self.criteria if isinstance(c, Corrected)), None)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the criteria as they are stored and answered."""
        return [criterion.model_dump(mode="json") for criterion in self.criteria]


def read_rubric(criteria: Any) -> Rubric:
    """Check criteria as they came from outside. Raises RubricRefused, naming the first thing at fault."""
    try:
        return Rubric.model_validate({"criteria": criteria})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = first["loc"]
        if len(path) > 2 and path[2] in _KINDS:
            path = path[:2] + path[3:]  # pydantic puts in which kind it took the criterion for
        raise RubricRefused(f"{first['msg'].removeprefix('Value error, ')}.", param=pointer(path)) from error


def publish_rubric(db: Session, project: Project, rubric: Rubric, by: User | None = None) -> RubricVersion:
    """Store the rubric as the project's next version and put it in use. Items made before keep theirs."""
    # One at a time for a project: the number is the last one's plus one.
    db.execute(select(Project.id).where(Project.id == project.id).with_for_update(key_share=True))
    last = db.scalar(select(func.max(RubricVersion.number)).where(RubricVersion.project_id == project.id))
    version = RubricVersion(
        project_id=project.id, number=(last or 0) + 1, criteria=rubric.as_json(), published_at=clock.now()
    )
    db.add(version)
    db.flush()  # gives the version its id
    project.rubric_version_id = version.id
    audit.record(db, by, "rubric_published", version, project, number=version.number)
    return version


def rubric_of(db: Session, item: Item) -> Rubric:
    """Return what is asked of this item, by the rubric in use when it was made."""
    asked = (item.rubric_version_id, item.kind, _response_count(item))
    rubric = _asked_before.get(asked)
    if rubric is None:
        whole = rubric_of_version(db.get_one(RubricVersion, item.rubric_version_id))
        if len(_asked_before) >= MAX_ASKED_BEFORE:
            _asked_before.clear()
        rubric = _asked_before[asked] = whole.asked_about(item.kind, _response_count(item))
    return rubric


# What is asked of an item, by its rubric version, its kind and how many responses it compares. A version that items
# have is published and never changes, so every request of this process may know it.
_asked_before: dict[tuple[UUID, str, int], Rubric] = {}
MAX_ASKED_BEFORE = 1000


def _response_count(item: Item) -> int:
    return len(item.targets) if item.kind == "comparison" else 1


def rubric_in_use(db: Session, project: Project) -> Rubric:
    """Return the rubric that new items get. Raises NotFound where none was published."""
    version = db.get(RubricVersion, project.rubric_version_id) if project.rubric_version_id else None
    if version is None:
        raise NotFound("This project has no rubric yet. Publish one first.")
    return rubric_of_version(version)


def rubric_of_version(version: RubricVersion) -> Rubric:
    """Return a stored version's criteria, typed."""
    return _parsed(orjson.dumps(version.criteria))


@lru_cache(maxsize=256)
def _parsed(criteria: bytes) -> Rubric:
    return Rubric(criteria=orjson.loads(criteria))
