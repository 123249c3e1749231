"""A project's settings, and the guidelines that its reviewers read."""

from collections.abc import Mapping
from typing import Any

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import projects
from hitl.accounts.access import allow
from hitl.accounts.errors import ChangedByAnother
from hitl.accounts.permissions import Permission
from hitl.core.errors import Invalid
from webui.accounts.blueprint import bp

MAY_TRAIN = (
    ("unknown", "Not known: it stays out of datasets"),
    ("yes", "Yes: it may be trained on"),
    ("no", "No: it must not be trained on"),
)
PERSONAL_DATA = (
    ("keep", "Keep it as it comes"),
    ("mark", "Mark it: marked responses stay out of datasets unless asked for"),
    ("pseudonymise", "Put placeholders in its place, before anything is stored"),
)
LEASE_PROBLEM = "A whole number of minutes, from 1 to 1,440."
LICENCE_PROBLEM = "A name in small letters, such as cc-by-4.0, or nothing."


@bp.get("/projects/<slug>/settings")
@allow(Permission.ADMIN)
def show_settings(slug: str) -> Response:
    """Show how this project wants to be worked with."""
    return _settings_page(_as_typed())


@bp.post("/projects/<slug>/settings")
@allow(Permission.ADMIN)
def change_settings(slug: str) -> AnyResponse:
    """Set them; what they say about later work holds from now on."""
    typed = {name: request.form.get(name, "").strip() for name in _as_typed()}
    problems = _problems(typed)
    if problems:
        return _settings_page(typed, 422, problems=problems)
    try:
        projects.change_name_and_settings(
            g.db, g.project, typed["name"], _as_meant(typed), seen=request.form.get("seen", ""), by=g.user
        )
    except ChangedByAnother:
        return _settings_page(typed, 409, is_stale=True)
    except Invalid as error:
        g.db.rollback()
        return _settings_page(typed, 422, problems={(error.param or "/name").rpartition("/")[2]: error.message})
    flash("The settings are saved.")
    return redirect(url_for("accounts.show_settings", slug=slug), 303)


def _as_typed() -> dict[str, str]:
    """The settings as the form holds them."""
    settings = projects.settings_of(g.project)
    return {
        "name": g.project.name,
        "lease_minutes": str(settings.lease_minutes),
        "may_train_default": settings.may_train_default,
        "end_user_thumbs": "on" if settings.end_user_thumbs else "",
        "second_opinion_percent": str(settings.second_opinion_percent),
        "personal_data": settings.personal_data,
        "licence": settings.licence,
    }


def _as_meant(typed: Mapping[str, str]) -> dict[str, Any]:
    return {
        "lease_minutes": int(typed["lease_minutes"]),
        "may_train_default": typed["may_train_default"],
        "end_user_thumbs": bool(typed["end_user_thumbs"]),
        "second_opinion_percent": int(typed["second_opinion_percent"]),
        "personal_data": typed["personal_data"],
        "licence": typed["licence"],
    }


def _problems(typed: Mapping[str, str]) -> dict[str, str]:
    problems = {}
    minutes = typed["lease_minutes"]
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) < 5 and 1 <= int(minutes) <= 24 * 60):
        problems["lease_minutes"] = LEASE_PROBLEM
    percent = typed["second_opinion_percent"]
    if not (percent.isascii() and percent.isdigit() and len(percent) < 4 and int(percent) <= 100):
        problems["second_opinion_percent"] = "From 0 to 100."
    if typed["may_train_default"] not in dict(MAY_TRAIN):
        problems["may_train_default"] = "Choose one of the three."
    if typed["personal_data"] not in dict(PERSONAL_DATA):
        problems["personal_data"] = "Choose one of the three."
    if not projects.is_licence(typed["licence"]):
        problems["licence"] = LICENCE_PROBLEM
    return problems


def _settings_page(
    typed: Mapping[str, str], status: int = 200, *, problems: Mapping[str, str] | None = None, is_stale: bool = False
) -> Response:
    page = render_template(
        "accounts/settings.html",
        project=g.project,
        typed=typed,
        now_set=_as_typed() if is_stale else None,
        seen=projects.name_and_settings_seen(g.project) if not problems else request.form.get("seen", ""),
        may_train=MAY_TRAIN,
        personal_data=PERSONAL_DATA,
        problems=problems or {},
    )
    return make_response(page, status)


# --- Guidelines -------------------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/guidelines/edit")
@allow(Permission.QUEUE)
def edit_guidelines(slug: str) -> Response:
    """Show the guidelines as they are written, and as reviewers read them."""
    return _guidelines_page(g.project.guidelines, projects.guidelines_seen(g.project))


@bp.post("/projects/<slug>/guidelines/edit")
@allow(Permission.QUEUE)
def change_guidelines(slug: str) -> AnyResponse:
    """Give reviewers other guidelines, or only show how they would look."""
    text, seen = request.form.get("guidelines", ""), request.form.get("seen", "")
    if request.form.get("action") == "preview":
        return _guidelines_page(text, seen)
    try:
        projects.change_guidelines(g.db, g.project, text, seen=seen, by=g.user)
    except ChangedByAnother:
        return _guidelines_page(text, projects.guidelines_seen(g.project), 409, newer=g.project.guidelines)
    except Invalid as error:
        return _guidelines_page(text, seen, error.status, problem=error.message)
    flash("The guidelines are saved. Reviewers see them from now on.")
    return redirect(url_for("accounts.edit_guidelines", slug=slug), 303)


def _guidelines_page(
    text: str, seen: str, status: int = 200, *, problem: str = "", newer: str | None = None
) -> Response:
    fragment = "accounts/_guidelines_preview.html" if "HX-Request" in request.headers else "accounts/guidelines.html"
    page = render_template(
        fragment,
        project=g.project,
        text=text,
        seen=seen,
        problem=problem,
        newer=newer,
        limit=projects.MAX_GUIDELINES_CHARACTERS,
        is_saved=text == g.project.guidelines,
    )
    return make_response(page, status)
