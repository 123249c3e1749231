"""The API's manual, made from its OpenAPI document."""

from itertools import groupby
from typing import Any

from flask import Blueprint, current_app, render_template

from hitl.accounts.access import PUBLIC, allow
from hitl.core.http import API_MANUAL
from webui.api_docs.description import operations, shapes

bp = Blueprint(
    "api_docs", __name__, template_folder="templates", static_folder="static", static_url_path="/static/api_docs"
)


@bp.get(API_MANUAL)
@allow(PUBLIC)
def show() -> str:
    """Every operation by subject, then every shape that bodies and answers have."""
    document: dict[str, Any] = current_app.api_doc  # type: ignore[attr-defined]
    by_subject = sorted(operations(document), key=lambda operation: operation.subject)
    return render_template(
        "api_docs/show.html",
        subjects=[(name, list(group)) for name, group in groupby(by_subject, lambda operation: operation.subject)],
        shapes=shapes(document),
        about={tag["name"]: tag.get("description", "") for tag in document.get("tags", ())},
    )
