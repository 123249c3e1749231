"""What the policy says of a draft: it goes out or waits for a person, and who is told.

The rules are read with one query a draft; what they say was compiled when it was first used by this process. A rule
that cannot be worked out (a key that is not there, a text compared with a number) does not fit: it holds nothing, and
its page says so. One that takes too long three times is switched off, because nothing can interrupt it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project
from hitl.capture.facts import Facts, signal_names
from hitl.capture.models import Feedback, Response
from hitl.core import clock
from hitl.core.errors import Invalid
from hitl.core.expressions import Expression
from hitl.core.secrets import keys_of
from hitl.live import needs
from hitl.live.holding import WhenNobody
from hitl.live.log import append
from hitl.live.models import Draft, LiveConversation
from hitl.live.policy.models import PolicyDecision, PolicyRule, PolicyRuleVersion
from hitl.live.policy.rules import expression_of, rules_with_versions
from hitl.queue.rules import draw

log = structlog.get_logger()

MAX_OVERRUNS = 3
QUIET_AFTER_ALERT = timedelta(minutes=10)  # in which a rule does not alert again in the same conversation
NOTE_FAULTS_EVERY = timedelta(minutes=1)  # a rule that fails at each draft must not write at each draft
_STRICTEST_FIRST = ("refuse", "safe_reply", "send")


@dataclass
class DraftFacts:
    """A draft, and what is known about it. It reads like a captured response.

    key: names the draft, so that it draws the same however often it is asked about: its client id, or its own id.
    input: what the model saw: messages, the oldest first, and tools. details: the metadata of the response.
    mean_logprob: of the tokens of its text, where the model told them.
    talk: its conversation, locked, where it has turns: alerts are written into its log.
    """

    key: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    model: str | None = None
    model_version: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    context: Sequence[Mapping[str, Any]] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    mean_logprob: float | None = None
    conversation_id: UUID | None = None
    talk: LiveConversation | None = None
    draft: Draft | None = None
    response_id: UUID | None = None

    @classmethod
    def of_response(
        cls, response: Response, *, talk: LiveConversation | None = None, draft: Draft | None = None
    ) -> "DraftFacts":
        """Return the facts of a draft that was captured. What it says is the draft's: in what was captured placeholders
        may stand for what it would tell the user."""
        copied = ("input", "model", "model_version", "prompt_name", "prompt_version", "context", "signals")
        return cls(
            key=response.client_id or str(response.id),
            **{name: getattr(response, name) for name in copied},
            output=response.output if draft is None else draft.output,
            details=response.details,
            conversation_id=response.conversation_id,
            talk=talk,
            draft=draft,
            response_id=response.id,
        )


@dataclass
class Decision:
    """What becomes of a draft.

    reasons: why it is held, as sentences. alerts: what supervisors are told, as sentences.
    is_held_out: it should have been held, and is let pass by chance.
    deadline_seconds, when_nobody, safe_reply: as `hold_draft` takes them; of several rules that hold, the shortest
        time and the most careful end.
    """

    action: Literal["send", "hold"] = "send"
    reasons: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    is_held_out: bool = False
    deadline_seconds: int = 0
    when_nobody: WhenNobody = "send"
    safe_reply: str | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """What `hold_draft` wants to know besides the reasons."""
        return {
            "deadline_seconds": self.deadline_seconds,
            "when_nobody": self.when_nobody,
            "safe_reply": self.safe_reply,
        }


def decide(db: Session, project: Project, draft: DraftFacts) -> Decision:
    """Return what the project's policy says of a draft, and keep for each rule that fits what came of it."""
    rules = db.execute(rules_with_versions(project.id).where(PolicyRule.is_on)).all()
    decision = Decision()
    if not rules:
        return decision
    facts = Facts(draft, lambda: _feedback(db, draft), mean_logprob=draft.mean_logprob)
    holding: list[PolicyRuleVersion] = []
    for rule, version in rules:
        reasons = _reasons(db, project, rule, version, facts)
        if reasons is None:
            continue
        outcome = _outcome(db, rule, version, draft)
        if outcome == "held":
            holding.append(version)
            decision.reasons += reasons
        elif outcome == "held_out":
            decision.is_held_out = True
        elif outcome == "alerted":
            decision.alerts += reasons
            _tell(db, rule, draft, reasons)
        _keep(db, project, version, draft, outcome, reasons)
    if holding:
        _hold(decision, holding)
    return decision


