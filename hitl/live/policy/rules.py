"""The rules of a policy: written, checked, changed, switched off and on. Each change is a new version."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.accounts.names import clean_name
from hitl.capture.facts import ensure_usable, expression_over_facts
from hitl.core import clock
from hitl.core.errors import NotFound
from hitl.core.expressions import Expression
from hitl.core.ids import first_id_at
from hitl.live.policy.errors import ChangedMeanwhile, PolicyNameTaken, SafeReplyMissing
from hitl.live.policy.models import PolicyDecision, PolicyRule, PolicyRuleVersion

MAX_DEADLINE_SECONDS = 24 * 60 * 60
MAX_REPLY_CHARACTERS = 4_000
MAX_HOLD_OUT = 0.9


class PolicyTerms(BaseModel):
    """What a rule of a policy says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["hold", "alert"] = "hold"
    expression: str = Field(min_length=1, description="When: in Common Expression Language, over the names of /names")
    hold_out: float = Field(
        0.0, ge=0, le=MAX_HOLD_OUT, description="Share of what fits that is not held, by chance, to measure the effect"
    )
    deadline_seconds: int = Field(120, ge=1, le=MAX_DEADLINE_SECONDS, description="How long a draft waits for a person")
    when_nobody: Literal["send", "safe_reply", "refuse"] = Field(
        "safe_reply", description="What happens at the deadline: the draft is sent, the safe reply is, or neither"
    )
    safe_reply: str | None = Field(None, max_length=MAX_REPLY_CHARACTERS, description="What is said then instead")

    @model_validator(mode="after")
    def _only_holds_hold_out(self) -> "PolicyTerms":
        if self.action == "alert" and self.hold_out:
            raise ValueError("an alert has no hold_out: it holds nothing")
        return self


def terms_of(version: PolicyRuleVersion) -> PolicyTerms:
    """Return what a version of a rule says."""
    return PolicyTerms.model_validate({name: getattr(version, name) for name in PolicyTerms.model_fields})


def create_rule(db: Session, project: Project, name: str, terms: PolicyTerms, by: User | None = None) -> PolicyRule:
    """Write down a new rule, switched on.

    Raises NameUnacceptable, PolicyNameTaken, ExpressionUnacceptable, SafeReplyMissing.
    """
    _check(terms)
    rule = PolicyRule(project_id=project.id, name=clean_name(name))
    try:
        with db.begin_nested():
            db.add(rule)
    except IntegrityError as error:
        raise PolicyNameTaken(param="/name") from error
    _add_version(db, rule, terms, by)
    audit.record(db, by, "policy_rule_created", rule, project, says=_told(terms))
    return rule


def change_rule(
    db: Session, rule: PolicyRule, terms: PolicyTerms, by: User | None = None, *, seen: int | None = None
) -> PolicyRuleVersion:
    """Let a rule say something else from the next draft on.

    seen: the version that the person had before them; none: whatever it says now is replaced.
    Raises ChangedMeanwhile, ExpressionUnacceptable, SafeReplyMissing.
    """
    _lock(db, rule)
    if seen is not None and seen != rule.version:
        raise ChangedMeanwhile
    newest = version_of(db, rule)
    if terms_of(newest) == terms:
        return newest
    _check(terms)
    rule.version += 1
    rule.overruns, rule.fault, rule.fault_at = 0, None, None
    version = _add_version(db, rule, terms, by)
    audit.record(db, by, "policy_rule_changed", rule, db.get_one(Project, rule.project_id), says=_told(terms))
    return version


def switch(db: Session, rule: PolicyRule, *, on: bool, by: User | None = None) -> None:
    """Let a rule count, or not, from the next draft on."""
    _lock(db, rule)
    if rule.is_on == on:
        return
    rule.is_on, rule.why_off = on, None if on else "by_hand"
    if on:
        rule.overruns = 0
    project = db.get_one(Project, rule.project_id)
    audit.record(db, by, f"policy_rule_switched_{'on' if on else 'off'}", rule, project)


def rules_of(project: Project) -> Select[PolicyRule]:
    """The rules of a project's policy, by name."""
    return select(PolicyRule).where(PolicyRule.project_id == project.id).order_by(PolicyRule.name, PolicyRule.id)


def rules_with_versions(project_id: UUID) -> Select[PolicyRule, PolicyRuleVersion]:
    """The rules of a project's policy with what they say now, in the order in which they were written."""
    newest = (PolicyRuleVersion.rule_id == PolicyRule.id) & (PolicyRuleVersion.number == PolicyRule.version)
    both = select(PolicyRule, PolicyRuleVersion).join(PolicyRuleVersion, newest)
    return both.where(PolicyRule.project_id == project_id).order_by(PolicyRule.id)


def outcomes_of(project_id: UUID, since: datetime) -> Select[UUID, str, int]:
    """How often each outcome came of each rule since a moment: rule id, outcome, count."""
    counted = (
        select(PolicyRuleVersion.rule_id, PolicyDecision.outcome, func.count())
        .join(PolicyRuleVersion, PolicyRuleVersion.id == PolicyDecision.rule_version_id)
        .where(PolicyDecision.project_id == project_id, PolicyDecision.id >= first_id_at(since))
    )
    return counted.group_by(PolicyRuleVersion.rule_id, PolicyDecision.outcome)


def rule_of_project(db: Session, rule_id: UUID, project: Project) -> PolicyRule:
    """Return a rule. Raises NotFound if it is not of this project."""
    rule = db.get(PolicyRule, rule_id)
    if rule is None or rule.project_id != project.id:
        raise NotFound
    return rule


def version_of(db: Session, rule: PolicyRule) -> PolicyRuleVersion:
    """Return what a rule says now."""
    versions = select(PolicyRuleVersion).where(PolicyRuleVersion.rule_id == rule.id)
    return db.scalars(versions.where(PolicyRuleVersion.number == rule.version)).one()


def expression_of(terms: PolicyTerms | PolicyRuleVersion) -> Expression:
    """Return when a rule fits. Raises ExpressionUnacceptable."""
    return expression_over_facts(terms.expression)


def _check(terms: PolicyTerms) -> None:
    ensure_usable(terms.expression)
    if terms.action == "hold" and terms.when_nobody == "safe_reply" and not (terms.safe_reply or "").strip():
        raise SafeReplyMissing(param="/safe_reply")


def _add_version(db: Session, rule: PolicyRule, terms: PolicyTerms, by: User | None) -> PolicyRuleVersion:
    version = PolicyRuleVersion(
        rule_id=rule.id,
        number=rule.version,
        made_by_id=None if by is None else by.id,
        created_at=clock.now(),
        **terms.model_dump(),
    )
    db.add(version)
    db.flush()
    return version


def _lock(db: Session, rule: PolicyRule) -> None:
    db.refresh(rule, with_for_update={"key_share": True})


def _told(terms: PolicyTerms) -> dict[str, object]:
    """What the audit says of a rule; the safe reply is long, and in the version."""
    return terms.model_dump(mode="json", exclude={"safe_reply"})
