"""Conversations that are begun before there is any response in them."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Conversation
from hitl.capture.pseudonyms import pseudonym
from hitl.core import clock
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.core.secrets import keys_of


def open_conversation(
    db: Session,
    project: Project,
    client_id: str,
    *,
    end_user: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> tuple[Conversation, bool]:
    """Return the conversation that the client calls so, and whether it is new. Of a known one nothing is changed.

    end_user: the client's name for the person; only its pseudonym is stored.
    """
    row = {
        "id": new_id(),
        "project_id": project.id,
        "client_id": client_id,
        "end_user": None if end_user is None else pseudonym(keys_of(db), project.id, end_user),
        "metadata": metadata or {},
        "created_at": clock.now(),
    }
    insertion = insert_into(db, Conversation).values(row).on_conflict_do_nothing()
    made = db.scalar(insertion.returning(Conversation.__table__.c.id))
    named = select(Conversation).where(Conversation.project_id == project.id, Conversation.client_id == client_id)
    return db.scalars(named).one(), made is not None
