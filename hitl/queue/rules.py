"""Rules: which responses are reviewed, and how likely each was to be.

A response is eligible for a rule if the rule's condition fits it. Of the eligible ones a fixed share is drawn, each by
a keyed hash of the rule and the response: whoever does not know the key cannot foresee the draw, the same response
always draws the same number, and draws of different rules are independent. Eligibility is kept whether drawn or not,
so that figures about production can be estimated from what was reviewed.

A rule that compares draws inputs instead, by their hash: see hitl/queue/input_drawing.py.
"""

import hmac
import math
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, model_validator
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.accounts.names import clean_name
from hitl.capture.facts import ensure_usable, expression_over_facts
from hitl.capture.models import Feedback
from hitl.core import clock, jobs
from hitl.core.errors import NotFound
from hitl.core.expressions import MAX_BYTES
from hitl.queue.errors import RuleEnded, RuleNameTaken
from hitl.queue.items import ensure_reviewable
from hitl.queue.models import MAX_COMPARED, Rule, RuleVersion

MAX_REVIEWS_WANTED = 100
DRAW_FROM_EARLIER = "queue.draw_from_earlier"  # the job that lets a new rule look back
MAX_PRIORITY_DAYS = 365


class AllCondition(BaseModel):
    """Fits every response."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["all"] = "all"


class ModelCondition(BaseModel):
    """Fits what one model wrote, in one version or in all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["model"] = "model"
    name: str = Field(min_length=1, max_length=255)
    version: str | None = Field(None, min_length=1, max_length=255)


class FeedbackCondition(BaseModel):
    """Fits what end users said something about: the response, or its whole conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["feedback"] = "feedback"
    feedback_kind: str | None = Field(None, min_length=1, max_length=255, description="such as thumbs; any if left out")
    negative_only: bool = False
    value: bool | FiniteFloat | str | None = Field(None, description="only this value; any if left out")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "FeedbackCondition":
        if self.negative_only and self.value is not None:
            raise ValueError("give a value or ask for complaints, not both")
        return self

    def fits(self, feedback: Feedback) -> bool:
        """Whether this piece of feedback makes its response eligible."""
        if self.feedback_kind is not None and feedback.kind != self.feedback_kind:
            return False
        if self.negative_only:
            return feedback.is_negative is True
        # In Python True == 1, in feedback a thumb is no number of stars.
        is_same_type = isinstance(self.value, bool) == isinstance(feedback.value, bool)
        return self.value is None or (is_same_type and bool(feedback.value == self.value))


class ExpressionCondition(BaseModel):
    """Fits what an expression says yes to. It is checked when a rule is made or changed, not each time it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["expression"] = "expression"
    expression: str = Field(
        min_length=1, max_length=MAX_BYTES, description="in Common Expression Language, as the policy's rules"
    )


AnyCondition: TypeAlias = AllCondition | ModelCondition | FeedbackCondition | ExpressionCondition
Condition = Annotated[AnyCondition, Field(discriminator="kind")]
_conditions: TypeAdapter[AnyCondition] = TypeAdapter(Condition)


def hears_feedback(condition: AnyCondition) -> bool:
    """Whether what end users say may make a response fit."""
    if isinstance(condition, ExpressionCondition):
        return "feedback" in expression_over_facts(condition.expression).names
    return isinstance(condition, FeedbackCondition)


class Comparing(BaseModel):
    """How many responses to one input are compared: as soon as there are so many, and at most so many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_least: int = Field(2, ge=2, le=MAX_COMPARED, description="different answers that an input must have")
    at_most: int = Field(MAX_COMPARED, ge=2, le=MAX_COMPARED, description="of them that are compared")

    @model_validator(mode="after")
    def _rise(self) -> "Comparing":
        if self.at_least > self.at_most:
            raise ValueError("at_least is more than at_most")
        return self


class Terms(BaseModel):
    """What a rule says: whom it fits, which share of those is drawn, how many reviews each gets and how soon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    condition: Condition = AllCondition()
    compare: Comparing | None = Field(
        None,
        description="Draw inputs instead of responses, those that a fitting response answers, and compare the "
        "different answers that different models or versions gave; each input draws once",
    )
    rate: float = Field(gt=0, le=1, description="share of the fitting responses, or inputs, that is drawn")
    priority: int = Field(0, ge=-MAX_PRIORITY_DAYS, le=MAX_PRIORITY_DAYS, description="each step counts like a day")
    reviews_wanted: int = Field(1, ge=1, le=MAX_REVIEWS_WANTED)


def terms_of(version: RuleVersion) -> Terms:
    """Return what a version of a rule says."""
    return Terms(
        condition=condition_of(version),
        compare=comparing_of(version),
        rate=version.rate,
        priority=version.priority,
        reviews_wanted=version.reviews_wanted,
    )


def condition_of(version: RuleVersion) -> AnyCondition:
    """Return whom a version of a rule fits."""
    return _conditions.validate_python(version.condition)


