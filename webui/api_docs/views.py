"""The API's description: as an OpenAPI document for programs, as a page for people."""

from itertools import groupby
from typing import Any

from flask import Blueprint, Response, current_app, render_template

from hitl.accounts.access import PUBLIC, allow
from hitl.core.http import API_MANUAL, answer
from hitl.core.instance import Instance
from webui.api_docs.description import operations, shapes
from webui.api_docs.document import openapi_document

bp = Blueprint(
    "api_docs", __name__, template_folder="templates", static_folder="static", static_url_path="/static/api_docs"
)


@bp.get("/api/openapi.json")
@allow(PUBLIC)
def document() -> Response:
    """The document itself."""
    return answer(openapi_document())


@bp.get(API_MANUAL)
@allow(PUBLIC)
def show() -> str:
    """Every operation by subject, then every shape that bodies and answers have."""
    told: dict[str, Any] = openapi_document()
    places = {tag["name"]: place for place, tag in enumerate(told["tags"])}
    by_subject = sorted(operations(told), key=lambda operation: places[operation.subject])
    instance: Instance = current_app.extensions["hitl"]
    return render_template(
        "api_docs/show.html",
        subjects=[(name, list(group)) for name, group in groupby(by_subject, lambda operation: operation.subject)],
        about={tag["name"]: tag.get("description", "") for tag in told["tags"]},
        shapes=shapes(told),
        address=str(instance.settings.public_url).rstrip("/"),
    )
