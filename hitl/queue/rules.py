"""Rules: which responses are reviewed, and how likely each was to be.

A response is eligible for a rule if the rule's condition fits it. Of the eligible ones a fixed share is drawn, each by
a keyed hash of the rule and the response: whoever does not know the key cannot foresee the draw, the same response
always draws the same number, and draws of different rules are independent. Eligibility is kept whether drawn or not,
so that figures about production can be estimated from what was reviewed.
"""

import hmac
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, model_validator
from sqlalchemy import insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.accounts.names import clean_name
from hitl.capture.models import Feedback, Response
from hitl.core import clock, jobs
from hitl.core.errors import NotFound
from hitl.core.ids import new_id
from hitl.core.secrets import keys_of
from hitl.queue.errors import RuleEnded, RuleNameTaken
from hitl.queue.items import Wish, add_items
from hitl.queue.models import Rule, RuleVersion, Selection
from hitl.queue.queries import running_rules

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


Condition = Annotated[AllCondition | ModelCondition | FeedbackCondition, Field(discriminator="kind")]
_conditions: TypeAdapter[AllCondition | ModelCondition | FeedbackCondition] = TypeAdapter(Condition)


class Terms(BaseModel):
    """What a rule says: whom it fits, which share of those is drawn, how many reviews each gets and how soon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    condition: Condition = AllCondition()
    rate: float = Field(gt=0, le=1, description="share of the fitting responses that is drawn")
    priority: int = Field(0, ge=-MAX_PRIORITY_DAYS, le=MAX_PRIORITY_DAYS, description="each step counts like a day")
    reviews_wanted: int = Field(1, ge=1, le=MAX_REVIEWS_WANTED)


def terms_of(version: RuleVersion) -> Terms:
    """Return what a version of a rule says."""
    return Terms(
        condition=condition_of(version),
        rate=version.rate,
        priority=version.priority,
        reviews_wanted=version.reviews_wanted,
    )


def condition_of(version: RuleVersion) -> AllCondition | ModelCondition | FeedbackCondition:
    """Return whom a version of a rule fits."""
    return _conditions.validate_python(version.condition)


def create_rule(
    db: Session, project: Project, name: str, terms: Terms, by: User | None = None, *, include_earlier: bool = False
) -> Rule:
    """Switch on a new rule; it applies to what is captured from now on.

    include_earlier: it also draws, by a job, from what was captured before.
    Raises NameUnacceptable, RuleNameTaken.
    """
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
    """Let a rule say something else from now on; what it drew stays. Raises RuleEnded."""
    newest = _lock(db, rule)
    if terms_of(newest) == terms:
        return newest
    version = _add_version(db, rule, newest.number + 1, terms)
    project = db.get_one(Project, rule.project_id)
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
        rate=terms.rate,
        priority=terms.priority,
        reviews_wanted=terms.reviews_wanted,
        created_at=clock.now(),
    )
    db.add(version)
    db.flush()
    return version


def apply_rules(db: Session, project: Project, response_ids: Collection[UUID]) -> int:
    """See which rules these new responses are eligible for, draw, and put what was drawn into the queue.

    A response draws once for each rule, so this is safe to repeat. Returns how many responses were drawn.
    """
    return _apply(db, project, db.execute(running_rules(project.id)).all(), response_ids)


def apply_feedback_rules(db: Session, project: Project, response_ids: Collection[UUID]) -> int:
    """Do the same for responses that got feedback, new or old, with the rules that are about feedback.

    The other rules drew when the response came in. One that is younger must not draw now: of the older responses it
    would get only those that somebody said something about, and its sample would no longer be one of all.
    """
    rules = db.execute(running_rules(project.id)).all()
    about_feedback = [(rule, version) for rule, version in rules if condition_of(version).kind == "feedback"]
    return _apply(db, project, about_feedback, response_ids)


def apply_rule(db: Session, project: Project, rule: Rule, response_ids: Collection[UUID]) -> int:
    """Do the same for responses that came in before a rule, with that rule alone; nothing once it is switched off."""
    rules = db.execute(running_rules(project.id)).all()
    return _apply(db, project, [(each, version) for each, version in rules if each.id == rule.id], response_ids)


def _apply(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> int:
    if not rules or not response_ids:
        return 0
    eligible = _newly_eligible(db, project, rules, response_ids)
    if eligible:
        db.execute(insert(Selection), eligible)
    wishes = _wishes({version.id: version for _, version in rules}, eligible)
    if wishes:
        add_items(db, project, wishes)
    return len(wishes)


def _newly_eligible(
    db: Session, project: Project, rules: Sequence[tuple[Rule, RuleVersion]], response_ids: Collection[UUID]
) -> list[dict[str, Any]]:
    responses = (
        select(Response.id, Response.client_id, Response.model, Response.model_version, Response.conversation_id)
        .where(Response.id.in_(response_ids), Response.project_id == project.id)
        .order_by(Response.id)
        # Two applications to one response follow one another, so that it draws once for each rule.
        .with_for_update(key_share=True)
    )
    rows = db.execute(responses).all()
    ids = [row.id for row in rows]
    known = {
        (response_id, rule_id)
        for response_id, rule_id in db.execute(
            select(Selection.response_id, Selection.rule_id).where(Selection.response_id.in_(ids))
        )
    }
    conditions = [(rule, version, condition_of(version)) for rule, version in rules]
    feedback = _feedback_about(db, rows) if any(c.kind == "feedback" for _, _, c in conditions) else {}
    return [
        _selection(db, rule, version, row)
        for row in rows
        for rule, version, condition in conditions
        if (row.id, rule.id) not in known and _fits(condition, row, feedback.get(row.id, ()))
    ]


def _feedback_about(db: Session, responses: Sequence[Any]) -> dict[UUID, list[Feedback]]:
    conversations = {row.conversation_id for row in responses if row.conversation_id is not None}
    about = or_(Feedback.response_id.in_([row.id for row in responses]), Feedback.conversation_id.in_(conversations))
    given: dict[UUID | None, list[Feedback]] = defaultdict(list)
    for feedback in db.scalars(select(Feedback).where(about)):
        given[feedback.response_id or feedback.conversation_id].append(feedback)
    return {row.id: given[row.id] + (given[row.conversation_id] if row.conversation_id else []) for row in responses}


def _fits(
    condition: AllCondition | ModelCondition | FeedbackCondition, response: Any, feedback: Iterable[Feedback]
) -> bool:
    if isinstance(condition, ModelCondition):
        return response.model == condition.name and condition.version in (None, response.model_version)
    if isinstance(condition, FeedbackCondition):
        return any(map(condition.fits, feedback))
    return True


def _selection(db: Session, rule: Rule, version: RuleVersion, response: Any) -> dict[str, Any]:
    drawn = draw(keys_of(db).sampling, rule.id, response.client_id or str(response.id))
    return {
        "id": new_id(),
        "response_id": response.id,
        "rule_id": rule.id,
        "rule_version_id": version.id,
        "rate": version.rate,
        "is_drawn": drawn < version.rate,
        "at": clock.now(),
    }


def _wishes(versions: dict[UUID, RuleVersion], eligible: Sequence[dict[str, Any]]) -> dict[UUID, Wish]:
    wishes: dict[UUID, Wish] = {}
    for selection in eligible:
        if selection["is_drawn"]:
            version = versions[selection["rule_version_id"]]
            wish = Wish(version.reviews_wanted, version.priority)
            response_id = selection["response_id"]
            wishes[response_id] = wishes[response_id].joined_with(wish) if response_id in wishes else wish
    return wishes


def draw(key: bytes, rule_id: UUID, response_name: str) -> float:
    """Return the number that a response draws for a rule: uniform in [0, 1), and always the same.

    key: the instance's sampling key.
    response_name: the client's own id of the response, so that a second import draws alike; our id if it has none.
    """
    digest = hmac.digest(key, rule_id.bytes + response_name.encode(), "sha256")
    return (int.from_bytes(digest[:8]) >> 11) / 2**53  # 53 bits: as many as a float keeps exactly


def inclusion_probability(rates: Iterable[float]) -> float:
    """Return how likely a response was to be drawn by at least one of the rules that it was eligible for.

    rates: of those rules, each from 0 to 1; their draws are independent.
    Returns 0 without rules: whatever brought it here, it was not chance.
    """
    return 1 - math.prod(1 - rate for rate in rates)
