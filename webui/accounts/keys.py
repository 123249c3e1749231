"""The keys by which programs come into a project."""

from uuid import UUID

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts import keys
from hitl.accounts.access import allow
from hitl.accounts.models import ApiKey
from hitl.accounts.permissions import Permission
from hitl.core.errors import Invalid, NotFound
from webui.accounts.blueprint import bp

SCOPE_HINTS = {
    "capture": "put responses in",
    "feedback": "put end users' feedback in",
    "review": "take items and review them",
    "queue": "read all reviews and items, change rules",
    "supervise": "watch and join live conversations",
    "datasets": "read responses, evidence and datasets",
    "admin": "members, keys and settings",
}


@bp.get("/projects/<slug>/keys")
@allow(Permission.ADMIN)
def list_keys(slug: str) -> Response:
    """List the keys, and offer to make one."""
    return _page()


@bp.post("/projects/<slug>/keys")
@allow(Permission.ADMIN)
def create_key(slug: str) -> Response:
    """Make a key; it is shown now and never again."""
    try:
        key, token = keys.create_key(
            g.db, g.project, g.user, request.form.get("name", ""), request.form.getlist("scopes")
        )
    except Invalid as error:
        return _page(error.status, problems={(error.param or "/name").strip("/"): error.message})
    return _page(made=key, token=token)


@bp.post("/projects/<slug>/keys/<uuid:key_id>/revocation")
@allow(Permission.ADMIN)
def revoke_key(slug: str, key_id: UUID) -> AnyResponse:
    """End a key for good."""
    key: ApiKey | None = g.db.scalar(keys.keys_of(g.project).where(ApiKey.id == key_id))
    if key is None:
        raise NotFound
    keys.revoke_key(g.db, key, by=g.user)
    flash(f"The key “{key.name}” is revoked.")
    return redirect(url_for("accounts.list_keys", slug=slug), 303)


def _page(
    status: int = 200, problems: dict[str, str] | None = None, made: ApiKey | None = None, token: str | None = None
) -> Response:
    page = render_template(
        "accounts/keys.html",
        project=g.project,
        keys=g.db.scalars(keys.keys_of(g.project)).all(),
        scopes=keys.scopes_open_to(g.permissions),
        scope_hints=SCOPE_HINTS,
        problems=problems or {},
        form=request.form if problems else None,
        made=made,
        token=token,
    )
    return make_response(page, status)
