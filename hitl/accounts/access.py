"""Who may pass which door.

Every route says with `allow` what it needs; a request is answered only after `ensure_allowed`. What somebody may do is
looked up afresh for each request: a changed role, a removed member, a revoked key, an ended session count at once.

An owner of the instance makes projects and users and is no member of a project by that: rights in a project come from
a membership alone. Whoever makes a project becomes its first admin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, contains_eager

from hitl.accounts.errors import OwnersOnly
from hitl.accounts.models import ApiKey, Membership, Project, SignInSession, User
from hitl.accounts.permissions import ROLES, Permission, permissions_of_scopes
from hitl.core import clock
from hitl.core.bell import ring_after_commit
from hitl.core.errors import Forbidden, NotFound, Unauthenticated
from hitl.core.secrets import token_digest

TOKEN_PREFIX = "hitl_"  # noqa: S105 - it lets scanners for leaked secrets recognise our keys
# Under this name the signed cookie holds the id of the SignInSession, and nothing else about the person.
SESSION_ID = "session_id"


class Door(Enum):
    """Doors that ask for no permission in a project."""

    PUBLIC = "public"  # everybody
    SIGNED_IN = "signed_in"  # any person who is signed in; in the API any key that works
    OWNER = "owner"  # owners of the instance
    CUSTOMER = "customer"  # an end user's browser with a token for one conversation: no person or program of ours


PUBLIC, SIGNED_IN, OWNER, CUSTOMER = Door.PUBLIC, Door.SIGNED_IN, Door.OWNER, Door.CUSTOMER


class TokenRefused(Unauthenticated):
    """This customer token is not ours, or its hour is over. Ask the application for a new one."""

    code = "token_refused"


@dataclass(frozen=True)
class Access:
    """What a route needs: a door, or one of these permissions in the project."""

    door: Door | None
    permissions: frozenset[Permission] = frozenset()


ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def allow(*needs: Permission | Door) -> Callable[[ViewT], ViewT]:
    """Declare what a view needs: one door, or permissions of which any one is enough."""
    doors = [need for need in needs if isinstance(need, Door)]
    permissions = frozenset(need for need in needs if isinstance(need, Permission))
    if len(doors) + bool(permissions) != 1:
        raise ValueError("name one door, or permissions")
    access = Access(doors[0] if doors else None, permissions)

    def declare(view: ViewT) -> ViewT:
        view.__hitl_access__ = access  # type: ignore[attr-defined]
        return view

    return declare


def declared_access(view: Callable[..., Any]) -> Access | None:
    """Return what a view declared; None if it forgot to. Wrappers made with `functools.wraps` keep the declaration."""
    return getattr(view, "__hitl_access__", None)


def ensure_allowed(
    access: Access,
    *,
    user: User | None,
    api_key: ApiKey | None,
    project: Project | None,
    permissions: frozenset[Permission],
    is_customer: bool = False,
) -> None:
    """Let the request pass or say why not.

    project, permissions: the project that the request is about, and what this person or key may do in it.
    is_customer: it carries a customer's token that counts.
    Raises Unauthenticated for nobody, NotFound for somebody who is no member (they must not learn that the project
    exists), Forbidden for a member without the permission, OwnersOnly.
    """
    if access.door is Door.CUSTOMER:
        if not is_customer:
            raise TokenRefused
        return
    if access.door is Door.PUBLIC:
        return
    if user is None and api_key is None:
        raise Unauthenticated
    if access.door is Door.SIGNED_IN:
        return
    if access.door is Door.OWNER:
        if api_key is not None or user is None or not user.is_owner:  # a key is for one project, whoever made it
            raise OwnersOnly
        return
    is_member = project is not None and (bool(permissions) or api_key is not None)
    if not is_member:
        raise NotFound
    if not permissions & access.permissions:
        raise Forbidden(_KEY_REFUSED if api_key is not None else None)


_KEY_REFUSED = "This API key does not allow this: its scopes do not cover it, or its maker's role no longer does."


@dataclass(frozen=True)
class Visitor:
    """Who asks, and what they may do where they ask."""

    user: User
    api_key: ApiKey | None
    project: Project | None  # that the request is about, if there is one
    permissions: frozenset[Permission]  # in that project; of a key no more than its scopes and its maker's role


def person_of_session(db: Session, session_id: UUID | str | None, slug: str | None = None) -> Visitor | None:
    """Return the person of a signed-in browser, if that session still counts.

    slug: of the project that they ask about.
    """
    identifier = _uuid_or_none(session_id)
    if identifier is None:
        return None
    found = db.execute(_PERSON, {"session": identifier, "slug": slug, "now": clock.now()}).first()
    if found is None:
        return None
    user, project, role = found
    return Visitor(user, None, project, _permissions_of_role(role))


def session_of_id(db: Session, session_id: UUID | str | None) -> SignInSession | None:
    """Return a session that still counts: not ended or over, of an active person, and of their present epoch."""
    identifier = _uuid_or_none(session_id)
    if identifier is None:
        return None
    return db.scalar(_WORKING_SESSION, {"session": identifier, "now": clock.now()})


def program_of_token(db: Session, token: str | None) -> Visitor | None:
    """Return the program of a bearer token, if its key is not revoked and its maker is still an active member."""
    if not token or not token.isascii() or not token.startswith(TOKEN_PREFIX):
        return None
    found = db.execute(_PROGRAM, {"digest": token_digest(token)}).first()
    if found is None:
        return None
    key, role = found
    # A key does what it was made for, as far as its maker's present role covers it.
    return Visitor(key.maker, key, key.project, permissions_of_scopes(key.scopes) & _permissions_of_role(role))


def topic_of_rights(user_id: UUID) -> str:
    """Return what rings when a person may do less than before, or one of their sessions or keys has ended."""
    return f"rights:{user_id}"


def ring_for_rights(db: Session, user_id: UUID) -> None:
    """Let open streams of a person look whether they may still be there."""
    ring_after_commit(db, topic_of_rights(user_id))


def permissions_in(db: Session, user: User, project: Project) -> frozenset[Permission]:
    """Return what a person may do in a project; nothing if they are no member."""
    return _permissions_of_role(db.scalar(_ROLE, {"user": user.id, "project": project.id}))


def _permissions_of_role(role: str | None) -> frozenset[Permission]:
    return frozenset() if role is None else ROLES[role]


# Made once, because every request asks one of these; and each asks all at once.
_WORKING = (
    SignInSession.id == bindparam("session"),
    SignInSession.ended_at.is_(None),
    SignInSession.expires_at > bindparam("now"),
    SignInSession.epoch == User.epoch,
    User.deactivated_at.is_(None),
)
_WORKING_SESSION = select(SignInSession).join(SignInSession.user).where(*_WORKING)
_PERSON = (
    select(User, Project, Membership.role)
    .select_from(SignInSession)
    .join(SignInSession.user)
    .outerjoin(Project, Project.slug == bindparam("slug"))
    .outerjoin(Membership, (Membership.user_id == User.id) & (Membership.project_id == Project.id))
    .where(*_WORKING)
)
_PROGRAM = (
    select(ApiKey, Membership.role)
    .join(ApiKey.maker)
    .join(ApiKey.project)
    .join(Membership, (Membership.user_id == ApiKey.maker_id) & (Membership.project_id == ApiKey.project_id))
    .options(contains_eager(ApiKey.maker), contains_eager(ApiKey.project))
    .where(ApiKey.digest == bindparam("digest"), ApiKey.revoked_at.is_(None), User.deactivated_at.is_(None))
)
_ROLE = select(Membership.role).where(
    Membership.user_id == bindparam("user"), Membership.project_id == bindparam("project")
)


def _uuid_or_none(value: UUID | str | None) -> UUID | None:
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None
