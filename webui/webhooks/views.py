"""Pages of webhooks: where the application is told, what it was told, and telling it again."""

from uuid import UUID

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import clock, cursors
from hitl.core.errors import Invalid
from hitl.webhooks import addresses
from hitl.webhooks.models import KINDS, Delivery
from hitl.webhooks.telling import tell_again

bp = Blueprint("webhooks", __name__, template_folder="templates")

ON_A_PAGE = 50
KINDS_IN_WORDS = {
    "message.created": "The customer said something, or was told something",
    "draft.decided": "A held draft waits no more",
    "conversation.taken_over": "A person took over",
    "conversation.handed_back": "A person handed back to the bot",
}

Answered = str | Response | tuple[str, int]


@bp.get("/projects/<slug>/webhooks")
@allow(Permission.ADMIN)
def index(slug: str) -> str:
    """List the addresses that are told, with a form for another."""
    return _index()


@bp.post("/projects/<slug>/webhooks")
@allow(Permission.ADMIN)
def create(slug: str) -> Answered:
    """Let an address be told; show its secret, once."""
    url, kinds = request.form.get("url", ""), request.form.getlist("kinds")
    try:
        webhook, secret = addresses.add_webhook(g.db, g.project, url, kinds, by=g.user)
    except Invalid as refusal:
        g.db.rollback()
        problems = {(refusal.param or "/url")[1:]: refusal.message}
        return _index(url=url, kinds=kinds, problems=problems), 422
    return render_template("webhooks/made.html", webhook=webhook, secret=secret)


@bp.get("/projects/<slug>/webhooks/<uuid:webhook_id>")
@allow(Permission.ADMIN)
def show(slug: str, webhook_id: UUID) -> str:
    """Show what an address was told, the newest first."""
    webhook = addresses.webhook_of_project(g.db, g.project, webhook_id)
    cursor = request.args.get("cursor")
    told = addresses.deliveries_of(webhook)
    page = cursors.page(g.db, told, Delivery.id, cursor=cursor, limit=ON_A_PAGE, newest_first=True)
    return render_template(
        "webhooks/show.html",
        webhook=webhook,
        deliveries=page.rows,
        next_cursor=page.next_cursor,
        is_first=cursor is None,
        kinds=KINDS_IN_WORDS,
        now=clock.now(),
    )


@bp.post("/projects/<slug>/webhooks/<uuid:webhook_id>/switch")
@allow(Permission.ADMIN)
def switch(slug: str, webhook_id: UUID) -> Answered:
    """Tell an address, or not for now."""
    webhook = addresses.webhook_of_project(g.db, g.project, webhook_id)
    addresses.switch(g.db, g.project, webhook, on=request.form.get("is_on") == "yes", by=g.user)
    flash("It is told from now on." if webhook.why_off is None else "It is not told for now.")
    return redirect(url_for("webhooks.show", slug=slug, webhook_id=webhook_id), 303)  # type: ignore[return-value]


@bp.post("/projects/<slug>/webhooks/<uuid:webhook_id>/removal")
@allow(Permission.ADMIN)
def remove(slug: str, webhook_id: UUID) -> Answered:
    """Tell an address nothing any more."""
    addresses.remove_webhook(g.db, g.project, addresses.webhook_of_project(g.db, g.project, webhook_id), by=g.user)
    flash("Removed.")
    return redirect(url_for("webhooks.index", slug=slug), 303)  # type: ignore[return-value]


@bp.post("/projects/<slug>/deliveries/<uuid:delivery_id>/replay")
@allow(Permission.ADMIN)
def replay(slug: str, delivery_id: UUID) -> Answered:
    """Tell it once more."""
    delivery = addresses.delivery_of_project(g.db, g.project, delivery_id)
    tell_again(g.db, delivery)
    flash("It is told again, under the same id.")
    return redirect(url_for("webhooks.show", slug=slug, webhook_id=delivery.webhook_id), 303)  # type: ignore[return-value]


def _index(url: str = "", kinds: list[str] | None = None, problems: dict[str, str] | None = None) -> str:
    return render_template(
        "webhooks/index.html",
        webhooks=g.db.scalars(addresses.webhooks_of(g.project.id)).all(),
        url=url,
        chosen=list(KINDS) if kinds is None else kinds,
        kinds=KINDS_IN_WORDS,
        problems=problems or {},
    )
