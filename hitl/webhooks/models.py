"""Tables: where an application wants to be told what happens live, and what was told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.core import clock
from hitl.core.database import Base, one_of
from hitl.core.ids import Id

KINDS = (
    "message.created",  # the customer said something, or was told something
    "draft.decided",  # a draft waits for nobody any more
    "conversation.taken_over",
    "conversation.handed_back",
)
WHY_OFF = ("by_hand", "gone")


class Webhook(Base):
    """An address that is told."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_project_id", "project_id"), one_of("why_off", WHY_OFF))

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    url: Mapped[str]
    kinds: Mapped[list[str]] = mapped_column(JSON)
    sealed_secret: Mapped[str]
    why_off: Mapped[str | None]  # none: it is on; gone: the other side said that it is not there any more
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Delivery(Base):
    """Something that an address is told, and how that went."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("kind", KINDS),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
    )

    id: Mapped[Id]
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    kind: Mapped[str]
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("live_conversations.id", ondelete="CASCADE"))
    event_number: Mapped[int]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # as it was first sent, for good
    attempts: Mapped[int] = mapped_column(default=0)
    last_status: Mapped[int | None]  # that the other side answered with
    last_problem: Mapped[str | None]  # why there was no good answer
    tried_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]  # none: it is delivered, or given up
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    webhook: Mapped[Webhook] = relationship()
