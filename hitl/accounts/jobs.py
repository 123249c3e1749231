"""Later work: forgetting what is no longer needed."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hitl.accounts.models import Invitation, ResetLink, SignInSession
from hitl.accounts.sign_in import forget_old_failures
from hitl.core import clock, jobs


@jobs.periodic("accounts.tidy", every_seconds=3600)
def tidy(db: Session) -> None:
    """Delete counted failures, sessions and links that are long over: they say when and from where people came."""
    forget_old_failures(db)
    long_ago = clock.now() - timedelta(days=30)
    db.execute(delete(SignInSession).where(SignInSession.expires_at < long_ago))
    db.execute(delete(ResetLink).where(ResetLink.expires_at < long_ago))
    # One that was used stays: it says how somebody came in.
    db.execute(delete(Invitation).where(Invitation.expires_at < long_ago, Invitation.used_at.is_(None)))
