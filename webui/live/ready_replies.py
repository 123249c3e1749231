"""The page of ready replies: a list, and a form for another."""

from uuid import UUID

from flask import Response, flash, g, redirect, render_template, request, url_for

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.live import replies
from hitl.live.errors import ReplyUnacceptable
from webui.live.blueprint import bp

Answered = str | Response | tuple[str, int]


@bp.get("/projects/<slug>/live/replies")
@allow(Permission.SUPERVISE)
def list_replies(slug: str) -> str:
    """List the ready replies, and how often each was sent."""
    return _replies_page()


@bp.post("/projects/<slug>/live/replies")
@allow(Permission.SUPERVISE)
def add_reply(slug: str) -> Answered:
    """Make a ready reply."""
    name, text = request.form.get("name", ""), request.form.get("text", "")
    try:
        replies.add_reply(g.db, g.project, name, text)
    except ReplyUnacceptable as refusal:
        problems = {(refusal.param or "/name")[1:]: refusal.message}
        return _replies_page(name=name, text=text, problems=problems), 422
    flash(f"“{name.strip()}” is ready.")
    return redirect(url_for("live.list_replies", slug=slug), 303)  # type: ignore[return-value]


@bp.post("/projects/<slug>/live/replies/<uuid:reply_id>/removal")
@allow(Permission.SUPERVISE)
def remove_reply(slug: str, reply_id: UUID) -> Answered:
    """Remove a ready reply."""
    replies.remove_reply(g.db, g.project, reply_id)
    flash("Removed.")
    return redirect(url_for("live.list_replies", slug=slug), 303)  # type: ignore[return-value]


def _replies_page(name: str = "", text: str = "", problems: dict[str, str] | None = None) -> str:
    listed = g.db.scalars(replies.ready_replies(g.project.id)).all()
    return render_template("live/replies.html", replies=listed, name=name, text=text, problems=problems or {})
