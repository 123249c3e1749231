"""A new password: by the person who knows the present one, or by whoever was handed a link (reset_links.py)."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from hitl.accounts import audit, passwords, sessions
from hitl.accounts.errors import WrongPassword
from hitl.accounts.models import ResetLink, SignInSession, User
from hitl.accounts.sign_in import Attempt, begin_attempt, forgive, person_of_attempt
from hitl.core import clock


def begin_password_change(db: Session, user: User, new: str, address: str | None) -> Attempt:
    """Count a try to prove that one knows the present password. Commit before `change_password`.

    Raises PasswordUnacceptable, SignInSlowed.
    """
    passwords.ensure_acceptable(new, user.email)
    return begin_attempt(db, user.email, address)


def change_password(db: Session, attempt: Attempt, present: str, new: str) -> SignInSession:
    """Give the person a new password and a new session; all their other sessions end.

    Raises WrongPassword if `present` is not their password.
    """
    if not passwords.matches(attempt.password_hash, present):
        raise WrongPassword(param="/present")
    new_hash = passwords.hash_password(new)
    user = person_of_attempt(db, attempt)
    if user is None:
        raise WrongPassword(param="/present")
    forgive(db, attempt)
    set_password_hash(db, user, new_hash, by=user)
    return sessions.start_session(db, user)


def set_password_hash(db: Session, user: User, new_hash: str, by: User | None) -> None:
    """Set a password that was checked and hashed before. Ends every session and every open link of the person."""
    user.password_hash = new_hash
    sessions.end_all_sessions(db, user)
    unused = (ResetLink.user_id == user.id) & ResetLink.used_at.is_(None)
    db.execute(update(ResetLink).where(unused).values(used_at=clock.now()))
    audit.record(db, by, "password_changed", user)
