"""Tables: where a project's calls go, what they may cost and did, and which request continues which conversation."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.ids import Id

MODES = ("observe", "gate", "person")
WHEN_NOBODY = ("send", "safe_reply", "refuse")
PERIODS = ("day", "month")
PLAIN_APOLOGY = "I am sorry, I cannot answer that just now. Please try again in a moment."


class GatewaySettings(Base):
    """How a project's calls are handled. A project without a row observes."""

    __tablename__ = "gateway_settings"
    __table_args__ = (
        one_of("mode", MODES),
        one_of("when_nobody", WHEN_NOBODY),
        one_of("when_database_down", WHEN_NOBODY),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    mode: Mapped[str] = mapped_column(default="observe")
    hold_seconds: Mapped[int] = mapped_column(default=300)  # the longest that a request waits for a person
    when_nobody: Mapped[str] = mapped_column(default="refuse")  # person mode: when nobody comes
    when_database_down: Mapped[str] = mapped_column(default="safe_reply")  # gate and person modes
    safe_reply: Mapped[str] = mapped_column(default=PLAIN_APOLOGY)
    cache_seconds: Mapped[int] = mapped_column(default=0)  # how long an answer serves the same request; 0: not at all
    prices: Mapped[dict[str, Any]] = mapped_column(
        JSON, default=dict
    )  # model → {"input", "output"}, $ a million tokens


class Upstream(Base):
    """A server that answers: one of several, by order and weight."""

    __tablename__ = "gateway_upstreams"
    __table_args__ = (UniqueConstraint("project_id", "name"), CheckConstraint("weight >= 1", name="weight"))

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    base_url: Mapped[str]  # https://api.openai.com/v1
    sealed_key: Mapped[str | None]  # sealed for this host alone: hitl/core/sealing.py
    key_hint: Mapped[str | None]  # its last characters
    models: Mapped[list[str]]  # that it serves; empty: all
    position: Mapped[int] = mapped_column(default=0)  # the lowest is asked first; equal ones share by weight
    weight: Mapped[int] = mapped_column(default=1)
    retries: Mapped[int] = mapped_column(default=1)  # after the first try
    connect_seconds: Mapped[float] = mapped_column(default=5.0)
    silence_seconds: Mapped[float] = mapped_column(default=120.0)  # how long nothing may come
    total_seconds: Mapped[float] = mapped_column(default=600.0)
    is_on: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Budget(Base):
    """What a project, one of its keys or one of its models may use in a day or a month (UTC)."""

    __tablename__ = "gateway_budgets"
    __table_args__ = (
        one_of("period", PERIODS),
        CheckConstraint("max_tokens IS NOT NULL OR max_usd IS NOT NULL", name="limits_something"),
        Index("ix_gateway_budgets_project_id", "project_id"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))  # none: all keys
    model: Mapped[str | None]  # none: all models
    period: Mapped[str]
    max_tokens: Mapped[int | None] = mapped_column(BigInteger)
    max_usd: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Usage(Base):
    """What a key used of a model on one day (UTC)."""

    __tablename__ = "gateway_usage"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)  # as it was asked for
    answers: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    from_cache: Mapped[int] = mapped_column(default=0)  # of the answers
    without_usage: Mapped[int] = mapped_column(default=0)  # answers whose tokens the upstream did not tell
    input_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    output_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost_usd: Mapped[float] = mapped_column(default=0.0)


class Thread(Base):
    """Where a conversation stands, so that the request that continues it is known though it does not say so."""

    __tablename__ = "gateway_threads"
    __table_args__ = (
        UniqueConstraint("project_id", "conversation"),
        Index("ix_gateway_threads_api_key_id_transcript", "api_key_id", "transcript"),
        Index("ix_gateway_threads_end_user", "end_user", **partial_index_where(text("end_user IS NOT NULL"))),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    conversation: Mapped[str]  # the client's id of it, or one that we made
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    end_user: Mapped[str | None]  # pseudonym
    transcript: Mapped[str]  # hash of all messages so far, the newest answer included
    is_guessed: Mapped[bool]  # some request was put here because it continued it, not because it said so
    last_at: Mapped[datetime]


class Repeatable(Base):
    """A request that waits for a person, so that its repeat is known as one and finds what became of it."""

    __tablename__ = "gateway_repeatables"
    __table_args__ = (
        Index("ix_gateway_repeatables_key_input", "api_key_id", "asked"),
        Index(
            "uq_gateway_repeatables_idempotency",
            "api_key_id",
            "idempotency_key",
            unique=True,
            **partial_index_where(text("idempotency_key IS NOT NULL")),
        ),
        Index("ix_gateway_repeatables_conversation_id", "conversation_id"),
        Index("ix_gateway_repeatables_made_at", "made_at"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    asked: Mapped[str]  # hash of the conversation, the model, the messages and the tools
    idempotency_key: Mapped[str | None]
    answers_number: Mapped[int]  # the user message that is waited on
    draft_id: Mapped[UUID | None]  # what the model would say; none: a person is to answer by themselves
    hold_id: Mapped[UUID | None]  # under which the draft waits, or waited
    # When somebody last waited; a hold that nobody waits for any more is closed after a while.
    waited_at: Mapped[datetime] = mapped_column(default=clock.now)
    deadline_at: Mapped[datetime]
    # When what became of it was answered to somebody; until then its repeat is owed the answer.
    told_at: Mapped[datetime | None]
    made_at: Mapped[datetime] = mapped_column(default=clock.now)
