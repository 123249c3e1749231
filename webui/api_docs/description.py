"""Turns the OpenAPI document into what the API page shows: operations by subject, and shapes with their fields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Field:
    """One member of a shape, or one parameter."""

    name: str
    type: str
    shape: str | None  # the shape that it refers to, if any
    is_required: bool
    says: str


@dataclass(frozen=True)
class Answer:
    """One status that an operation may answer with."""

    status: str
    shape: str | None
    says: str


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    subject: str
    summary: str
    says: str
    scopes: tuple[str, ...]  # a key with one of these may ask; with none, any key may
    is_public: bool
    parameters: tuple[Field, ...]
    body: Field | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Shape:
    """One JSON object that the API takes or gives."""

    name: str
    says: str
    fields: tuple[Field, ...]
    allowed: tuple[str, ...]  # for a plain word: which


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return every operation of the document, in its order."""
    return [
        _operation(method, path, item[method])
        for path, item in document.get("paths", {}).items()
        for method in METHODS
        if method in item
    ]


def shapes(document: dict[str, Any]) -> list[Shape]:
    """Return every named shape of the document, by name."""
    named = document.get("components", {}).get("schemas", {})
    return [_shape(name, named[name]) for name in sorted(named)]


def _operation(method: str, path: str, told: dict[str, Any]) -> Operation:
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        id=told.get("operationId", f"{method} {path}").replace(" ", "-"),
        method=method.upper(),
        path=path,
        subject=(told.get("tags") or [path.removeprefix("/api/v1/").split("/")[-1]])[0],
        summary=told.get("summary", ""),
        says=told.get("description", ""),
        scopes=tuple(scope for way in told.get("security", ()) for scope in way.get("key", ())),
        is_public=not told.get("security"),
        parameters=tuple(
            _field(p["name"], p.get("schema", {}), is_required=p.get("required", False), says=p.get("description"))
            for p in told.get("parameters", [])
        ),
        body=_field("body", body, is_required=True) if body else None,
        answers=tuple(_answers(told.get("responses", {}))),
    )


def _answers(responses: dict[str, Any]) -> Iterator[Answer]:
    for status in sorted(responses):
        told = responses[status]
        schema = told.get("content", {}).get("application/json", {}).get("schema", {})
        yield Answer(status, _shape_named(schema), told.get("description", ""))


def _shape(name: str, schema: dict[str, Any]) -> Shape:
    required = set(schema.get("required", ()))
    return Shape(
        name=name,
        says=schema.get("description", ""),
        fields=tuple(
            _field(field, told, is_required=field in required) for field, told in schema.get("properties", {}).items()
        ),
        allowed=tuple(str(word) for word in schema.get("enum", ())),
    )


def _field(name: str, schema: dict[str, Any], *, is_required: bool, says: str | None = None) -> Field:
    return Field(name, _type(schema), _shape_named(schema), is_required, says or schema.get("description", ""))


def _type(schema: dict[str, Any]) -> str:
    """Say a JSON schema's type in a few words."""
    named = _ref(schema)
    if named:
        return named
    for joined in ("anyOf", "oneOf"):
        if joined in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[joined]))
    if "allOf" in schema:
        return _type(schema["allOf"][0])
    if "enum" in schema or "const" in schema:
        return " | ".join(repr(word) for word in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("format") or schema.get("type") or "anything"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _shape_named(schema: dict[str, Any]) -> str | None:
    """Return the first named shape inside a schema."""
    if _ref(schema):
        return _ref(schema)
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ()), schema.get("items")):
        if part and _shape_named(part):
            return _shape_named(part)
    return None


def _ref(schema: dict[str, Any]) -> str | None:
    reference: str | None = schema.get("$ref")
    return reference.rsplit("/", 1)[-1] if reference else None
