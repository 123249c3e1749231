"""The API of webhooks: an admin says where to tell what, and tells it again."""

from flask import Response as HttpResponse
from flask import g
from flask_openapi3 import APIBlueprint, Tag

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import cursors
from hitl.core.http import ProjectPath, answer, no_content
from hitl.webhooks import addresses
from hitl.webhooks.models import Delivery
from hitl.webhooks.schemas import (
    DeliveryOut,
    DeliveryPage,
    DeliveryPath,
    DeliveryQuery,
    NewWebhook,
    WebhookList,
    WebhookOut,
    WebhookPath,
    WebhookSwitchBody,
    WebhookWithSecret,
    delivery_as_json,
    webhook_as_json,
)
from hitl.webhooks.telling import tell_again

bp = APIBlueprint(
    "webhooks_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Webhooks", description="Tell your application what happens live")],
    abp_security=[{"key": []}],
)


@bp.post("/projects/<slug>/webhooks", responses={201: WebhookWithSecret})
@allow(Permission.ADMIN)
def add_webhook(path: ProjectPath, body: NewWebhook) -> HttpResponse:
    """Let an address be told. The secret that checks its signatures is in this answer, and nowhere else."""
    webhook, secret = addresses.add_webhook(g.db, g.project, body.url, body.kinds, by=g.user)
    return answer({**webhook_as_json(webhook), "secret": secret}, 201)


@bp.get("/projects/<slug>/webhooks", responses={200: WebhookList})
@allow(Permission.ADMIN)
def list_webhooks(path: ProjectPath) -> HttpResponse:
    """List the addresses that are told."""
    found = g.db.scalars(addresses.webhooks_of(g.project.id))
    return answer({"webhooks": [webhook_as_json(webhook) for webhook in found]})


@bp.put("/webhooks/<uuid:webhook_id>/switch", responses={200: WebhookOut})
@allow(Permission.ADMIN)
def switch_webhook(path: WebhookPath, body: WebhookSwitchBody) -> HttpResponse:
    """Tell an address, or not for now."""
    webhook = addresses.webhook_of_project(g.db, g.project, path.webhook_id)
    addresses.switch(g.db, g.project, webhook, on=body.is_on, by=g.user)
    return answer(webhook_as_json(webhook))


@bp.delete("/webhooks/<uuid:webhook_id>", responses={204: None})
@allow(Permission.ADMIN)
def remove_webhook(path: WebhookPath) -> HttpResponse:
    """Tell an address nothing any more."""
    webhook = addresses.webhook_of_project(g.db, g.project, path.webhook_id)
    addresses.remove_webhook(g.db, g.project, webhook, by=g.user)
    return no_content()


@bp.get("/webhooks/<uuid:webhook_id>/deliveries", responses={200: DeliveryPage})
@allow(Permission.ADMIN)
def list_deliveries(path: WebhookPath, query: DeliveryQuery) -> HttpResponse:
    """Page through what an address was told, the newest first."""
    webhook = addresses.webhook_of_project(g.db, g.project, path.webhook_id)
    told = addresses.deliveries_of(webhook)
    page = cursors.page(g.db, told, Delivery.id, cursor=query.cursor, limit=query.limit, newest_first=True)
    shown = [delivery_as_json(delivery) for delivery in page.rows]
    return answer({"deliveries": shown, "next_cursor": page.next_cursor})


@bp.post("/deliveries/<uuid:delivery_id>/replay", responses={200: DeliveryOut})
@allow(Permission.ADMIN)
def replay_delivery(path: DeliveryPath) -> HttpResponse:
    """Tell it once more: the same message under the same id."""
    delivery = addresses.delivery_of_project(g.db, g.project, path.delivery_id)
    tell_again(g.db, delivery)
    return answer(delivery_as_json(delivery))
