"""Pages about what has been: interventions and what they taught, numbers, and what was said."""

from uuid import UUID

from flask import g, render_template, request

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import clock, cursors
from hitl.live import numbers
from hitl.live.models import Intervention
from webui.live import afterwards, shown
from webui.live.blueprint import bp

ON_A_PAGE = 50


@bp.get("/projects/<slug>/live/interventions")
@allow(Permission.SUPERVISE)
def list_interventions(slug: str) -> str:
    """List what people did to drafts, with what each taught or why not; the newest first."""
    asked = {name: request.args.get(name, "") for name in ("kind", "person", "taught")}
    found = afterwards.interventions(g.project.id, **asked)
    cursor = request.args.get("cursor")
    page = cursors.page(g.db, found, Intervention.id, cursor=cursor, limit=ON_A_PAGE, newest_first=True)
    return render_template(
        "live/interventions.html",
        told=afterwards.told(g.db, page.rows),
        asked=asked,
        people=afterwards.people_who_intervened(g.db, g.project.id),
        next_cursor=page.next_cursor,
        is_first=cursor is None,
        now=clock.now(),
    )


@bp.get("/projects/<slug>/live/interventions/<uuid:intervention_id>")
@allow(Permission.SUPERVISE)
def show_intervention(slug: str, intervention_id: UUID) -> str:
    """Replay an intervention: what was on the screen, what the bot would have said, what it taught."""
    replay = afterwards.replay_of(g.db, g.project, intervention_id)
    return render_template("live/intervention.html", replay=replay, duration=afterwards.duration, now=clock.now())


@bp.get("/projects/<slug>/live/numbers")
@allow(Permission.SUPERVISE)
def show_numbers(slug: str) -> str:
    """Show what holds amount to, by rule and by person, and what the gate changes."""
    days, since = afterwards.since_days(request.args.get("days", ""), clock.now())
    here = (g.db, g.project.id, since)
    return render_template(
        "live/numbers.html",
        days=days,
        all=numbers.numbers_of_all(*here),
        by_rule=numbers.numbers_by_rule(*here),
        by_person=numbers.numbers_by_person(*here),
        effects=numbers.gate_effects(*here),
        duration=afterwards.duration,
    )


@bp.get("/projects/<slug>/live/transcripts")
@allow(Permission.SUPERVISE)
def search_transcripts(slug: str) -> str:
    """Find conversations by what was said in them."""
    words = request.args.get("words", "").strip()[:200]
    found = afterwards.sought(g.db, g.project.id, words, ON_A_PAGE) if words else []
    return render_template("live/transcripts.html", words=words, found=found, shown=shown, now=clock.now())
