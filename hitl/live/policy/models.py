"""Tables: the rules of a policy, in versions, and what they said of each draft."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.accounts.models import User
from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.ids import Id
from hitl.live.models import WHEN_NOBODY_COMES

ACTIONS = ("hold", "alert")
WHY_OFF = ("by_hand", "too_slow")
OUTCOMES = (
    "held",
    "held_out",  # it fits and was let pass by chance, so that the effect of holding can be measured
    "alerted",
    "silenced",  # it fits, and this conversation had an alert of the rule a moment ago
)


class PolicyRule(Base):
    """One rule of a project's policy: when to hold, or when to alert. What it says is in its versions."""

    __tablename__ = "policy_rules"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        one_of("why_off", WHY_OFF),
        CheckConstraint("is_on = (why_off IS NULL)", name="off_for_a_reason"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)  # number of the one that counts
    is_on: Mapped[bool] = mapped_column(default=True)
    why_off: Mapped[str | None]
    overruns: Mapped[int] = mapped_column(default=0)  # of this version: how often it took too long
    fault: Mapped[str | None]  # why it could not be worked out the last time it could not
    fault_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    versions: Mapped[list["PolicyRuleVersion"]] = relationship(
        order_by="PolicyRuleVersion.number", back_populates="rule"
    )


class PolicyRuleVersion(Base):
    """What a rule says from some moment on. Never changed."""

    __tablename__ = "policy_rule_versions"
    __table_args__ = (
        UniqueConstraint("rule_id", "number"),
        one_of("action", ACTIONS),
        one_of("when_nobody", WHEN_NOBODY_COMES),
        CheckConstraint("hold_out >= 0 AND hold_out < 1", name="hold_out"),
        CheckConstraint("deadline_seconds > 0", name="deadline_seconds"),
    )

    id: Mapped[Id]
    rule_id: Mapped[UUID] = mapped_column(ForeignKey("policy_rules.id", ondelete="CASCADE"))
    number: Mapped[int]
    action: Mapped[str]
    expression: Mapped[str]  # hitl/core/expressions.py, over the names of hitl/capture/facts.py
    hold_out: Mapped[float]  # share of what fits that is let pass by chance; of an alert 0
    deadline_seconds: Mapped[int]
    when_nobody: Mapped[str]
    safe_reply: Mapped[str | None]
    made_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    rule: Mapped[PolicyRule] = relationship(back_populates="versions")
    made_by: Mapped[User | None] = relationship()


class PolicyDecision(Base):
    """That a rule fitted a draft, and what came of it. Drafts that no rule fitted have none."""

    __tablename__ = "live_decisions"
    __table_args__ = (
        one_of("outcome", OUTCOMES),
        Index("ix_live_decisions_project_id_id", "project_id", "id"),
        Index("ix_live_decisions_rule_version_id_id", "rule_version_id", "id"),
        Index(
            "ix_live_decisions_conversation_id_id",
            "conversation_id",
            "id",
            **partial_index_where(text("conversation_id IS NOT NULL")),
        ),
        Index("ix_live_decisions_draft_id", "draft_id", **partial_index_where(text("draft_id IS NOT NULL"))),
        Index("ix_live_decisions_response_id", "response_id", **partial_index_where(text("response_id IS NOT NULL"))),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    rule_version_id: Mapped[UUID] = mapped_column(ForeignKey("policy_rule_versions.id"))
    conversation_id: Mapped[UUID | None] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    draft_id: Mapped[UUID | None] = mapped_column(ForeignKey("live_drafts.id", ondelete="CASCADE"))
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"))
    outcome: Mapped[str]
    reasons: Mapped[list[str]] = mapped_column(JSON)  # as sentences
    decided_at: Mapped[datetime] = mapped_column(default=clock.now)

    rule_version: Mapped[PolicyRuleVersion] = relationship()