def comparing_of(version: RuleVersion) -> Comparing | None:
    """Return how many responses a version of a rule compares; None if it is about single ones."""
    return None if version.compare is None else Comparing.model_validate(version.compare)


def create_rule(
    db: Session, project: Project, name: str, terms: Terms, by: User | None = None, *, include_earlier: bool = False
) -> Rule:
    """Switch on a new rule; it applies to what is captured from now on.

    include_earlier: it also draws, by a job, from what was captured before.
    Raises NameUnacceptable, RuleNameTaken, ExpressionUnacceptable; NoRubric and what review says where nothing
    compares so many responses.
    """
    ensure_usable_terms(terms)
    _ensure_comparable(db, project, terms)
    rule = Rule(project_id=project.id, name=clean_name(name), created_at=clock.now())
    try:
        with db.begin_nested():
            db.add(rule)
    except IntegrityError as error:
        raise RuleNameTaken(param="/name") from error
    _add_version(db, rule, 1, terms)
    if include_earlier:
        jobs.enqueue(db, DRAW_FROM_EARLIER, {"rule_id": str(rule.id)})
    details = {**terms.model_dump(mode="json"), "include_earlier": include_earlier}
    audit.record(db, by, "rule_created", rule, project, **details)
    return rule


def change_rule(db: Session, rule: Rule, terms: Terms, by: User | None = None) -> RuleVersion:
    """Let a rule say something else from now on; what it drew stays. Raises RuleEnded, and as `create_rule` does."""
    newest = _lock(db, rule)
    if terms_of(newest) == terms:
        return newest
    project = db.get_one(Project, rule.project_id)
    ensure_usable_terms(terms)
    _ensure_comparable(db, project, terms)
    version = _add_version(db, rule, newest.number + 1, terms)
    rule.overruns = 0
    audit.record(db, by, "rule_changed", rule, project, **terms.model_dump(mode="json"))
    return version


def end_rule(db: Session, rule: Rule, by: User | None = None) -> None:
    """Switch a rule off; what it drew stays. Raises RuleEnded."""
    _lock(db, rule)
    rule.ended_at = clock.now()
    audit.record(db, by, "rule_ended", rule, db.get_one(Project, rule.project_id))
    db.flush()


def rule_of_project(db: Session, rule_id: UUID, project: Project) -> Rule:
    """Return a rule. Raises NotFound if it is not of this project."""
    rule = db.get(Rule, rule_id)
    if rule is None or rule.project_id != project.id:
        raise NotFound
    return rule


def newest_version(db: Session, rule: Rule) -> RuleVersion:
    """Return what a rule says now."""
    versions = select(RuleVersion).where(RuleVersion.rule_id == rule.id).order_by(RuleVersion.number.desc())
    return db.scalars(versions.limit(1)).one()


def _lock(db: Session, rule: Rule) -> RuleVersion:
    db.refresh(rule, with_for_update={"key_share": True})
    if rule.ended_at is not None:
        raise RuleEnded
    return newest_version(db, rule)


def _add_version(db: Session, rule: Rule, number: int, terms: Terms) -> RuleVersion:
    version = RuleVersion(
        rule_id=rule.id,
        number=number,
        condition=terms.condition.model_dump(mode="json", exclude_none=True),
        compare=None if terms.compare is None else terms.compare.model_dump(),
        rate=terms.rate,
        priority=terms.priority,
        reviews_wanted=terms.reviews_wanted,
        created_at=clock.now(),
    )
    db.add(version)
    db.flush()
    return version


def ensure_usable_terms(terms: Terms) -> None:
    """Raise ExpressionUnacceptable when a rule's expression cannot be used."""
    if isinstance(terms.condition, ExpressionCondition):
        ensure_usable(terms.condition.expression, param="/condition/expression")


def _ensure_comparable(db: Session, project: Project, terms: Terms) -> None:
    if terms.compare is not None:
        for response_count in {terms.compare.at_least, terms.compare.at_most}:
            ensure_reviewable(db, project, "comparison", response_count)


def draw(key: bytes, rule_id: UUID, name: str) -> float:
    """Return the number that a response or an input draws for a rule: uniform in [0, 1), and always the same.

    key: the instance's sampling key.
    name: the client's own id of the response, so that a second import draws alike, our id if it has none; or the hash
        of the input.
    """
    digest = hmac.digest(key, rule_id.bytes + name.encode(), "sha256")
    return (int.from_bytes(digest[:8]) >> 11) / 2**53  # 53 bits: as many as a float keeps exactly


def inclusion_probability(rates: Iterable[float]) -> float:
    """Return how likely a response was to be drawn by at least one of the rules that it was eligible for.

    rates: of those rules, each from 0 to 1; their draws are independent.
    Returns 0 without rules: whatever brought it here, it was not chance.
    """
    return 1 - math.prod(1 - rate for rate in rates)
