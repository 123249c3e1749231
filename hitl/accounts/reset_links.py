"""Links by which a person sets a password without knowing one: the first, or a new one when it was forgotten.

Made by somebody who manages the account (users.managed_by) or on the command line; works once, for a day. Whether the
maker still manages the account is asked again when the link is used: otherwise a link kept in a drawer would open
projects that the person has joined since.
"""

import secrets
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from hitl.accounts import audit
from hitl.accounts.errors import AccountClosed, AccountNotYours, ResetLinkEnded
from hitl.accounts.models import ResetLink, User
from hitl.accounts.password_change import set_password_hash
from hitl.accounts.users import ensure_managed_by
from hitl.core import clock
from hitl.core.secrets import token_digest

LIFETIME = timedelta(hours=24)


def create_reset_link(db: Session, user: User, by: User | None = None) -> str:
    """Return the token of a new link, which is known only now.

    by: who hands the link out; None on the command line.
    Raises AccountNotYours, AccountClosed.
    """
    if user.deactivated_at is not None:
        raise AccountClosed
    if by is not None:
        ensure_managed_by(db, by, user)
    token = secrets.token_urlsafe(32)
    link = ResetLink(
        user_id=user.id,
        made_by_id=None if by is None else by.id,
        digest=token_digest(token),
        expires_at=clock.now() + LIFETIME,
    )
    db.add(link)
    db.flush()
    audit.record(db, by, "reset_link_created", user)
    return token


def link_of_token(db: Session, token: str) -> ResetLink:
    """Return a link that still works. Raises ResetLinkEnded."""
    link = db.scalar(
        select(ResetLink)
        .join(ResetLink.user)
        .options(joinedload(ResetLink.user))
        .where(
            ResetLink.digest == token_digest(token),
            ResetLink.used_at.is_(None),
            ResetLink.expires_at > clock.now(),
            User.deactivated_at.is_(None),
        )
    )
    if link is None:
        raise ResetLinkEnded
    if link.made_by_id is not None:
        try:
            ensure_managed_by(db, db.get_one(User, link.made_by_id), link.user)
        except AccountNotYours as error:
            raise ResetLinkEnded from error
    return link


def use_reset_link(db: Session, token: str, password_hash: str) -> User:
    """Set a password that was checked and hashed before, and use the link up; the person's sessions end.

    Raises ResetLinkEnded.
    """
    link = link_of_token(db, token)
    unused = (ResetLink.id == link.id) & ResetLink.used_at.is_(None)
    taken = db.execute(update(ResetLink).where(unused).values(used_at=clock.now()).returning(ResetLink.id))
    if taken.first() is None:  # somebody else was quicker
        raise ResetLinkEnded
    set_password_hash(db, link.user, password_hash, by=link.user)
    return link.user