def reasons_of(rule_name: str, expression: Expression, facts: Facts) -> list[str]:
    """Return why a rule that fits does, as sentences: what its signals say, else the name that people gave it."""
    return facts.reasons(signal_names(expression.members)) or [f"The rule “{rule_name}” fits."]


def _reasons(
    db: Session, project: Project, rule: PolicyRule, version: PolicyRuleVersion, facts: Facts
) -> list[str] | None:
    try:
        expression = expression_of(version)
    except Invalid as error:  # written for an older release, whose names were others
        _note_fault(db, rule, error.message)
        return None
    outcome = expression.about(facts.values)
    if outcome.is_overrun:
        _count_overrun(db, project, rule)
    if outcome.fault is not None and not outcome.is_missing:
        _note_fault(db, rule, outcome.fault)
    return reasons_of(rule.name, expression, facts) if outcome.fits else None


def _outcome(db: Session, rule: PolicyRule, version: PolicyRuleVersion, draft: DraftFacts) -> str:
    if version.action == "alert":
        return "silenced" if _has_alerted(db, rule, draft) else "alerted"
    is_held_out = draw(keys_of(db).sampling, rule.id, draft.key) < version.hold_out
    return "held_out" if is_held_out else "held"


def _hold(decision: Decision, holding: Iterable[PolicyRuleVersion]) -> None:
    """Of several rules the shortest time counts, and the most careful end; who was held is not held out."""
    versions = sorted(holding, key=lambda version: _STRICTEST_FIRST.index(version.when_nobody))
    decision.action, decision.is_held_out = "hold", False
    decision.deadline_seconds = min(version.deadline_seconds for version in versions)
    decision.when_nobody = versions[0].when_nobody  # type: ignore[assignment]
    decision.safe_reply = versions[0].safe_reply if decision.when_nobody == "safe_reply" else None


def _feedback(db: Session, draft: DraftFacts) -> Sequence[Feedback]:
    conversation_id = draft.conversation_id if draft.talk is None else draft.talk.id
    about = [Feedback.response_id == draft.response_id] if draft.response_id else []
    if conversation_id is not None:
        about.append(Feedback.conversation_id == conversation_id)
    return db.scalars(select(Feedback).where(or_(*about))).all() if about else ()


def _has_alerted(db: Session, rule: PolicyRule, draft: DraftFacts) -> bool:
    if draft.talk is None:
        return False
    earlier = (
        select(PolicyDecision.id)
        .join(PolicyRuleVersion, PolicyRuleVersion.id == PolicyDecision.rule_version_id)
        .where(
            PolicyDecision.conversation_id == draft.talk.id,
            PolicyRuleVersion.rule_id == rule.id,
            PolicyDecision.outcome == "alerted",
            PolicyDecision.decided_at > clock.now() - QUIET_AFTER_ALERT,
        )
    )
    return db.scalar(earlier.limit(1)) is not None


def _tell(db: Session, rule: PolicyRule, draft: DraftFacts, reasons: list[str]) -> None:
    if draft.talk is None:
        return
    needs.add(draft.talk, "alert", reasons[0])
    append(db, draft.talk, "alert", draft=draft.draft, content={"rule": rule.name, "reasons": reasons})


def _keep(
    db: Session, project: Project, version: PolicyRuleVersion, draft: DraftFacts, outcome: str, reasons: list[str]
) -> None:
    db.add(
        PolicyDecision(
            project_id=project.id,
            rule_version_id=version.id,
            conversation_id=draft.conversation_id if draft.talk is None else draft.talk.id,
            draft_id=None if draft.draft is None else draft.draft.id,
            response_id=draft.response_id,
            outcome=outcome,
            reasons=reasons,
            decided_at=clock.now(),
        )
    )
    db.flush()


def _count_overrun(db: Session, project: Project, rule: PolicyRule) -> None:
    counted = update(PolicyRule).where(PolicyRule.id == rule.id).values(overruns=PolicyRule.overruns + 1)
    overruns = db.scalar(counted.returning(PolicyRule.overruns))
    log.warning("policy_rule_overran", rule=str(rule.id), overruns=overruns)
    db.refresh(rule)
    if rule.overruns >= MAX_OVERRUNS and rule.is_on:
        rule.is_on, rule.why_off = False, "too_slow"
        db.flush()
        audit.record(db, None, "policy_rule_switched_off", rule, project, why="too_slow")


def _note_fault(db: Session, rule: PolicyRule, fault: str) -> None:
    now = clock.now()
    if rule.fault == fault and rule.fault_at is not None and rule.fault_at > now - NOTE_FAULTS_EVERY:
        return
    rule.fault, rule.fault_at = fault, now
    db.flush()
