"""Conversations under review, as they stand when they are picked."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from hitl.accounts.models import Project, User
from hitl.capture.models import Conversation, Response
from hitl.queue.errors import EmptyConversation, UnknownConversation
from hitl.queue.items import Target, Wish, ensure_reviewable, insert_items, raise_items
from hitl.queue.models import Item, ItemTarget


def add_conversations(
    db: Session,
    project: Project,
    conversation_ids: Sequence[UUID],
    wish: Wish,
    *,
    added_by: User | None = None,
    at: str = "",
) -> list[Item]:
    """Put conversations into the queue, each with its last response, which fixes what is judged.

    One that was picked before, and has not gone on since, keeps its item, with the more reviews and the higher priority
    of both wishes.
    at: JSON pointer of the list of ids, for the `param` of errors.
    Raises UnknownConversation, EmptyConversation; NoRubric, and what review says where the rubric asks nothing of them.
    """
    if conversation_ids:
        ensure_reviewable(db, project, "conversation")
    _lock(db, project, conversation_ids, at)
    found: list[UUID] = []
    known: dict[UUID, Wish] = {}
    for place, conversation_id in enumerate(conversation_ids):
        last = _last_response(db, conversation_id)
        if last is None:
            raise EmptyConversation(param=f"{at}/{place}")
        item_id = _item_about(db, conversation_id, last)
        if item_id is None:
            targets = [Target(conversation_id=conversation_id), Target(response_id=last)]
            (item_id,) = insert_items(db, project, [(targets, wish)], "conversation", added_by)
        else:
            known[item_id] = wish
        found.append(item_id)
    raise_items(db, known)  # all at once: in the order in which everybody locks them
    return [db.get_one(Item, item_id) for item_id in found]


def _lock(db: Session, project: Project, conversation_ids: Sequence[UUID], at: str) -> None:
    """Let those who pick the same conversations follow one another."""
    theirs = select(Conversation.id).where(Conversation.id.in_(conversation_ids), Conversation.project_id == project.id)
    known = set(db.scalars(theirs.order_by(Conversation.id).with_for_update(key_share=True)))
    for place, conversation_id in enumerate(conversation_ids):
        if conversation_id not in known:
            raise UnknownConversation(param=f"{at}/{place}")


def _last_response(db: Session, conversation_id: UUID) -> UUID | None:
    return db.scalar(
        select(Response.id)
        .where(Response.conversation_id == conversation_id)
        .order_by(Response.turn.desc().nulls_last(), Response.created_at.desc(), Response.id.desc())
        .limit(1)
    )


def _item_about(db: Session, conversation_id: UUID, last_response_id: UUID) -> UUID | None:
    last = aliased(ItemTarget)
    return db.scalar(
        select(ItemTarget.item_id)
        .join(last, last.item_id == ItemTarget.item_id)
        .where(ItemTarget.conversation_id == conversation_id, last.response_id == last_response_id)
    )
