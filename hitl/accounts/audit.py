"""Who changed what: one row in the transaction of the change, so that neither exists without the other."""

from typing import Any

from sqlalchemy.orm import Session

from hitl.accounts.models import AuditEntry, Project, User


def record(
    db: Session, actor: User | None, action: str, subject: Any, project: Project | None = None, **details: Any
) -> AuditEntry:
    """Note a change.

    actor: who did it; None for the command line and the service itself.
    action: past tense, as in "key_created".
    subject: the row that was changed.
    details: what a reader needs besides, as JSON values; never a secret, never captured text.
    """
    entry = AuditEntry(
        actor_id=None if actor is None else actor.id,
        action=action,
        subject=f"{subject.__tablename__}:{subject.id}",
        project_id=None if project is None else project.id,
        details=details,
    )
    db.add(entry)
    return entry
