"""Where calls go, who answers, what they may cost: one page, a form for each."""

from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import keys
from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import clock
from hitl.core.errors import Invalid
from hitl.gateway import budgets, settings, upstreams

bp = Blueprint("gateway_settings", __name__, template_folder="templates")

MODES = (
    ("observe", "Observe: record, hold nothing"),
    ("gate", "Gate: the policy holds some"),
    ("person", "Person: a supervisor answers"),
)
WHEN_NOBODY = (
    ("refuse", "Refuse, with an error"),
    ("safe_reply", "Say the safe reply"),
    ("send", "Let the model speak"),
)
PERIODS = (("day", "a day"), ("month", "a month"))
USAGE_DAYS = 30
MAX_USAGE_ROWS = 50
NO_NUMBER = "A number is wanted here."


class NotANumber(Invalid):
    """A number is wanted here."""

    code = "not_a_number"


@bp.get("/projects/<slug>/gateway")
@allow(Permission.ADMIN)
def show(slug: str) -> Response:
    """Show how calls are handled."""
    return _page()


@bp.post("/projects/<slug>/gateway")
@allow(Permission.ADMIN)
def change(slug: str) -> AnyResponse:
    """Change how calls are handled."""

    def save() -> str:
        settings.change_handling(g.db, g.project, _handling_typed(), by=g.user)
        return "The settings are saved. They count within a second or two."

    return _do("handling", save)


@bp.post("/projects/<slug>/gateway/upstreams")
@allow(Permission.ADMIN)
def add_upstream(slug: str) -> AnyResponse:
    """Add a server that answers."""

    def save() -> str:
        upstream = upstreams.add_upstream(g.db, g.project, _upstream_typed(), _typed("key"), by=g.user)
        return f"Calls go to “{upstream.name}” from now on."

    return _do("upstream", save)


@bp.post("/projects/<slug>/gateway/upstreams/<uuid:upstream_id>")
@allow(Permission.ADMIN)
def change_upstream(slug: str, upstream_id: UUID) -> AnyResponse:
    """Change what is said of a server."""
    upstream = upstreams.upstream_of_id(g.db, g.project, upstream_id)

    def save() -> str:
        had_key = upstream.sealed_key is not None
        typed = {**_upstream_typed(), "is_on": bool(_typed("is_on"))}
        upstreams.change_upstream(g.db, g.project, upstream, typed, _typed("key"), by=g.user)
        if had_key and upstream.sealed_key is None:
            return f"“{upstream.name}” has another host now, so its key was dropped. Enter the new one."
        return f"“{upstream.name}” is saved."

    return _do(str(upstream_id), save)


@bp.post("/projects/<slug>/gateway/upstreams/<uuid:upstream_id>/removal")
@allow(Permission.ADMIN)
def remove_upstream(slug: str, upstream_id: UUID) -> AnyResponse:
    """Ask a server no more."""
    upstream = upstreams.upstream_of_id(g.db, g.project, upstream_id)
    upstreams.remove_upstream(g.db, g.project, upstream, by=g.user)
    return _done(f"“{upstream.name}” is not asked any more, and its key is forgotten.")


@bp.post("/projects/<slug>/gateway/budgets")
@allow(Permission.ADMIN)
def add_budget(slug: str) -> AnyResponse:
    """Limit what is used."""

    def save() -> str:
        budgets.add_budget(
            g.db,
            g.project,
            period=_typed("period"),
            max_tokens=_number("max_tokens", int),
            max_usd=_number("max_usd", float),
            api_key_id=_key_typed(),
            model=_typed("model") or None,
            by=g.user,
        )
        return "The budget counts from now on."

    return _do("budget", save)


@bp.post("/projects/<slug>/gateway/budgets/<uuid:budget_id>/removal")
@allow(Permission.ADMIN)
def remove_budget(slug: str, budget_id: UUID) -> AnyResponse:
    """End a limit."""
    budgets.remove_budget(g.db, g.project, budget_id, by=g.user)
    return _done("The budget is removed.")


def _do(form: str, save: Any) -> AnyResponse:
    """Save, or show the page again with what is wrong. form: which of the page's."""
    try:
        return _done(save())
    except Invalid as error:
        g.db.rollback()
        name = (error.param or "/name").strip("/").split("/")[0]
        return _page(422, form=form, problems={name: error.message})


def _done(message: str) -> AnyResponse:
    flash(message)
    return redirect(url_for("gateway_settings.show", slug=g.project.slug), 303)


def _handling_typed() -> dict[str, Any]:
    return {
        "mode": _typed("mode"),
        "hold_seconds": _number("hold_seconds", int),
        "when_nobody": _typed("when_nobody"),
        "when_database_down": _typed("when_database_down"),
        "safe_reply": _typed("safe_reply"),
        "cache_seconds": _number("cache_seconds", int),
        "prices": _prices_typed(),
    }


def _prices_typed() -> dict[str, Any]:
    """One model a line: its name, what a million tokens of input and of output cost."""
    prices = {}
    for line in _typed("prices").splitlines():
        words = line.split()
        if not words:
            continue
        try:
            prices[words[0]] = {"input": float(words[1]), "output": float(words[2])}
        except (IndexError, ValueError):
            raise NotANumber(f"Write a name and two numbers: “{line.strip()}” is not that.", param="/prices") from None
    return prices


def _upstream_typed() -> dict[str, Any]:
    return {
        "name": _typed("name"),
        "base_url": _typed("base_url"),
        "models": _typed("models").replace(",", " ").split(),
        "position": _number("position", int) or 0,
        "weight": _number("weight", int) or 1,
        "retries": _number("retries", int) or 0,
    }


def _key_typed() -> UUID | None:
    typed = _typed("api_key_id")
    try:
        return UUID(typed) if typed else None
    except ValueError:
        raise Invalid("This project has no such key.", param="/api_key_id") from None


def _typed(name: str) -> str:
    return str(request.form.get(name, "")).strip()


def _number(name: str, kind: type) -> Any:
    typed = _typed(name)
    try:
        return kind(typed) if typed else None
    except ValueError:
        raise NotANumber(param=f"/{name}") from None


def _page(status: int = 200, *, form: str = "", problems: dict[str, str] | None = None) -> Response:
    since = (clock.now().astimezone(UTC) - timedelta(days=USAGE_DAYS)).date()
    handling = settings.handling_of(g.db, g.project)
    page = render_template(
        "gateway/show.html",
        project=g.project,
        handling=handling,
        prices="\n".join(f"{name} {price.input:g} {price.output:g}" for name, price in handling.prices.items()),
        upstreams=g.db.scalars(upstreams.upstreams_of(g.project)).all(),
        budgets=list(zip(g.db.scalars(budgets.budgets_of(g.project)), budgets.limits_of(g.db, g.project), strict=True)),
        keys={key.id: key for key in g.db.scalars(keys.keys_of(g.project))},
        usage=g.db.scalars(budgets.usage_since(g.project, since).limit(MAX_USAGE_ROWS)).all(),
        usage_days=USAGE_DAYS,
        address=url_for("gateway.list_models", slug=g.project.slug).removesuffix("/models"),
        modes=MODES,
        when_nobody=WHEN_NOBODY,
        periods=PERIODS,
        at_fault=form,
        problems=problems or {},
        typed=request.form,
    )
    return make_response(page, status)
