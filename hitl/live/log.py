"""A conversation's log, and the lock under which it grows.

Whatever changes a conversation first locks its row. Under that lock numbers are given out, so the log has no gaps, and
what one process decided the next one sees.

What an event's content holds, by kind; the others hold nothing:

    user_message, draft, edit   {"message": in OpenAI's shape}
    message                     {"message", "is_partial": true where a stream was cut off}
    hold                        {"hold_id", "reasons"}
    refusal                     {"reason"}, or nothing
    expiry                      {"then": what happened instead}
    handover                    {"to": id of the colleague, "from": where they took it themselves}
    note, whisper               {"text"}
    alert                       {"rule": its name, "reasons"}
    dismissal                   {"needs": what was dealt with, see hitl/live/needs.py}
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project, User
from hitl.capture.models import Conversation
from hitl.capture.words import text_of
from hitl.core import clock, events
from hitl.core.database import insert_into
from hitl.core.errors import NotFound
from hitl.live.events import EventHappened
from hitl.live.models import Draft, Event, LiveConversation

SHOWN_CHARACTERS = 200  # of the newest message, on the board


def go_live(db: Session, conversation: Conversation) -> LiveConversation:
    """Give a conversation turns, unless it has them already, and lock it."""
    row = {
        "id": conversation.id,
        "project_id": conversation.project_id,
        "holder": "bot",
        "holder_number": 1,
        "last_number": 0,
        "user_number": 0,
        "answered_number": 0,
        "last_text": "",
        "needs": [],
        "started_at": clock.now(),
        "last_at": clock.now(),
    }
    db.execute(insert_into(db, LiveConversation).values(row).on_conflict_do_nothing())
    return locked(db, conversation.id)


def locked(db: Session, conversation_id: UUID, project: Project | None = None) -> LiveConversation:
    """Lock a live conversation until the transaction ends, and return it as it is now.

    Raises NotFound when there is none, or it belongs to another project.
    """
    query = select(LiveConversation).where(LiveConversation.id == conversation_id)
    if project is not None:
        query = query.where(LiveConversation.project_id == project.id)
    talk = db.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if talk is None:
        raise NotFound
    return talk


def append(
    db: Session,
    talk: LiveConversation,
    kind: str,
    *,
    audience: str = "staff",
    by: User | None = None,
    draft: Draft | None = None,
    content: dict[str, Any] | None = None,
) -> Event:
    """Write the next event of a locked conversation. audience: `staff` unless the end user said or saw it."""
    talk.last_number += 1
    event = Event(
        conversation_id=talk.id,
        number=talk.last_number,
        audience=audience,
        kind=kind,
        user_id=None if by is None else by.id,
        draft_id=None if draft is None else draft.id,
        content=content or {},
        happened_at=clock.now(),
    )
    db.add(event)
    if audience == "customer":
        talk.last_at = event.happened_at
        talk.last_text = text_of(event.content["message"])[:SHOWN_CHARACTERS]
    db.flush()
    events.publish(db, EventHappened(talk.project_id, talk.id, event.number))
    return event


def change_holder(talk: LiveConversation, holder: str, person: User | None = None) -> None:
    """Let somebody else speak. From now on whatever was begun under the old number is refused."""
    talk.holder = holder
    talk.holder_id = None if person is None else person.id
    talk.holder_number += 1
