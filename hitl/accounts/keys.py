"""API keys: how programs come in."""

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, joinedload

from hitl.accounts import audit
from hitl.accounts.access import TOKEN_PREFIX, permissions_in, ring_for_rights
from hitl.accounts.errors import AccountClosed, ScopesUnacceptable
from hitl.accounts.models import ApiKey, Project, User
from hitl.accounts.names import clean_name
from hitl.accounts.permissions import SCOPES, Permission, permissions_of_scopes
from hitl.core import clock
from hitl.core.database import Database
from hitl.core.secrets import token_digest

HINT_CHARACTERS = len(TOKEN_PREFIX) + 6
USE_NOTED_EACH = timedelta(hours=1)


def create_key(
    db: Session, project: Project, maker: User, name: str, scopes: Sequence[str], by: User | None = None
) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, which is known only now: the database keeps a digest.

    maker: the member on whose behalf the key acts; it never does more than they may.
    Raises ScopesUnacceptable, NameUnacceptable, AccountClosed.
    """
    if maker.deactivated_at is not None:
        raise AccountClosed
    chosen = sorted(set(scopes))
    if not chosen or not set(chosen) <= set(scopes_open_to(permissions_in(db, maker, project))):
        raise ScopesUnacceptable(param="/scopes")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        project=project,
        maker=maker,
        name=clean_name(name),
        digest=token_digest(token),
        hint=token[:HINT_CHARACTERS],
        scopes=chosen,
    )
    db.add(key)
    db.flush()
    audit.record(db, by or maker, "key_created", key, project, name=key.name, scopes=chosen)
    return key, token


def scopes_open_to(permissions: frozenset[Permission]) -> list[str]:
    """Return the scopes that somebody with these permissions may give to a key."""
    return [scope for scope in SCOPES if permissions_of_scopes([scope]) <= permissions]


def revoke_key(db: Session, key: ApiKey, by: User | None = None) -> None:
    """End a key for good; revoking it again changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        audit.record(db, by, "key_revoked", key, key.project, name=key.name)
        ring_for_rights(db, key.maker_id)


def is_use_to_be_noted(key: ApiKey) -> bool:
    """Whether what is known of a key's last use is so old that this one should be noted."""
    return key.last_used_at is None or key.last_used_at <= clock.now() - USE_NOTED_EACH


def note_use(database: Database, key_id: UUID) -> None:
    """Note that a key is used, at most once in a while: a row that each request writes would hold up the next.

    In a transaction of its own, since a request that only reads cannot write. Where the database is too busy just now,
    the next request notes it.
    """
    with contextlib.suppress(OperationalError), database.writing() as db:
        note_uses(db, [key_id])


def note_uses(db: Session, key_ids: Iterable[UUID]) -> None:
    """Note in the caller's transaction that keys are used, those of which it was not noted lately."""
    last, now = ApiKey.last_used_at, clock.now()
    unnoted = ApiKey.id.in_(sorted(key_ids)) & (last.is_(None) | (last <= now - USE_NOTED_EACH))
    db.execute(update(ApiKey).where(unnoted).values(last_used_at=now))


def working_keys_by_maker(project: Project) -> Select[UUID, int]:
    """By maker: how many keys to a project they made that are not revoked."""
    working = (ApiKey.project_id == project.id) & ApiKey.revoked_at.is_(None)
    return select(ApiKey.maker_id, func.count()).where(working).group_by(ApiKey.maker_id)


def keys_of(project: Project) -> Select[ApiKey]:
    """The keys of a project with their makers, newest first, revoked ones too."""
    return (
        select(ApiKey)
        .options(joinedload(ApiKey.maker))
        .where(ApiKey.project_id == project.id)
        .order_by(ApiKey.id.desc())
    )
