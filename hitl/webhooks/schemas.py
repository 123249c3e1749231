"""JSON shapes of webhooks."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel, PageQuery
from hitl.webhooks.models import Delivery, Webhook

Kind = Literal["message.created", "draft.decided", "conversation.taken_over", "conversation.handed_back"]


class WebhookPath(ApiModel):
    """A webhook, by its id."""

    webhook_id: UUID


class DeliveryPath(ApiModel):
    """Something that was told, by its id."""

    delivery_id: UUID


class NewWebhook(ApiModel):
    """Where to tell what."""

    url: str
    kinds: list[Kind]


class WebhookSwitchBody(ApiModel):
    """Whether it is told."""

    is_on: bool


class WebhookOut(ApiModel):
    """An address that is told."""

    id: UUID
    url: str
    kinds: list[str]
    is_on: bool
    why_off: str | None = Field(description="by_hand, or gone: it answered 410")
    created_at: datetime


class WebhookWithSecret(WebhookOut):
    """A new one, with what is shown only now."""

    secret: str = Field(description="Checks the signatures, as Standard Webhooks describes; shown only now")


class WebhookList(ApiModel):
    """The addresses of a project."""

    webhooks: list[WebhookOut]


class DeliveryOut(ApiModel):
    """Something that an address is told."""

    id: UUID = Field(description="The `webhook-id` of the message, the same at each attempt")
    kind: str
    body: dict[str, Any] | None
    attempts: int
    last_status: int | None
    last_problem: str | None
    delivered_at: datetime | None
    next_at: datetime | None = Field(description="Of the next attempt; null: delivered, or given up")
    created_at: datetime


class DeliveryPage(ApiModel):
    """What an address was told, the newest first."""

    deliveries: list[DeliveryOut]
    next_cursor: str | None


class DeliveryQuery(PageQuery):
    """Which part."""


def webhook_as_json(webhook: Webhook) -> dict[str, Any]:
    """Return an address without its secret."""
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        kinds=webhook.kinds,
        is_on=webhook.why_off is None,
        why_off=webhook.why_off,
        created_at=webhook.created_at,
    ).model_dump(mode="json")


def delivery_as_json(delivery: Delivery) -> dict[str, Any]:
    """Return something that was told."""
    return DeliveryOut(**{name: getattr(delivery, name) for name in DeliveryOut.model_fields}).model_dump(mode="json")
