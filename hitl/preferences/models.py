"""Tables: what people's decisions teach. Rows never change; those of a revision that no longer counts are not read.

A row of each table belongs to a revision, and counts while that revision is its review's `counting_revision_id`; or to
an intervention in a live conversation, and then it counts always, for what was sent was sent. Only an end user's
verdict belongs to neither: it changes with their thumb.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from hitl.core import clock
from hitl.core.database import Base, one_of
from hitl.core.feeds import FeedNumber
from hitl.core.ids import Id

OUTCOMES = ("a", "b", "tie", "both_bad")
EVIDENCE_ORIGINS = ("correction", "ranking", "scale", "intervention")
VERDICT_ORIGINS = ("reviewer", "end_user")
DEMONSTRATION_ORIGINS = ("correction", "approval", "intervention")


class Evidence(Base):
    """One judgement that of two answers to the same input one is better, and where it came from.

    Each side is a response, or a text that a person wrote.
    """

    __tablename__ = "evidence"
    __table_args__ = (
        one_of("outcome", OUTCOMES),
        one_of("origin", EVIDENCE_ORIGINS),
        CheckConstraint("(a_response_id IS NULL) <> (a_output IS NULL)", name="side_a"),
        CheckConstraint("(b_response_id IS NULL) <> (b_output IS NULL)", name="side_b"),
        CheckConstraint("(revision_id IS NULL) <> (intervention_id IS NULL)", name="one_cause"),
        Index("ix_evidence_project_id_id", "project_id", "id"),
        Index("ix_evidence_project_id_input_hash_id", "project_id", "input_hash", "id"),  # a freeze goes by the inputs
        Index("ix_evidence_feed", "project_id", "feed_number", "id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    input_hash: Mapped[str]
    input_response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id"), index=True)  # whose input both answer
    a_response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"))
    a_output: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    b_response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"))
    b_output: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    outcome: Mapped[str]
    distance: Mapped[float | None]  # in points of the scale or ranks; none for a correction and an intervention
    origin: Mapped[str]
    revision_id: Mapped[UUID | None] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"), index=True)
    intervention_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("live_interventions.id", ondelete="CASCADE"), index=True
    )
    criterion: Mapped[str | None]  # none: an intervention goes by no rubric
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    feed_number: Mapped[FeedNumber]


class Verdict(Base):
    """One response found good or bad in itself."""

    __tablename__ = "verdicts"
    __table_args__ = (
        one_of("origin", VERDICT_ORIGINS),
        CheckConstraint("(revision_id IS NULL) <> (feedback_id IS NULL)", name="one_cause"),
        Index("ix_verdicts_project_id_id", "project_id", "id"),
        Index("ix_verdicts_project_id_input_hash_id", "project_id", "input_hash", "id"),
        Index("ix_verdicts_feed", "project_id", "feed_number", "id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id"), index=True)
    input_hash: Mapped[str]  # of the response
    is_good: Mapped[bool]
    origin: Mapped[str]
    revision_id: Mapped[UUID | None] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"), index=True)
    feedback_id: Mapped[UUID | None] = mapped_column(ForeignKey("feedback.id", ondelete="CASCADE"), unique=True)
    criterion: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    feed_number: Mapped[FeedNumber]


class Demonstration(Base):
    """An input and an answer worth imitating: a person's correction, or a response they approved."""

    __tablename__ = "demonstrations"
    __table_args__ = (
        one_of("origin", DEMONSTRATION_ORIGINS),
        CheckConstraint("(revision_id IS NULL) <> (intervention_id IS NULL)", name="one_cause"),
        Index("ix_demonstrations_project_id_id", "project_id", "id"),
        Index("ix_demonstrations_project_id_input_hash_id", "project_id", "input_hash", "id"),
        Index("ix_demonstrations_feed", "project_id", "feed_number", "id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id"), index=True)  # whose input it answers
    input_hash: Mapped[str]
    output: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # none: the response's own output
    origin: Mapped[str]
    revision_id: Mapped[UUID | None] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"), index=True)
    intervention_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("live_interventions.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    feed_number: Mapped[FeedNumber]
