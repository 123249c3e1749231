"""Signed-in browsers. A session lasts two weeks, and ends with sign-out, a new password or a closed account."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from hitl.accounts.access import ring_for_rights, session_of_id
from hitl.accounts.models import SignInSession, User
from hitl.core import clock

LIFETIME = timedelta(days=14)


def start_session(db: Session, user: User) -> SignInSession:
    """Sign a person in: the only place where a session is made, always with a new id."""
    session = SignInSession(user=user, epoch=user.epoch, expires_at=clock.now() + LIFETIME)
    db.add(session)
    db.flush()
    return session


def end_session(db: Session, session_id: UUID | str | None) -> None:
    """Sign one browser out; nothing happens if it was not signed in."""
    session = session_of_id(db, session_id)
    if session is not None:
        session.ended_at = clock.now()
        ring_for_rights(db, session.user_id)


def end_all_sessions(db: Session, user: User) -> None:
    """Sign a person out everywhere. The new epoch also ends a session that is being started at this moment."""
    user.epoch += 1
    running = (SignInSession.user_id == user.id) & SignInSession.ended_at.is_(None)
    db.execute(update(SignInSession).where(running).values(ended_at=clock.now()))
    ring_for_rights(db, user.id)
