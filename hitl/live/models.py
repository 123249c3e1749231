"""Tables: a conversation that people watch, what happened in it, and what the bot would have said."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.accounts.models import User
from hitl.capture.models import Conversation, Response
from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.ids import Id

HOLDERS = ("bot", "gate", "person")
AUDIENCES = ("customer", "staff")
EVENT_KINDS = (
    "user_message",  # what the end user said
    "message",  # what was sent to them, by the bot or by a person
    "draft",  # what the bot would say
    "hold",
    "approval",
    "edit",
    "refusal",
    "expiry",
    "takeover",
    "handover",
    "handback",
    "note",
    "whisper",
    "alert",
    "dismissal",  # of what the board says of it
    "look",
)
DRAFT_STATES = ("proposed", "held", "streaming", "sent", "unsent")
WHEN_NOBODY_COMES = ("send", "safe_reply", "refuse")
HOLD_ENDS = ("approved", "edited", "refused", "expired", "taken_over")
INTERVENTION_KINDS = ("approval", "edit", "refusal", "takeover")


class LiveConversation(Base):
    """A conversation with turns: who may speak in it now, and what it needs. It changes under its lock alone."""

    __tablename__ = "live_conversations"
    __table_args__ = (
        one_of("holder", HOLDERS),
        CheckConstraint("(holder = 'person') = (holder_id IS NOT NULL)", name="person_is_named"),
        Index("ix_live_conversations_project_id_last_at", "project_id", "last_at"),
        Index(
            "ix_live_conversations_need",
            "project_id",
            "needs_since",
            **partial_index_where(text("needs_since IS NOT NULL")),
        ),
        Index(
            "ix_live_conversations_person",
            "project_id",
            "holder_id",
            **partial_index_where(text("holder_id IS NOT NULL")),
        ),
    )

    id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    holder: Mapped[str] = mapped_column(default="bot")
    holder_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # where a person holds it
    holder_number: Mapped[int] = mapped_column(default=1)  # rises at each change of holder
    last_number: Mapped[int] = mapped_column(default=0)  # of the newest event
    user_number: Mapped[int] = mapped_column(default=0)  # of the newest user message; 0: none yet
    answered_number: Mapped[int] = mapped_column(default=0)  # the newest user message that has its answer
    delivered_number: Mapped[int] = mapped_column(default=0)  # up to where the application says it has delivered
    # The draft that goes out piece by piece right now. No foreign key: drafts refer to conversations.
    streaming_id: Mapped[UUID | None]
    last_text: Mapped[str] = mapped_column(default="")  # the beginning of the newest thing the customer said or saw
    waiting_since: Mapped[datetime | None]  # when the oldest user message came that nobody has answered
    needs: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)  # why to look: hitl/live/needs.py
    needs_since: Mapped[datetime | None]
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    last_at: Mapped[datetime] = mapped_column(default=clock.now)

    conversation: Mapped[Conversation] = relationship()
    holder_user: Mapped[User | None] = relationship()


class Event(Base):
    """One thing that happened in a conversation, numbered from 1 without gaps. Never changed."""

    __tablename__ = "live_events"
    __table_args__ = (one_of("audience", AUDIENCES), one_of("kind", EVENT_KINDS))

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey("live_conversations.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    audience: Mapped[str]  # customer: the end user saw it, or said it; staff: they never learn of it
    kind: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # the member of staff who did it
    draft_id: Mapped[UUID | None]  # that it is about
    content: Mapped[dict[str, Any]] = mapped_column(JSON)  # by kind: see hitl/live/log.py
    happened_at: Mapped[datetime] = mapped_column(default=clock.now)

    user: Mapped[User | None] = relationship()


class Draft(Base):
    """What somebody would say next: the bot, or a person whose text came too late. Kept whatever became of it."""

    __tablename__ = "live_drafts"
    __table_args__ = (
        one_of("state", DRAFT_STATES),
        Index("ix_live_drafts_conversation_id_answers_number", "conversation_id", "answers_number"),
    )

    id: Mapped[Id]
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("live_conversations.id", ondelete="CASCADE"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # the person who wrote it; none: the bot
    answers_number: Mapped[int]  # the user message that it answers; 0: none, it opens the conversation
    holder_number: Mapped[int]  # of the conversation, when its author last looked
    output: Mapped[dict[str, Any]] = mapped_column(JSON)  # an assistant message
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"), index=True)  # the bot's, as captured
    state: Mapped[str] = mapped_column(default="proposed")
    why_unsent: Mapped[str | None]  # a word of hitl.live.speaking.WHY_UNSENT
    streamed: Mapped[str] = mapped_column(default="")  # what of its text went out so far
    beat_at: Mapped[datetime | None]  # streaming: when its sender last showed a sign of life
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    response: Mapped[Response | None] = relationship()


class Hold(Base):
    """A draft that waits for a person until its deadline."""

    __tablename__ = "live_holds"
    __table_args__ = (
        UniqueConstraint("draft_id"),
        one_of("when_nobody", WHEN_NOBODY_COMES),
        one_of("ended_as", HOLD_ENDS),
        CheckConstraint("(ended_at IS NULL) = (ended_as IS NULL)", name="ended_somehow"),
        Index(
            "uq_live_holds_open",
            "conversation_id",
            unique=True,
            **partial_index_where(text("ended_at IS NULL")),
        ),
        Index("ix_live_holds_project_id_opened_at", "project_id", "opened_at"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("live_conversations.id", ondelete="CASCADE"))
    draft_id: Mapped[UUID] = mapped_column(ForeignKey("live_drafts.id", ondelete="CASCADE"))
    reasons: Mapped[list[str]] = mapped_column(JSON)  # why it is held, as sentences
    opened_at: Mapped[datetime] = mapped_column(default=clock.now)
    deadline_at: Mapped[datetime]
    when_nobody: Mapped[str]  # what happens at the deadline
    safe_reply: Mapped[str | None]  # what is said then instead, where that is a safe reply
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]  # expired is nobody's decision, and never counted as one
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))

    draft: Mapped[Draft] = relationship()


class Intervention(Base):
    """What a person did to a draft, and what that taught."""

    __tablename__ = "live_interventions"
    __table_args__ = (
        one_of("kind", INTERVENTION_KINDS),
        Index("ix_live_interventions_project_id_id", "project_id", "id"),
        Index("ix_live_interventions_conversation_id_id", "conversation_id", "id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("live_conversations.id", ondelete="CASCADE"))
    draft_id: Mapped[UUID | None] = mapped_column(ForeignKey("live_drafts.id", ondelete="CASCADE"))
    answers_number: Mapped[int]  # the user message that the draft answers, and what is sent instead
    event_number: Mapped[int]  # of the approval, edit, refusal or takeover in the conversation's log
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    reason: Mapped[str | None]  # as the person wrote it
    replacement: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # what was sent instead
    # Of the replacement, where a model wrote it: the captured response.
    replacement_response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"))
    settled_at: Mapped[datetime | None]  # none: what is said instead is still to come
    # A word of hitl.live.interventions.WHY_NOTHING; none: it taught something, or is not settled.
    why_nothing: Mapped[str | None]
    made_at: Mapped[datetime] = mapped_column(default=clock.now)

    draft: Mapped[Draft | None] = relationship()
    user: Mapped[User] = relationship()


class Presence(Base):
    """Who has a conversation open, and how far they have read."""

    __tablename__ = "live_presences"

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey("live_conversations.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    read_to: Mapped[int] = mapped_column(default=0)  # number of the newest event that they had before their eyes
    seen_at: Mapped[datetime] = mapped_column(default=clock.now)
    typed_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]  # when their look was last noted in the log

    user: Mapped[User] = relationship()


class ReadyReply(Base):
    """Words that are said again and again, ready to be sent."""

    __tablename__ = "live_ready_replies"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]  # by which it is found
    text: Mapped[str]
    uses: Mapped[int] = mapped_column(default=0)  # messages that were sent with it
    made_at: Mapped[datetime] = mapped_column(default=clock.now)
