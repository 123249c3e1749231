"""Signing in by e-mail and password, slowly for those who guess.

    attempt = begin_attempt(db, email, address)      # refused at once after too many failures
    db.commit()                                      # the try counts from now on, whatever happens next
    session = sign_in(db, attempt, password)         # None: that did not match

The try is written down before the password is looked at and erased when it matched. So it is counted even if the
process dies or many tries come at once, and no database lock is held during the slow comparison.
"""

import math
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from hitl.accounts import passwords, sessions
from hitl.accounts.errors import SignInSlowed
from hitl.accounts.models import FailedSignIn, SignInSession, User
from hitl.core import clock

WINDOW = timedelta(minutes=15)
FREE_TRIES_PER_EMAIL = 5
FREE_TRIES_PER_ADDRESS = 50  # many people may share the address of an office
FIRST_WAIT_SECONDS = 60
LONGEST_WAIT_SECONDS = 15 * 60


@dataclass(frozen=True)
class Attempt:
    """One try to prove who one is."""

    email: str
    address: str | None
    user_id: UUID | None  # None: nobody active has this e-mail address; handled as a password that does not match
    password_hash: str | None


def begin_attempt(db: Session, email: str, address: str | None) -> Attempt:
    """Count a try for this e-mail address from this network address. Commit before comparing the password.

    Raises SignInSlowed after too many failures; the pause doubles with each further failure.
    """
    email = typed_email(email)
    _take_turns(db, email)
    same_email = FailedSignIn.email == email
    wait_seconds = _seconds_to_wait(db, same_email, FREE_TRIES_PER_EMAIL)
    if address is not None:
        same_address = FailedSignIn.address == address
        wait_seconds = max(wait_seconds, _seconds_to_wait(db, same_address, FREE_TRIES_PER_ADDRESS))
    if wait_seconds > 0:
        raise SignInSlowed(retry_after_seconds=wait_seconds)
    db.add(FailedSignIn(email=email, address=address, at=clock.now()))
    user = db.scalar(select(User).where(User.email == email, User.deactivated_at.is_(None)))
    return Attempt(email, address, user.id if user else None, user.password_hash if user else None)


def sign_in(db: Session, attempt: Attempt, password: str) -> SignInSession | None:
    """Sign the person in if the password is theirs; None if not, without saying what did not match."""
    if not passwords.matches(attempt.password_hash, password):
        return None
    fresh_hash = passwords.hash_password(password) if passwords.needs_new_hash(attempt.password_hash or "") else None
    user = person_of_attempt(db, attempt)
    if user is None:
        return None
    if fresh_hash is not None:
        user.password_hash = fresh_hash
    forgive(db, attempt)
    return sessions.start_session(db, user)


def person_of_attempt(db: Session, attempt: Attempt) -> User | None:
    """Return the person, unless their account was closed or their password changed since the attempt began."""
    return db.scalar(
        select(User)
        .where(
            User.id == attempt.user_id,
            User.password_hash == attempt.password_hash,
            User.deactivated_at.is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def forgive(db: Session, attempt: Attempt) -> None:
    """Forget this person's failures from this address; somebody who guesses from elsewhere stays counted."""
    db.execute(
        delete(FailedSignIn).where(
            FailedSignIn.email == attempt.email, FailedSignIn.address.is_not_distinct_from(attempt.address)
        )
    )


def typed_email(email: str) -> str:
    """Return an e-mail address as we compare it, whatever was typed."""
    # Databases store neither NUL nor lone surrogates; what has them belongs to nobody.
    storable = email.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFC", storable).strip().lower()[:254]


def forget_old_failures(db: Session) -> None:
    """Delete failures that no longer slow anybody down."""
    db.execute(delete(FailedSignIn).where(FailedSignIn.at < clock.now() - WINDOW))


def _seconds_to_wait(db: Session, who: ColumnElement[bool], free_tries: int) -> int:
    now = clock.now()
    failures, latest = db.execute(
        select(func.count(), func.max(FailedSignIn.at)).where(who, FailedSignIn.at > now - WINDOW)
    ).one()
    if failures < free_tries:
        return 0
    pause: int = min(FIRST_WAIT_SECONDS * 2 ** min(failures - free_tries, 10), LONGEST_WAIT_SECONDS)
    return max(0, math.ceil(pause - (now - latest).total_seconds()))


def _take_turns(db: Session, email: str) -> None:
    """Let tries for one e-mail address count one after another, so that many at once do not all pass as the first."""
    if db.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        db.execute(select(func.pg_advisory_xact_lock(func.hashtext(email))))
