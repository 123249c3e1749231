"""Tables: what the model saw and said, and what end users said about it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.feeds import ChangingFeedNumber, FeedNumber
from hitl.core.ids import Id

MAY_TRAIN = ("yes", "no", "unknown")
FEEDBACK_SUBJECTS = ("response", "conversation")


class Conversation(Base):
    """A thread of messages between one end user and the application."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("project_id", "client_id"),)

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    client_id: Mapped[str]
    end_user: Mapped[str | None]  # a pseudonym: keyed hash of the client's name for the person
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Response(Base):
    """What a model saw and what it said. Self-contained, never changed."""

    __tablename__ = "responses"
    __table_args__ = (
        UniqueConstraint("project_id", "client_id"),
        Index("ix_responses_project_id_id", "project_id", "id"),
        Index("ix_responses_feed", "project_id", "feed_number", "id"),
        Index("ix_responses_project_id_input_hash", "project_id", "input_hash"),
        Index("ix_responses_end_user", "end_user", **partial_index_where(text("end_user IS NOT NULL"))),
        one_of("may_train", MAY_TRAIN),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    client_id: Mapped[str | None]  # the client's own id
    content_hash: Mapped[str]  # of all that the client sent: the same again is a duplicate, other content is refused
    conversation_id: Mapped[UUID | None] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn: Mapped[int | None]  # position in the conversation, from 0
    end_user: Mapped[str | None]  # pseudonym
    input: Mapped[dict[str, Any]] = mapped_column(JSON)  # {"messages": […], "tools": […]}
    input_hash: Mapped[str]  # SHA-256 over the canonical JSON of input
    output: Mapped[dict[str, Any]] = mapped_column(JSON)  # an assistant message
    model: Mapped[str | None]  # none when a person wrote it
    model_version: Mapped[str | None]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[str | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    latency_seconds: Mapped[float | None]
    cost_usd: Mapped[float | None]
    trace_id: Mapped[str | None]
    context: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)  # retrieved: [{"title", "text", …}]
    signals: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # name → finite number
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    may_train: Mapped[str] = mapped_column(default="unknown")  # unknown: the project's default decides
    # What stands in it, where the project marks it: "email,phone", kinds of hitl/capture/personal_data.py. None:
    # none was found, or nobody looked.
    personal_data: Mapped[str | None]
    created_at: Mapped[datetime]  # when the model answered, by the client's clock
    captured_at: Mapped[datetime] = mapped_column(default=clock.now)
    feed_number: Mapped[FeedNumber]

    conversation: Mapped[Conversation | None] = relationship()


class Feedback(Base):
    """What an end user said about one response, or about a whole conversation. A repeat updates it."""

    __tablename__ = "feedback"
    __table_args__ = (
        CheckConstraint("(response_id IS NULL) <> (conversation_id IS NULL)", name="one_subject"),
        Index(
            "uq_feedback_response",
            "response_id",
            "kind",
            "source",
            unique=True,
            **partial_index_where(text("response_id IS NOT NULL")),
        ),
        Index(
            "uq_feedback_conversation",
            "conversation_id",
            "kind",
            "source",
            unique=True,
            **partial_index_where(text("conversation_id IS NOT NULL")),
        ),
        Index("ix_feedback_feed", "project_id", "feed_number", "id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"))
    conversation_id: Mapped[UUID | None] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    kind: Mapped[str]  # "thumbs", "stars", or the client's own word
    value: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)  # boolean, number or short text
    comment: Mapped[str | None]
    source: Mapped[str] = mapped_column(default="end_user")  # who said it
    given_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)
    feed_number: Mapped[ChangingFeedNumber]

    @property
    def is_negative(self) -> bool | None:
        """Whether it complains: thumbs down, or the lower half of five stars. None where that cannot be told."""
        if isinstance(self.value, bool):
            return not self.value
        if self.kind == "stars" and isinstance(self.value, int | float):
            return self.value <= 2
        return None


class WaitingFeedback(Base):
    """Feedback that came before its response or conversation. Kept for a day under the client's id, then attached."""

    __tablename__ = "waiting_feedback"
    __table_args__ = (
        UniqueConstraint("project_id", "subject", "client_id", "kind", "source"),
        one_of("subject", FEEDBACK_SUBJECTS),
    )

    id: Mapped[Id]  # its id as feedback, too, once it is attached
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    subject: Mapped[str]
    client_id: Mapped[str]  # the client's id of the response or of the conversation
    kind: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    comment: Mapped[str | None]
    source: Mapped[str] = mapped_column(default="end_user")
    given_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
