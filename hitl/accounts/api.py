"""JSON routes."""

from flask import Response, g
from flask_openapi3 import APIBlueprint, Tag

from hitl.accounts.access import SIGNED_IN, allow
from hitl.accounts.schemas import KeyInfo, ProjectSummary
from hitl.core.http import answer

bp = APIBlueprint(
    "accounts_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Accounts", description="Who asks, and what they may do.")],
    abp_security=[{"key": []}],
)


@bp.get("/key", responses={200: KeyInfo})
@allow(SIGNED_IN)
def show_key() -> Response:
    """Say what this key may do.

    Works with every key, so that a program can check its own before it starts.
    """
    key, project = g.api_key, g.project
    return answer(
        KeyInfo(
            id=key.id,
            name=key.name,
            scopes=key.scopes,
            permissions=sorted(g.permissions),
            project=ProjectSummary(id=project.id, slug=project.slug, name=project.name),
            created_at=key.created_at,
            last_used_at=key.last_used_at,
        )
    )
