"""What people pick by hand, found by our ids or the client's."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Executable, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Conversation, Response
from hitl.queue.errors import UnknownConversation, UnknownResponses


def responses(
    db: Session, project: Project, ids: Sequence[UUID], client_ids: Sequence[str], at: str = ""
) -> list[UUID]:
    """Return our ids of responses, in order. Raises UnknownResponses, naming the first that is not there by its place.

    at: JSON pointer of the object that holds both lists.
    """
    theirs = select(Response.id, Response.client_id).where(Response.project_id == project.id)
    known = set(db.scalars(theirs.where(Response.id.in_(ids)))) if ids else set()
    by_client_id = _by_client_id(db, theirs.where(Response.client_id.in_(client_ids))) if client_ids else {}
    for place, response_id in enumerate(ids):
        if response_id not in known:
            raise UnknownResponses(param=f"{at}/response_ids/{place}")
    for place, client_id in enumerate(client_ids):
        if client_id not in by_client_id:
            raise UnknownResponses(param=f"{at}/client_ids/{place}")
    return [*ids, *(by_client_id[client_id] for client_id in client_ids)]


def conversations(db: Session, project: Project, ids: Sequence[UUID], client_ids: Sequence[str]) -> list[UUID]:
    """Return our ids of conversations, in order and each once.

    Raises UnknownConversation for a client's id that is not there; ours are checked where the items are made.
    """
    theirs = select(Conversation.id, Conversation.client_id).where(Conversation.project_id == project.id)
    by_client_id = _by_client_id(db, theirs.where(Conversation.client_id.in_(client_ids))) if client_ids else {}
    for place, client_id in enumerate(client_ids):
        if client_id not in by_client_id:
            raise UnknownConversation(param=f"/client_conversation_ids/{place}")
    return list(dict.fromkeys([*ids, *(by_client_id[client_id] for client_id in client_ids)]))


def _by_client_id(db: Session, found: Executable) -> dict[str, UUID]:
    return {row.client_id: row.id for row in db.execute(found)}
