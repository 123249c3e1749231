"""The servers that answer: how they are kept, and in which order they are asked."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.core.outgoing import DEFAULT_PORTS, AddressRefused, checked_url
from hitl.core.sealing import CannotOpen, open_sealed, seal
from hitl.core.secrets import Keys, keys_of
from hitl.gateway.errors import UnknownUpstream, UpstreamUnacceptable
from hitl.gateway.models import Upstream

HINT_CHARACTERS = 4
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class UpstreamTerms(BaseModel):
    """What an admin may say about an upstream."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
    base_url: Annotated[str, Field(max_length=500)]
    models: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=200)] = []
    position: Annotated[int, Field(ge=0, le=100)] = 0
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    connect_seconds: Seconds = 5.0
    silence_seconds: Seconds = 120.0
    total_seconds: Seconds = 600.0
    is_on: bool = True


@dataclass(frozen=True)
class Target:
    """An upstream as calls need it."""

    id: UUID
    name: str
    base_url: str
    key: str | None
    models: frozenset[str]
    position: int
    weight: int
    retries: int
    connect_seconds: float
    silence_seconds: float
    total_seconds: float


def upstreams_of(project: Project) -> Select[Upstream]:
    """The upstreams of a project in the order in which they are asked."""
    return select(Upstream).where(Upstream.project_id == project.id).order_by(Upstream.position, Upstream.name)


def upstream_of_id(db: Session, project: Project, upstream_id: UUID) -> Upstream:
    """Return one of a project's upstreams. Raises UnknownUpstream."""
    upstream = db.scalar(upstreams_of(project).where(Upstream.id == upstream_id))
    if upstream is None:
        raise UnknownUpstream
    return upstream


def add_upstream(
    db: Session, project: Project, terms: Mapping[str, Any], key: str | None, by: User | None = None
) -> Upstream:
    """Add a server. key: what it wants as bearer token. Raises UpstreamUnacceptable, naming the field."""
    checked = _checked(terms)
    upstream = Upstream(project_id=project.id, **checked.model_dump())
    _set_key(db, upstream, key)
    _store(db, upstream)
    audit.record(db, by, "upstream_added", upstream, project, name=upstream.name, base_url=upstream.base_url)
    return upstream


def change_upstream(
    db: Session,
    project: Project,
    upstream: Upstream,
    changes: Mapping[str, Any],
    key: str | None = None,
    by: User | None = None,
) -> Upstream:
    """Change what is said of a server; the rest stays.

    Its key is dropped when the host changes, unless another is given: it was entrusted to us for that host alone.
    Raises UpstreamUnacceptable, naming the field.
    """
    before = {name: getattr(upstream, name) for name in UpstreamTerms.model_fields}
    after = _checked({**before, **changes}).model_dump()
    has_moved = origin_of(after["base_url"]) != origin_of(upstream.base_url)
    for name, value in after.items():
        setattr(upstream, name, value)
    if key or has_moved:
        _set_key(db, upstream, key)
    _store(db, upstream)
    changed = {name: value for name, value in after.items() if value != before[name]}
    audit.record(
        db,
        by,
        "upstream_changed",
        upstream,
        project,
        changes=changed,
        key_set=bool(key),
        key_dropped=has_moved and not key,
    )
    return upstream


def remove_upstream(db: Session, project: Project, upstream: Upstream, by: User | None = None) -> None:
    """Ask this server no more, and forget its key."""
    audit.record(db, by, "upstream_removed", upstream, project, name=upstream.name)
    db.delete(upstream)
    db.flush()


def origin_of(url: str) -> str:
    """Return scheme, host and port: to whom a key is sent."""
    parts = checked_url(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


def targets(upstreams: Iterable[Upstream], keys: Keys) -> Iterator[Target]:
    """Yield those that are on, with their keys. One whose key cannot be read is left out."""
    for upstream in upstreams:
        if upstream.is_on:
            try:
                yield _target(upstream, keys)
            except CannotOpen:
                continue


def in_order(found: Sequence[Target], model: str) -> list[Target]:
    """Return the upstreams that serve a model: the lowest position first, among equals by chance and weight."""
    serving = [target for target in found if not target.models or model in target.models]
    if len(serving) == 1:
        return serving
    # The largest of u^(1/w) is each one with a chance proportional to its weight (Efraimidis and Spirakis, 2006).
    drawn = {target.id: random.random() ** (1 / target.weight) for target in serving}  # noqa: S311 - no secret
    return sorted(serving, key=lambda target: (target.position, -drawn[target.id]))


def _target(upstream: Upstream, keys: Keys) -> Target:
    sealed = upstream.sealed_key
    return Target(
        id=upstream.id,
        name=upstream.name,
        base_url=upstream.base_url,
        key=None if sealed is None else open_sealed(keys, sealed, _place(upstream)),
        models=frozenset(upstream.models),
        position=upstream.position,
        weight=upstream.weight,
        retries=upstream.retries,
        connect_seconds=upstream.connect_seconds,
        silence_seconds=upstream.silence_seconds,
        total_seconds=upstream.total_seconds,
    )


def _checked(terms: Mapping[str, Any]) -> UpstreamTerms:
    try:
        checked = UpstreamTerms.model_validate(terms)
    except ValidationError as error:
        first = error.errors()[0]
        field = "/".join(map(str, first["loc"]))
        raise UpstreamUnacceptable(f"{first['loc'][0]}: {first['msg']}.", param=f"/{field}") from error
    checked.base_url = checked.base_url.strip().rstrip("/")
    try:
        if checked_url(checked.base_url).query:
            raise AddressRefused("The address of an upstream ends before the question mark.")
    except AddressRefused as error:
        raise UpstreamUnacceptable(str(error), param="/base_url") from error
    return checked


def _set_key(db: Session, upstream: Upstream, key: str | None) -> None:
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable() or len(key) > 2_000:
        raise UpstreamUnacceptable("A key is made of plain letters, digits and signs.", param="/key")
    upstream.sealed_key = seal(keys_of(db), key, _place(upstream)) if key else None
    upstream.key_hint = key[-HINT_CHARACTERS:] if len(key) > 3 * HINT_CHARACTERS else ("" if key else None)


def _place(upstream: Upstream) -> str:
    """A key is sealed for its project and host: in another row it cannot be opened."""
    return f"upstream {upstream.project_id} {origin_of(upstream.base_url)}"


def _store(db: Session, upstream: Upstream) -> None:
    try:
        with db.begin_nested():
            db.add(upstream)
            db.flush()
    except IntegrityError as error:
        raise UpstreamUnacceptable("Another upstream of this project has this name.", param="/name") from error
