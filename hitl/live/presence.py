"""Who is looking at a conversation. The customer never learns of it, and the log keeps who looked."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import User
from hitl.core import clock
from hitl.core.bell import ring_after_commit
from hitl.core.database import insert_into
from hitl.live.log import append, locked
from hitl.live.models import LiveConversation, Presence
from hitl.live.topics import topic_of

HERE_SECONDS = 40.0  # a page says every 15 seconds that it is still open
TYPING_SECONDS = 8.0
LOOKS_APART = timedelta(minutes=30)


def look(db: Session, talk: LiveConversation, by: User) -> Presence:
    """Note that a person opens a conversation. A look is written into the log, for the staff, now and then.

    Locks the conversation where the look is written.
    """
    presence = _presence(db, talk.id, by)
    now = clock.now()
    presence.seen_at = now
    if presence.looked_at is None or presence.looked_at < now - LOOKS_APART:
        presence.looked_at = now
        append(db, locked(db, talk.id), "look", by=by)
    presence.read_to = max(presence.read_to, talk.last_number)
    return presence


def stay(db: Session, talk: LiveConversation, by: User, *, read_to: int, is_typing: bool) -> None:
    """Note that a person's page is still open, how far they have read, and whether they write."""
    presence = _presence(db, talk.id, by)
    was_typing = is_recent(presence.typed_at, TYPING_SECONDS)
    presence.seen_at = clock.now()
    presence.typed_at = clock.now() if is_typing else None
    presence.read_to = max(presence.read_to, min(read_to, talk.last_number))
    if was_typing != is_typing:
        ring_after_commit(db, topic_of(talk.id))


def leave(db: Session, talk: LiveConversation, by: User) -> None:
    """Note that a person closed the page."""
    presence = _presence(db, talk.id, by)
    presence.seen_at = clock.now() - timedelta(seconds=HERE_SECONDS)
    presence.typed_at = None
    ring_after_commit(db, topic_of(talk.id))


def present(conversation_ids: Iterable[UUID]) -> Select[Presence]:
    """Who has these conversations open now, by name."""
    since = clock.now() - timedelta(seconds=HERE_SECONDS)
    here = select(Presence).join(Presence.user).options(joinedload(Presence.user))
    return here.where(Presence.conversation_id.in_(list(conversation_ids)), Presence.seen_at > since).order_by(
        User.name, User.id
    )


def read_numbers(db: Session, by: User, conversation_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return by conversation how far a person has read."""
    mine = select(Presence.conversation_id, Presence.read_to).where(
        Presence.user_id == by.id, Presence.conversation_id.in_(conversation_ids)
    )
    return {row.conversation_id: row.read_to for row in db.execute(mine)}


def is_typing(presence: Presence) -> bool:
    """Whether the person is writing."""
    return is_recent(presence.typed_at, TYPING_SECONDS)


def is_recent(moment: datetime | None, seconds: float) -> bool:
    """Whether a moment, if there is one, is no longer ago than that."""
    return moment is not None and moment > clock.now() - timedelta(seconds=seconds)


def _presence(db: Session, conversation_id: UUID, by: User) -> Presence:
    key = {"conversation_id": conversation_id, "user_id": by.id}
    row = {**key, "read_to": 0, "seen_at": clock.now()}
    db.execute(insert_into(db, Presence).values(row).on_conflict_do_nothing())
    return db.get_one(Presence, key, populate_existing=True)
