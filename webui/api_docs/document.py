"""The OpenAPI document: what the framework reads off the routes, and what it cannot see: scopes, common refusals."""

import re
from copy import deepcopy
from typing import Any

from flask import Flask, current_app
from werkzeug.routing import Rule

from hitl.accounts.access import PUBLIC, Access, Door, declared_access
from hitl.accounts.permissions import SCOPES
from hitl.core import errors

JsonObject = dict[str, Any]

ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
HEADERS: dict[type[errors.AppError], JsonObject] = {
    errors.Unauthenticated: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    errors.Unavailable: {
        "Retry-After": {"required": True, "schema": {"type": "integer"}, "description": "Seconds to wait"}
    },
}
SERVICE = {"name": "Service", "description": "Whether it runs, and what it offers"}


def openapi_document() -> JsonObject:
    """Return the current application's document; made once, at the first call."""
    if "openapi_document" not in current_app.extensions:
        current_app.extensions["openapi_document"] = _document(current_app)
    document: JsonObject = current_app.extensions["openapi_document"]
    return document


def _document(app: Flask) -> JsonObject:
    document: JsonObject = deepcopy(app.api_doc)  # type: ignore[attr-defined]
    document.setdefault("tags", []).append(SERVICE)
    for rule in app.url_map.iter_rules():
        item = document["paths"].get(_as_written(rule), {})
        needed = declared_access(app.view_functions[rule.endpoint])
        for method in rule.methods or ():
            if needed is not None and method.lower() in item:
                _complete(item[method.lower()], needed)
    return document


def _as_written(rule: Rule) -> str:
    """Return a route's path as OpenAPI writes it: `/leases/{lease_id}`."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _complete(operation: JsonObject, needed: Access) -> None:
    if needed.door is PUBLIC:
        operation["tags"] = [SERVICE["name"]]
    operation["security"] = _security(needed)
    if "description" in operation:
        operation["description"] = _unwrapped(operation["description"].replace("<br/>", "\n"))
    answers = operation["responses"]
    answers.pop("422", None)  # put there whether or not there is anything to refuse, and as a list
    if needed.door is PUBLIC:
        answers.setdefault("200", {"description": "It does.", "content": {"application/json": {}}})
    for refusal in _refusals(operation, needed):
        own = answers.get(str(refusal.status), {})  # of a route that says more with it
        told = {"description": refusal().message, "content": own.get("content", ENVELOPE)}
        if refusal in HEADERS:
            told["headers"] = HEADERS[refusal]
        answers[str(refusal.status)] = told
    operation["responses"] = dict(sorted(answers.items()))


def _unwrapped(docstring: str) -> str:
    """Return paragraphs without the line ends that only the source's width put there."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.strip().split("\n\n"))


def _security(needed: Access) -> list[JsonObject]:
    """Say which scope a key needs: one of those listed is enough."""
    if needed.door is PUBLIC:
        return []
    if needed.door is Door.SIGNED_IN:
        return [{"key": []}]
    return [{"key": [scope]} for scope, permissions in SCOPES.items() if permissions & needed.permissions]


def _refusals(operation: JsonObject, needed: Access) -> list[type[errors.AppError]]:
    """Return the refusals that any operation of this kind may answer with."""
    if needed.door is PUBLIC:
        return [errors.Unavailable]
    found: list[type[errors.AppError]] = [errors.Unauthenticated, errors.Unavailable]
    if needed.permissions:
        found.append(errors.Forbidden)
    where = {parameter["in"] for parameter in operation.get("parameters", ())}
    if "path" in where:
        found += [errors.NotFound, errors.Conflict]  # whatever has a name may have changed meanwhile
    if "requestBody" in operation:
        found += [errors.TooLarge, errors.UnsupportedMedia]
    if "requestBody" in operation or "query" in where:
        found.append(errors.Invalid)
    return found
